"""The registry of monitors: what the checker knows of each one, folded from the `monitoring` log.

Pure: events in, state out. Knows no schedule, no secrets in clear and no sockets. It keeps
every monitor of the installation, so each takes little memory: equal values are shared, and a
config stays JSON bytes until a check needs it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from domain.kinds import KINDS, Kind
from domain.location import MonitoringLocation, location_id
from domain.monitor import Monitor
from domain.monitor_requests import CheckRequested
from domain.organization import Customer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from checker.runtime.location import Location
    from domain.kinds import Config


_COUNTRIES: Final = "allowed_check_country_codes"
_NO_CONFIG: Final = b"{}"
_SHARED: Final = 512
"""How many distinct intervals, country lists and configs are kept for sharing."""

_SECONDS_PER_MINUTE: Final = 60
_MILLISECONDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledMonitor:
    """One version of a monitor. `country_codes` None means the countries of its customer.

    `changed_at` is when this version began, or when the monitor came to be checked from here,
    in seconds since 1970. It comes from the event, so that every checker knows the same time.
    """

    monitor_id: UUID
    version: int
    kind: Kind
    organization_id: str
    customer_id: str
    hostname: str
    port: int | None
    status: str
    interval_seconds: float
    timeout_seconds: float
    country_codes: tuple[str, ...] | None
    config_json: bytes = field(repr=False)
    changed_at: float

    @property
    def config(self) -> Config:
        """The stored config; its secret is sealed."""
        config: Config = json.loads(self.config_json)
        return config


class MonitorRegistry:
    """All monitors at one position of the log, and whether this location may check them."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._location_id = location_id(location.code)
        self.is_retired = False
        """Whether the location is retired at this position."""

        self._monitors: dict[UUID, ScheduledMonitor] = {}
        self._requested: dict[UUID, float] = {}
        self._customer_countries: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._monitors)

    def apply(self, event: object) -> Collection[UUID]:
        """Apply one event of the log; return the monitors that it affects."""
        match event:
            case Monitor.Created():
                return self._create(event)
            case Monitor.Updated():
                return self._update(event)
            case Monitor.Deleted():
                self._monitors.pop(event.originator_id, None)
                self._requested.pop(event.originator_id, None)
                return (event.originator_id,)
            case CheckRequested():
                self._requested[UUID(event.monitor_id)] = event.timestamp.timestamp()
            case Customer.Created():
                self._note_countries(event.originator_id, event.details)
            case Customer.Updated():
                return self._change_customer(event)
            case MonitoringLocation.Retired() | MonitoringLocation.Restored():
                self._note_retirement(event)
        return ()

    def find(self, monitor_id: UUID, *, even_disabled: bool = False) -> ScheduledMonitor | None:
        """Return a monitor that is checked from this location, None for any other one.

        `even_disabled`: return also a disabled one that would be checked from here.
        """
        monitor = self._monitors.get(monitor_id)
        if monitor is None:
            return None
        may_check = self._may_check if even_disabled else self._is_checked_here
        return monitor if may_check(monitor) else None

    def last_request(self, monitor_id: UUID) -> float | None:
        """Return when people last asked for a check of a monitor, in seconds since 1970."""
        return self._requested.get(monitor_id)

    def find_all(self) -> Iterator[ScheduledMonitor]:
        """Yield every monitor that is checked from this location."""
        return filter(self._is_checked_here, self._monitors.values())

    def of_customers(self, customer_ids: Collection[str]) -> Iterator[ScheduledMonitor]:
        """Yield the monitors of some customers that are checked from this location."""
        for each in self._monitors.values() if customer_ids else ():
            if each.customer_id in customer_ids and self._is_checked_here(each):
                yield each

    def _is_checked_here(self, monitor: ScheduledMonitor) -> bool:
        return monitor.status != "disabled" and self._may_check(monitor)

    def _may_check(self, monitor: ScheduledMonitor) -> bool:
        countries = monitor.country_codes
        if countries is None:
            countries = self._customer_countries.get(monitor.customer_id, ())
        return self.location.may_check(countries)

    def _note_retirement(
        self, event: MonitoringLocation.Retired | MonitoringLocation.Restored
    ) -> None:
        if event.originator_id == self._location_id:
            self.is_retired = isinstance(event, MonitoringLocation.Retired)

    def _create(self, event: Monitor.Created) -> Collection[UUID]:
        self._monitors[event.originator_id] = ScheduledMonitor(
            monitor_id=event.originator_id,
            version=event.originator_version,
            kind=KINDS[event.kind].name,
            organization_id=intern(event.organization_id),
            customer_id=intern(event.customer_id),
            hostname=event.hostname,
            port=event.port,
            status=intern(event.status),
            interval_seconds=_seconds(event.check_interval),
            timeout_seconds=event.timeout_seconds,
            country_codes=_countries(event.allowed_check_country_codes),
            config_json=_as_json(event.config),
            changed_at=event.timestamp.timestamp(),
        )
        return (event.originator_id,)

    def _update(self, event: Monitor.Updated) -> Collection[UUID]:
        monitor_id = event.originator_id
        changed = {
            ours: read(event.changes[theirs])
            for theirs, (ours, read) in _CHANGES.items()
            if theirs in event.changes
        }
        self._monitors[monitor_id] = replace(
            self._monitors[monitor_id],
            version=event.originator_version,
            changed_at=event.timestamp.timestamp(),
            **changed,
        )
        return (monitor_id,)

    def _note_countries(self, customer_id: UUID, fields: dict[str, Any]) -> None:
        """Remember the countries for the monitors that have none of their own."""
        if _COUNTRIES in fields:
            countries = _countries(fields[_COUNTRIES])
            self._customer_countries[intern(str(customer_id))] = countries or ()

    def _change_customer(self, event: Customer.Updated) -> Collection[UUID]:
        """Return the monitors that begin or cease to be checked from here."""
        if _COUNTRIES not in event.changes:
            return ()
        owner = str(event.originator_id)
        monitors = [each for each in self._monitors.values() if each.customer_id == owner]
        before = [self._is_checked_here(each) for each in monitors]
        self._note_countries(event.originator_id, event.changes)
        changed = [
            monitor
            for monitor, was_checked in zip(monitors, before, strict=True)
            if self._is_checked_here(monitor) != was_checked
        ]
        changed_at = event.timestamp.timestamp()
        for each in changed:
            self._monitors[each.monitor_id] = replace(each, changed_at=changed_at)
        return [each.monitor_id for each in changed]


@lru_cache(_SHARED)
def _seconds(minutes: float) -> float:
    return round(minutes * _SECONDS_PER_MINUTE, _MILLISECONDS)


def _countries(codes: object) -> tuple[str, ...] | None:
    return _codes(*map(str, codes)) if codes and isinstance(codes, list) else None


@lru_cache(_SHARED)
def _codes(*codes: str) -> tuple[str, ...]:
    return codes


def _as_json(config: Config) -> bytes:
    return _encoded(json.dumps(config, separators=(",", ":"))) if config else _NO_CONFIG


@lru_cache(_SHARED)
def _encoded(text: str) -> bytes:
    return text.encode()


def _as_sent(value: Any) -> Any:  # noqa: ANN401 - a field in its normal form, of any type
    return value


_CHANGES: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "hostname": ("hostname", _as_sent),
    "port": ("port", _as_sent),
    "status": ("status", intern),
    "check_interval": ("interval_seconds", _seconds),
    "timeout_seconds": ("timeout_seconds", _as_sent),
    "allowed_check_country_codes": ("country_codes", _countries),
    "config": ("config_json", _as_json),
}
"""The changeable fields that the checker needs: their names here, and how to read them."""
