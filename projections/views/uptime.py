"""The `roll_ups` view: the checks of every hour in short, which stay when checks are archived.

A row of `streams` holds the last check of a monitor at a location and the hour that is still
open; a row of `days` the finished hours of a day. So a check reads and writes one small row,
and the row of a day is written once an hour.

How long a check counts for the monitor's state depends on the version of the configuration that
was checked. `LoggedCheckSettings` reads that from the `monitoring` log. A version never
changes, so the same checks always fold to the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self
from uuid import UUID

from typing_extensions import override

from domain.availability import (
    CHECK_STATES,
    HOUR_MS,
    KnownSpan,
    WatchSettings,
    counts_until,
    cut_maintenance,
    milliseconds,
    split_by_hour,
    state_of,
)
from domain.check import CheckPerformed
from domain.monitor import Monitor
from projections.core.projection import Projection, RowBuffer, batched
from projections.core.table import Table
from projections.views.last_checks import stream_key
from projections.views.rollup import add_recent, count_recent, from_open, from_text, to_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.monitoring import Monitoring
    from projections.core.table import Record, Transaction
    from store.log_reader import LoggedEvent
    from store.store import Store


_KNOWN_MONITORS: Final = 250_000
"""Monitors whose versions a process remembers: about 75 MB."""

_READ_ON_FROM: Final = 64
"""Versions from which on a known stream is read on instead of again, by a query of its own."""

_KNOWN_SETTINGS: Final = 1 << 10
_MS_PER_MINUTE: Final = 60_000
_MS_PER_SECOND: Final = 1000
_COUNT_EVERY: Final = 24
"""Checks whose durations a stream's row collects before it counts them, which takes time. Most
streams have fewer an hour."""

_FIELDS: Final = ("status", "check_interval", "timeout_seconds")


class CheckSettings(Protocol):
    """How monitors were checked at each version of their configuration."""

    def look_up(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Read together what `at` will be asked for: ids of monitors, and versions of them."""

    def at(self, monitor_id: str, version: int) -> WatchSettings | None:
        """Return how a monitor was checked at a version; None when that does not exist."""
        ...


class NoCheckSettings(CheckSettings):
    """The settings when no monitor exists: checks are counted, but cover no time."""

    @override
    def look_up(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Do nothing."""

    @override
    def at(self, monitor_id: str, version: int) -> WatchSettings | None:
        return None


NO_CHECK_SETTINGS: Final = NoCheckSettings()


class _Versions(NamedTuple):
    """The versions of a monitor, and the highest one that was looked up.

    A version is recorded before any check of it. So a version that was missing when it was
    looked up will never exist.
    """

    sought: int
    found: tuple[WatchSettings, ...]


class LoggedCheckSettings(CheckSettings):
    """Reads the streams of monitors, each once until a newer version of it is asked for."""

    def __init__(self, monitoring: Monitoring, known_monitors: int = _KNOWN_MONITORS) -> None:
        """Take the number of monitors to remember."""
        self._known_monitors = known_monitors
        self._monitoring = monitoring
        self._known: dict[str, _Versions] = {}

    @override
    def look_up(self, wanted: Iterable[tuple[str, int]]) -> None:
        sought: dict[str, int] = {}
        for monitor_id, version in wanted:
            known = self._known.get(monitor_id)
            if known is None or version > known.sought:
                sought[monitor_id] = max(version, sought.get(monitor_id, 0))
        if not sought:
            return
        if len(self._known) + len(sought) > self._known_monitors:
            self._known.clear()
        # A stream that is known and long is read on from its last known version: a tenant that
        # changes a monitor between its checks must not have the whole stream read each time.
        versions = {each: self._known[each] for each in sought if each in self._known}
        long = {each: of for each, of in versions.items() if len(of.found) >= _READ_ON_FROM}
        whole = [each for each in sought if each not in long]
        events = self._monitoring.events_of([UUID(each) for each in whole]) if whole else []
        for monitor_id, of_monitor in zip(whole, events, strict=True):
            self._remember(monitor_id, sought[monitor_id], (), of_monitor)
        for monitor_id, of in long.items():
            newer = self._monitoring.events.get(UUID(monitor_id), gt=len(of.found))
            self._remember(monitor_id, sought[monitor_id], of.found, newer)

    def _remember(
        self,
        monitor_id: str,
        sought: int,
        found: tuple[WatchSettings, ...],
        newer: Iterable[object],
    ) -> None:
        found += tuple(_versions(newer, found[-1] if found else None))
        self._known[monitor_id] = _Versions(max(sought, len(found)), found)

    @override
    def at(self, monitor_id: str, version: int) -> WatchSettings | None:
        known = self._known.get(monitor_id)
        if known is None or version > known.sought:
            self.look_up([(monitor_id, version)])
            known = self._known[monitor_id]
        return known.found[version - 1] if 0 < version <= len(known.found) else None


def _versions(events: Iterable[object], last: WatchSettings | None) -> Iterable[WatchSettings]:
    """Return the settings after each of some events; `last` are those before the first one."""
    for event in events:
        if isinstance(event, Monitor.Created):
            values = {name: getattr(event, name) for name in _FIELDS}
            last = _changed(WatchSettings(0, 0, in_maintenance=False), values)
        elif isinstance(event, Monitor.Updated) and last is not None:
            last = _changed(last, event.changes)
        if last is not None:
            yield last


def _changed(settings: WatchSettings, values: dict[str, Any]) -> WatchSettings:
    interval_ms, timeout_ms, in_maintenance = settings
    if "check_interval" in values:
        interval_ms = round(values["check_interval"] * _MS_PER_MINUTE)
    if "timeout_seconds" in values:
        timeout_ms = round(values["timeout_seconds"] * _MS_PER_SECOND)
    if "status" in values:
        in_maintenance = values["status"] == "maintenance"
    return _shared(interval_ms, timeout_ms, in_maintenance)


@lru_cache(_KNOWN_SETTINGS)
def _shared(interval_ms: int, timeout_ms: int, in_maintenance: bool) -> WatchSettings:  # noqa: FBT001 - as its fields are
    """Return the one object of these values: most monitors are checked alike."""
    return WatchSettings(interval_ms, timeout_ms, in_maintenance)


STREAMS: Final = Table(
    "streams",
    {"monitor_id": "TEXT"},
    lambda record: (record["monitor_id"],),
    indexes=(("monitor_id",),),
)
DAYS: Final = Table(
    "days",
    {"monitor_id": "TEXT", "day": "TEXT"},
    lambda record: (record["monitor_id"], record["day"]),
    indexes=(("monitor_id", "day"),),
)


@dataclass(frozen=True)
class RollUps(Projection):
    """Folds checks. `settings` says how a monitor was checked at a version of it."""

    settings: CheckSettings = NO_CHECK_SETTINGS

    @override
    def bound(self, store: Store) -> Self:
        return replace(self, settings=LoggedCheckSettings(store.monitoring))

    @override
    def fold(self, events: Iterable[LoggedEvent], transaction: Transaction) -> None:
        rows = RowBuffer(transaction)
        streams: dict[str, Record] = {}
        finished: dict[tuple[str, str], dict[str, list[str]]] = {}
        for batch in batched(events):
            checks = [
                (stream_key(each.event), each.event)
                for each in batch
                if isinstance(each.event, CheckPerformed)
            ]
            rows.read(STREAMS, (key for key, _ in checks))
            self.settings.look_up((each.monitor_id, each.monitor_version) for _, each in checks)
            for key, check in checks:
                record = streams[key] = rows.get(STREAMS, key) or _new_stream(check)
                rows.put(STREAMS, key, record)
                for hour in add_check(record, check, self.settings):
                    day, name = day_and_hour(hour["hour"])
                    texts = finished.setdefault((key, day), {}).setdefault(name, [])
                    texts.append(to_text(from_open(hour)))
        days = {f"{key}/{day}": (key, day, hours) for (key, day), hours in finished.items()}
        rows.read(DAYS, days)
        for name, (key, day, hours) in days.items():
            rows.put(DAYS, name, _with_hours(rows.get(DAYS, name), streams[key], day, hours))
        rows.write()


PROJECTION: Final = RollUps(
    name="roll_ups",
    log="checks",
    tables=(STREAMS, DAYS),
    handlers={},
    version=2,
    batch=2000,
    rebuild_batch=10_000,
    # Hours and days are asked for, never milliseconds.
    rest_seconds=1.0,
)


def add_check(stream: Record, event: CheckPerformed, settings: CheckSettings) -> list[Record]:
    """Add a check to its stream's record; return the hours that it finishes."""
    ended = milliseconds(event.timestamp)
    finished: list[Record] = []
    for known in known_until(stream, ended):
        for hour, ms in split_by_hour(known.start, known.end):
            _open(stream, hour, finished)["known_ms"][CHECK_STATES.index(known.state)] += ms
    _add(_open(stream, ended // HOUR_MS, finished), event.outcome)
    watched = settings.at(event.monitor_id, event.monitor_version)
    stream["ended"] = ended
    stream["state"] = state_of(event.outcome["verdict"], watched) if watched else None
    stream["until"] = counts_until(ended, watched) if watched else ended
    return finished


def known_until(stream: Record, moment: int) -> Iterable[KnownSpan]:
    """Return the time that the last check of a stream covers, up to a moment.

    No event plans maintenance yet, so there are no windows of it.
    """
    end = min(moment, stream["until"])
    if stream["state"] is None or end <= stream["ended"]:
        return ()
    return cut_maintenance(KnownSpan(stream["ended"], end, stream["state"]), windows=())


def day_and_hour(hour: int) -> tuple[str, str]:
    """Return the day, and the hour in it, of an hour since 1970."""
    moment = datetime.fromtimestamp(hour * HOUR_MS / 1000, UTC)
    return moment.date().isoformat(), f"{moment.hour:02}"


def new_hour(hour: int) -> Record:
    """Return the record of an hour without checks."""
    nothing: Record = {"checks": 0, "failed": 0, "known_ms": [0] * len(CHECK_STATES)}
    return {"hour": hour, **nothing, "counted": "", "recent": {}}


def _new_stream(event: CheckPerformed) -> Record:
    ended = milliseconds(event.timestamp)
    return {
        "monitor_id": event.monitor_id,
        "location": event.location,
        "since": ended,
        "ended": ended,
        "state": None,
        "until": ended,
        "open": new_hour(ended // HOUR_MS),
    }


def _open(stream: Record, hour: int, finished: list[Record]) -> Record:
    """Return the record of an hour to add to; moves another open hour to `finished`."""
    current: Record = stream["open"]
    if current["hour"] == hour:
        return current
    finished.append(current)
    stream["open"] = new_hour(hour)
    opened: Record = stream["open"]
    return opened


def _add(hour: Record, outcome: dict[str, Any]) -> None:
    """Count a check."""
    hour["checks"] += 1
    hour["failed"] += outcome["verdict"] != "up"
    timings = outcome.get("timings")
    if timings:
        add_recent(hour, timings)
    if hour["checks"] % _COUNT_EVERY == 0:
        count_recent(hour)


def _with_hours(
    row: Record | None, stream: Record, day: str, hours: dict[str, list[str]]
) -> Record:
    """Return a day with more finished hours. An hour comes twice after a clock was set back."""
    known = dict(row["hours"]) if row else {}
    for name, texts in hours.items():
        for text in texts:
            known[name] = _merged(known[name], text) if name in known else text
    names = {each: stream[each] for each in ("monitor_id", "location")}
    return {**names, "day": day, "hours": dict(sorted(known.items()))}


def _merged(one: str, other: str) -> str:
    both = from_text(one)
    both.merge(from_text(other))
    return to_text(both)
