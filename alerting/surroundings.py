"""The maintenance windows and the notification channels of a monitor, for the policy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from alerting.policy.facts import Channel, Channels, Windows
from domain.channel_types import CHANNEL_TYPES
from domain.maintenance_window import covers, recurrence_of
from domain.recurrence import MAX_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alerting.configuration import Configuration, Configured, WatchedMonitor
    from domain.alert_policy import AlertPolicy


_MINUTE: Final = 60.0


class MonitorWindows(Windows):
    """Answers from the windows that people planned, moved and cancelled."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    @override
    def open_until(self, monitor_id: str, now: float) -> float | None:
        versions = list(self._covering(monitor_id))
        end, moment = None, now
        while (found := _latest_end(versions, moment)) is not None and found > moment:
            end = moment = found
        return end

    @override
    def last_end(self, monitor_id: str, now: float) -> float:
        since = _datetime(now) - MAX_LENGTH
        ends = (
            min(occurrence.end.timestamp(), version.until)
            for version in self._covering(monitor_id)
            for occurrence in recurrence_of(version.fields).between(since, _datetime(now))
            if occurrence.start.timestamp() < version.until
            and occurrence.end.timestamp() > version.since
        )
        return max((each for each in ends if each <= now), default=float("-inf"))

    def _covering(self, monitor_id: str) -> Iterator[Configured]:
        """Yield every version of the windows that are about a monitor."""
        monitor = self._configuration.monitors[monitor_id]
        for versions in self._configuration.windows.values():
            for each in versions:
                if (
                    each.organization_id == monitor.organization_id
                    and each.fields["is_active"]
                    and covers(
                        each.fields,
                        monitor_id=monitor_id,
                        customer_id=monitor.customer_id,
                        tag_ids=frozenset(monitor.tags),
                    )
                ):
                    yield each


def _latest_end(versions: Sequence[Configured], moment: float) -> float | None:
    """Return when the last of the windows that are open at a moment ends."""
    ends = []
    for version in versions:
        if version.since <= moment < version.until:
            found = recurrence_of(version.fields).open_at(_datetime(moment))
            if found is not None:
                ends.append(min(found.end.timestamp(), version.until))
    return max(ends, default=None)


def _datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class MonitorChannels(Channels):
    """Answers from the channels of an organization, and the addresses of a monitor itself."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    @override
    def of(self, monitor_id: str) -> Sequence[Channel]:
        monitor = self._configuration.monitors[monitor_id]
        policy = self._configuration.policy(monitor)
        return [*self._organization(monitor, policy), *self._own(monitor, policy)]

    def _organization(self, monitor: WatchedMonitor, policy: AlertPolicy) -> Iterator[Channel]:
        package = self._configuration.customer(monitor)["package_type"]
        ordered = sorted(
            self._configuration.channels.items(),
            key=lambda each: (each[1].fields["priority"], each[0]),
        )
        for channel_id, each in ordered:
            if each.organization_id == monitor.organization_id and _is_meant(
                each.fields, monitor.customer_id, package, policy
            ):
                yield _channel(channel_id, each, policy)

    def _own(self, monitor: WatchedMonitor, policy: AlertPolicy) -> Iterator[Channel]:
        """Yield the mail address and the telephone of a monitor, else those of its customer."""
        customer = self._configuration.customer(monitor)
        addresses = {"email": "notification_email", "sms": "notification_phone_number"}
        for switch, key in addresses.items():
            if switch in policy.channels_off:
                continue
            if monitor.fields.get(key):
                name, version = f"monitor:{monitor.monitor_id}:{switch}", monitor.version
            elif customer.get(key):
                name, version = f"customer:{monitor.customer_id}:{switch}", 1
            else:
                continue
            delay = policy.notification_delay_minutes * _MINUTE
            yield Channel(name, version, delay_seconds=delay)


def _is_meant(
    fields: dict[str, Any], customer_id: str, package: str | None, policy: AlertPolicy
) -> bool:
    """Return whether a channel hears of the monitors of a customer."""
    allowed = fields["allowed_package_types"]
    return (
        fields["is_active"]
        and fields["customer_id"] in (None, customer_id)
        and (not allowed or package in allowed)
        and CHANNEL_TYPES[fields["type"]].switch not in policy.channels_off
    )


def _channel(channel_id: str, found: Configured, policy: AlertPolicy) -> Channel:
    conditions = found.fields["conditions"] or {}
    return Channel(
        channel_id,
        found.version,
        for_people=CHANNEL_TYPES[found.fields["type"]].audience == "people",
        delay_seconds=found.fields["delay_seconds"] + policy.notification_delay_minutes * _MINUTE,
        least_seconds=conditions.get("minIncidentDuration", 0),
    )
