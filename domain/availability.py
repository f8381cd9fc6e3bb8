"""Availability: what checks say about the time between them, for reports of uptime.

A check counts for the time until the next one should have ended. Time for which no check
counts is unknown, and never counted as up. Pure functions; times are milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from domain.location import MonitoringLocation
from domain.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


CheckState = Literal["up", "down", "maintenance"]
"""What a check can say of the time after it; the rest of the time watched is unknown."""

IsOnAfter = Callable[[object, bool], bool]
"""Returns whether something is on after an event, given whether it was on before."""

CHECK_STATES: Final[tuple[CheckState, ...]] = ("up", "down", "maintenance")
HOUR_MS: Final = 3_600_000
LATE_MS: Final = 30_000
"""How late a check may begin, so that the check before it still counts until then."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class WatchSettings(NamedTuple):
    """How a monitor was checked at one version of its configuration."""

    interval_ms: int
    timeout_ms: int
    in_maintenance: bool


class Span(NamedTuple):
    """A time from `start` up to and without `end`."""

    start: int
    end: int


class KnownSpan(NamedTuple):
    """A time in which a server was in a state."""

    start: int
    end: int
    state: CheckState


def milliseconds(moment: datetime) -> int:
    """Return a moment in milliseconds since 1970."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def state_of(verdict: str, watched: WatchSettings) -> CheckState:
    """Return what a check with this verdict says of the time after it."""
    if watched.in_maintenance:
        return "maintenance"
    return "up" if verdict == "up" else "down"


def counts_until(ended: int, watched: WatchSettings) -> int:
    """Return until when a check that ended at `ended` counts if no other check follows it."""
    return ended + watched.interval_ms + watched.timeout_ms + LATE_MS


def cut_maintenance(known: KnownSpan, windows: Sequence[Span]) -> Iterable[KnownSpan]:
    """Cut a known time at planned maintenance: inside a window it is maintenance.

    `windows` are in order and do not overlap.
    """
    is_whole = not windows and known.start < known.end
    return (known,) if is_whole else _cut(known, windows)


def split_by_hour(start: int, end: int) -> Iterable[tuple[int, int]]:
    """Cut a time into hours (UTC): the number of the hour since 1970, and milliseconds in it."""
    hour = start // HOUR_MS
    # Most times lie in one hour, and there are as many as checks.
    is_in_one = start < end <= (hour + 1) * HOUR_MS
    return ((hour, end - start),) if is_in_one else _hours(start, end)


def _cut(known: KnownSpan, windows: Iterable[Span]) -> Iterator[KnownSpan]:
    start = known.start
    for window in windows:
        begin, end = max(window.start, start), min(window.end, known.end)
        if begin >= end:
            continue
        if start < begin:
            yield KnownSpan(start, begin, known.state)
        yield KnownSpan(begin, end, "maintenance")
        start = end
    if start < known.end:
        yield KnownSpan(start, known.end, known.state)


def _hours(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        hour = start // HOUR_MS
        stop = min((hour + 1) * HOUR_MS, end)
        yield hour, stop - start
        start = stop


def watched_spans(events: Iterable[object], now: int) -> list[Span]:
    """Return when a monitor was to be checked, from the events of its stream, up to now."""

    def is_watched(event: object, was: bool) -> bool:  # noqa: FBT001 - a fold: state and event
        match event:
            case Monitor.Created():
                return bool(event.status != "disabled")
            case Monitor.Updated():
                status = event.changes.get("status", "active" if was else "disabled")
                return bool(status != "disabled")
            case Monitor.Deleted():
                return False
        return was

    return _spans(events, is_watched, now)


def retired_spans(events: Iterable[object], now: int) -> list[Span]:
    """Return when a location was retired, from the events of its stream, up to now."""

    def is_retired(event: object, was: bool) -> bool:  # noqa: FBT001 - a fold: state and event
        match event:
            case MonitoringLocation.Retired():
                return True
            case MonitoringLocation.Restored():
                return False
        return was

    return _spans(events, is_retired, now)


def subtract(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """Return the parts of some spans that are in none of the holes."""
    left = list(spans)
    for hole in holes:
        cut = (
            (Span(each.start, min(each.end, hole.start)), Span(max(each.start, hole.end), each.end))
            for each in left
        )
        left = [part for parts in cut for part in parts if part.start < part.end]
    return left


def _spans(events: Iterable[object], is_on_after: IsOnAfter, now: int) -> list[Span]:
    """Return the times in which something was on, according to `is_on_after` for each event."""
    spans: list[Span] = []
    since: int | None = None
    for event in events:
        moment = milliseconds(getattr(event, "timestamp", _EPOCH))
        is_on = is_on_after(event, since is not None)
        if is_on and since is None:
            since = moment
        if not is_on and since is not None:
            if since < moment:  # unless a clock went back
                spans.append(Span(since, moment))
            since = None
    if since is not None and since < now:
        spans.append(Span(since, now))
    return spans


def overlap_ms(spans: Sequence[Span], start: int, end: int) -> int:
    """Return how many milliseconds of a time are inside spans that do not overlap each other."""
    return sum(max(min(each.end, end) - max(each.start, start), 0) for each in spans)
