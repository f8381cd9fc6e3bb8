"""Availability: what checks say about the time between them, for reports of uptime.

A check counts for the time until the next one should have ended. Time for which no check
counts is unknown, and never counted as up. Pure functions; times are milliseconds since 1970.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from domain.location import MonitoringLocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


CheckState = Literal["up", "down", "maintenance"]
"""What a check can say of the time after it; the rest of the time watched is unknown."""

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


def watched_spans(statuses: Iterable[tuple[int, str]], now: int) -> list[Span]:
    """Return when a monitor was to be checked, up to now.

    `statuses` is what the monitor's status was set to, and when; a deleted one is disabled.
    """
    return _spans(((moment, status != "disabled") for moment, status in statuses), now)


def retired_spans(events: Iterable[object], now: int) -> list[Span]:
    """Return when a location was retired, from the events of its stream, up to now."""
    changes = (
        (milliseconds(event.timestamp), isinstance(event, MonitoringLocation.Retired))
        for event in events
        if isinstance(event, MonitoringLocation.Retired | MonitoringLocation.Restored)
    )
    return _spans(changes, now)


def subtract(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """Return the parts of some spans that are in none of the holes.

    The spans stay in their order. The time taken grows with the number of spans, holes and
    parts, not with the product: a tenant decides how many changes a monitor has.
    """
    merged = _union(holes)
    ends = [each.end for each in merged]
    left: list[Span] = []
    for span in spans:
        start, end = span
        number = bisect_right(ends, start)
        while start < end:
            hole = merged[number] if number < len(merged) else Span(end, end)
            if start < hole.start:
                left.append(Span(start, min(hole.start, end)))
            start = hole.end
            number += 1
    return left


def _union(spans: Iterable[Span]) -> list[Span]:
    """Return the times that are in at least one span, in order and apart from each other."""
    merged: list[Span] = []
    for span in sorted(each for each in spans if each.start < each.end):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _spans(changes: Iterable[tuple[int, bool]], now: int) -> list[Span]:
    """Return the times in which something was on; a change says when, and whether it is on then."""
    spans: list[Span] = []
    since: int | None = None
    for moment, is_on in changes:
        if is_on and since is None:
            since = moment
        if not is_on and since is not None:
            if since < moment:  # unless a clock went back
                spans.append(Span(since, moment))
            since = None
    if since is not None and since < now:
        spans.append(Span(since, now))
    return spans


def overlaps_ms(spans: Iterable[Span], starts: range, end: int) -> list[int]:
    """Return how many milliseconds of spans are in each of some buckets.

    `starts` is the begin of each bucket, which ends where the next one begins; the last one ends
    at `end`. A time that two spans share counts twice. Every span is looked at once.
    """
    found = [0] * len(starts)
    for span in spans:
        start, stop = max(span.start, starts.start), min(span.end, end)
        while start < stop:
            number = (start - starts.start) // starts.step
            until = min(starts.start + (number + 1) * starts.step, stop)
            found[number] += until - start
            start = until
    return found
