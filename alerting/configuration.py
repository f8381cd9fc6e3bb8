"""What people set up, as the policy needs it: folded from the `monitoring` log."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from alerting.policy.facts import MonitorSettings
from alerting.policy.streaks import SLOW_CHECKS
from domain.alert_policy import policy_of
from domain.fields import CUSTOMER_DEFAULTS
from domain.location import MonitoringLocation, may_check
from domain.maintenance_window import MaintenanceWindow
from domain.monitor import Monitor
from domain.notification_channel import NotificationChannel
from domain.organization import Customer
from domain.package_config import PackageConfig
from domain.resource import Resource
from domain.tag import MonitorTags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.alert_policy import AlertPolicy


_SECONDS_PER_MINUTE: Final = 60.0
_CHECKED_FIELDS: Final = frozenset({"hostname", "port", "config"})
"""A change of one of these makes it another target: its checks are counted anew."""


class Effect(NamedTuple):
    """What an event changes: the settings of monitors, and who hears of them and when."""

    changed: frozenset[str] = frozenset()
    removed: str | None = None
    plans: bool = False


NOTHING: Final = Effect()


@dataclass(slots=True)
class WatchedMonitor:
    """A monitor as its events say. A deleted one stays: its end is still to be told."""

    monitor_id: str
    organization_id: str
    customer_id: str
    fields: dict[str, Any]
    since: float
    checked_version: int = 1
    version: int = 1
    is_deleted: bool = False
    tags: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Configured:
    """A resource of an organization. `since` and `until`: when this version of it held."""

    organization_id: str
    fields: dict[str, Any]
    version: int
    since: float
    until: float = float("inf")


@dataclass(slots=True)
class _Location:
    code: str
    country: str | None
    is_retired: bool = False


class Configuration:
    """The fold. `counts_from`: nothing is known of the time before alerting was started."""

    def __init__(self, counts_from: float = float("-inf")) -> None:
        self._counts_from = counts_from
        self.monitors: dict[str, WatchedMonitor] = {}
        self.channels: dict[str, Configured] = {}
        self.windows: dict[str, list[Configured]] = {}
        """Every version of every window, the newest last."""
        self._packages: dict[str, Configured] = {}
        self._customers: dict[str, dict[str, Any]] = {}
        self._locations: dict[str, _Location] = {}

    def fold(self, event: Any) -> Effect:  # noqa: ANN401 - any event of the log
        """Apply an event, and return what it changes."""
        match event:
            case Monitor.Event():
                return self._fold_monitor(event)
            case Customer.Event():
                return self._fold_customer(event)
            case MonitoringLocation.Event():
                self._fold_location(event)
                return Effect(frozenset(self.monitors))
            case MonitorTags.Event():
                return self._fold_tags(event)
            case Resource.Event():
                return self._fold_resource(event)
        return NOTHING

    def settings(self, monitor_id: str) -> MonitorSettings:
        """Return a monitor as the policy needs it."""
        monitor = self.monitors[monitor_id]
        fields = monitor.fields
        return MonitorSettings(
            monitor_id=monitor_id,
            organization_id=monitor.organization_id,
            customer_id=monitor.customer_id,
            hostname=fields["hostname"],
            status=fields["status"],
            interval_seconds=fields["check_interval"] * _SECONDS_PER_MINUTE,
            timeout_seconds=fields["timeout_seconds"],
            since=max(monitor.since, self._counts_from),
            checked_version=monitor.checked_version,
            locations=self._locations_of(monitor),
            policy=self.policy(monitor),
        )

    def memory_seconds(self) -> float:
        """Return how far back checks may matter: the longest streak of any monitor."""
        return max((self._streak_seconds(each) for each in self._live()), default=0.0)

    def _streak_seconds(self, monitor: WatchedMonitor) -> float:
        policy = self.policy(monitor)
        checks = max(policy.consecutive_checks, policy.recovery_checks, SLOW_CHECKS)
        interval = monitor.fields["check_interval"] * _SECONDS_PER_MINUTE
        # One check may just have ended, and one may be late.
        return float((checks + 2) * (interval + monitor.fields["timeout_seconds"]))

    def policy(self, monitor: WatchedMonitor) -> AlertPolicy:
        """Return the alert policy of a monitor: its own, its package's, the default."""
        customer = self.customer(monitor)
        package = self._package(monitor.organization_id, customer["package_type"])
        return policy_of(
            package,
            customer["alert_location_threshold_count"],
            monitor.fields.get("alert_policy"),
        )

    def customer(self, monitor: WatchedMonitor) -> dict[str, Any]:
        """Return the fields of the customer of a monitor."""
        return self._customers.get(monitor.customer_id, {**CUSTOMER_DEFAULTS})

    def _package(self, organization_id: str, package_type: str | None) -> dict[str, Any] | None:
        for each in self._packages.values():
            if (
                each.organization_id == organization_id
                and each.fields["package_type"] == package_type
            ):
                return each.fields
        return None

    def _locations_of(self, monitor: WatchedMonitor) -> tuple[str, ...]:
        """Return the places that may check a monitor. No countries mean no restriction."""
        countries = (
            monitor.fields["allowed_check_country_codes"]
            or self.customer(monitor)["allowed_check_country_codes"]
        )
        return tuple(
            each.code
            for each in self._locations.values()
            if not each.is_retired and may_check(each.country, countries)
        )

    def _fold_monitor(self, event: Any) -> Effect:  # noqa: ANN401 - as in `fold`
        monitor_id = str(event.originator_id)
        moment = event.timestamp.timestamp()
        match event:
            case Monitor.Created():
                self.monitors[monitor_id] = WatchedMonitor(
                    monitor_id,
                    event.organization_id,
                    event.customer_id,
                    dict(vars(event)),
                    moment,
                )
            case Monitor.Updated():
                self._change_monitor(self.monitors[monitor_id], event, moment)
            case Monitor.Deleted():
                self.monitors[monitor_id].is_deleted = True
                return Effect(removed=monitor_id)
        return Effect(frozenset({monitor_id}))

    @staticmethod
    def _change_monitor(monitor: WatchedMonitor, event: Any, moment: float) -> None:  # noqa: ANN401 - as in `fold`
        was_disabled = monitor.fields["status"] == "disabled"
        monitor.fields.update(event.changes)
        monitor.version = event.originator_version
        if not _CHECKED_FIELDS.isdisjoint(event.changes):
            monitor.checked_version = event.originator_version
            monitor.since = moment
        if was_disabled and monitor.fields["status"] != "disabled":
            monitor.since = moment

    def _fold_customer(self, event: Any) -> Effect:  # noqa: ANN401 - as in `fold`
        customer_id = str(event.originator_id)
        if isinstance(event, Customer.Created):
            self._customers[customer_id] = {**CUSTOMER_DEFAULTS, **event.details}
            return NOTHING
        self._customers[customer_id].update(event.changes)
        theirs = (each.monitor_id for each in self._live() if each.customer_id == customer_id)
        return Effect(frozenset(theirs), plans=True)

    def _fold_location(self, event: Any) -> None:  # noqa: ANN401 - as in `fold`
        key = str(event.originator_id)
        match event:
            case MonitoringLocation.Created():
                self._locations[key] = _Location(event.code, event.country)
            case MonitoringLocation.Updated():
                found = self._locations[key]
                found.country = event.changes.get("country", found.country)
            case MonitoringLocation.Retired():
                self._locations[key].is_retired = True
            case MonitoringLocation.Restored():
                self._locations[key].is_retired = False

    def _fold_tags(self, event: Any) -> Effect:  # noqa: ANN401 - as in `fold`
        monitor = self.monitors.get(event.monitor_id)
        if monitor is None:
            return NOTHING
        if isinstance(event, MonitorTags.Removed):
            monitor.tags.discard(event.tag_id)
        else:
            monitor.tags.add(event.tag_id)
        return Effect(plans=True)

    def _fold_resource(self, event: Any) -> Effect:  # noqa: ANN401 - as in `fold`
        match event:
            case MaintenanceWindow.Event():
                self._fold_window(event)
                return Effect(plans=True)
            case NotificationChannel.Event():
                _fold_into(self.channels, event, NotificationChannel)
                return Effect(plans=True)
            case PackageConfig.Event():
                _fold_into(self._packages, event, PackageConfig)
                return Effect(frozenset(each.monitor_id for each in self._live()), plans=True)
        return NOTHING

    def _fold_window(self, event: Any) -> None:  # noqa: ANN401 - as in `fold`
        """Keep the version before: it says when a window that was moved or deleted ended."""
        newest: dict[str, Configured] = {}
        key, moment = str(event.originator_id), event.timestamp.timestamp()
        versions = self.windows.setdefault(key, [])
        if versions:
            versions[-1].until = moment
            newest[key] = replace(
                versions[-1], fields=dict(versions[-1].fields), until=float("inf")
            )
        _fold_into(newest, event, MaintenanceWindow)
        if key in newest:
            versions.append(replace(newest[key], since=moment))

    def _live(self) -> Iterator[WatchedMonitor]:
        return (each for each in self.monitors.values() if not each.is_deleted)


def _fold_into(found: dict[str, Configured], event: Any, kind: type[Resource]) -> None:  # noqa: ANN401 - as in `fold`
    """Apply an event of a resource to the resources of its kind."""
    key = str(event.originator_id)
    match event:
        case Resource.Created():
            fields = {**kind.defaults(), **event.fields}
            since = event.timestamp.timestamp()
            found[key] = Configured(event.organization_id, fields, 1, since)
        case Resource.Updated():
            found[key].fields.update(event.changes)
            found[key].version = event.originator_version
        case Resource.Deleted():
            found.pop(key, None)
