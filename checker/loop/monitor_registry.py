"""What the checker must know of each monitor, folded from the `monitoring` log.

Pure: events in, state out. Knows no schedule, no secrets in clear and no sockets. The
state is kept for every monitor there is, so it is small: texts that repeat are shared,
and the config object stays the bytes that it is until a check needs it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Any, Final

from domain.kinds import KINDS, Kind
from domain.location import MonitoringLocation, location_id
from domain.monitor import Monitor
from domain.organization import Customer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from uuid import UUID

    from checker.runtime.location import Location
    from domain.kinds import Config


_COUNTRIES: Final = "allowed_check_country_codes"
_NO_CONFIG: Final = b"{}"
_SHARED: Final = 512
"""How many of the last intervals, countries and configs are looked through for an equal one."""

_SECONDS_PER_MINUTE: Final = 60
_MILLISECONDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledMonitor:
    """One version of a monitor. `country_codes` None means: as its customer has it.

    `changed_at` is when it became what it is, or came to be checked from here: seconds since
    1970, as its event says, so that every checker knows the same.
    """

    monitor_id: UUID
    version: int
    kind: Kind
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
        """Return the stored config, its secret sealed."""
        config: Config = json.loads(self.config_json)
        return config


class MonitorRegistry:
    """All monitors at one position of the log."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._location_id = location_id(location.code)
        self.is_retired = False
        """Whether the location is retired at this position."""

        self._monitors: dict[UUID, ScheduledMonitor] = {}
        self._customer_countries: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._monitors)

    def apply(self, event: object) -> Collection[UUID]:
        """Fold one event of the log in; return the monitors for which it matters."""
        match event:
            case Monitor.Created():
                return self._create(event)
            case Monitor.Updated():
                return self._update(event)
            case Monitor.Deleted():
                self._monitors.pop(event.originator_id, None)
                return (event.originator_id,)
            case Customer.Created():
                self._note_countries(event.originator_id, event.details)
            case Customer.Updated():
                return self._change_customer(event)
            case MonitoringLocation.Retired() | MonitoringLocation.Restored():
                self._note_retirement(event)
        return ()

    def watched(self, monitor_id: UUID) -> ScheduledMonitor | None:
        """Return a monitor that is to be checked from here, else None."""
        monitor = self._monitors.get(monitor_id)
        return monitor if monitor is not None and self._is_ours(monitor) else None

    def all_watched(self) -> Iterator[ScheduledMonitor]:
        """Return every monitor that is to be checked from here."""
        return filter(self._is_ours, self._monitors.values())

    def _is_ours(self, monitor: ScheduledMonitor) -> bool:
        countries = monitor.country_codes
        if countries is None:
            countries = self._customer_countries.get(monitor.customer_id, ())
        return monitor.status != "disabled" and self.location.may_check(countries)

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
        """Take over what counts for monitors that have no countries of their own."""
        if _COUNTRIES in fields:
            countries = _countries(fields[_COUNTRIES])
            self._customer_countries[intern(str(customer_id))] = countries or ()

    def _change_customer(self, event: Customer.Updated) -> Collection[UUID]:
        """Return the monitors that are checked from here only now, or no more."""
        if _COUNTRIES not in event.changes:
            return ()
        owner = str(event.originator_id)
        monitors = [each for each in self._monitors.values() if each.customer_id == owner]
        before = [self._is_ours(each) for each in monitors]
        self._note_countries(event.originator_id, event.changes)
        changed = [
            monitor
            for monitor, was_ours in zip(monitors, before, strict=True)
            if self._is_ours(monitor) != was_ours
        ]
        moment = event.timestamp.timestamp()
        for each in changed:
            self._monitors[each.monitor_id] = replace(each, changed_at=moment)
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
"""Changed fields that matter to the checker: their name here, and how to read them."""
