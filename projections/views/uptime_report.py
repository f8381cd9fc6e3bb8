"""The uptime report of a monitor by hours or days, from its roll-ups and its own history.

Each location watches by itself, and the times of several locations are added up. The location
that checked first answers for the time since the monitor was created, another one since its
first check. A retired location answers for the time of its retirement only as far as its last
check covers it. When no other location is left, the first location answers for the rest, which
is unknown: no check shows that the server is up.

The JSON has seconds in each state, checks, and durations by phase.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import chain
from math import floor
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from domain.availability import (
    CHECK_STATES,
    HOUR_MS,
    Span,
    milliseconds,
    overlaps_ms,
    split_by_hour,
    subtract,
)
from domain.clock import iso_milliseconds
from domain.errors import InvalidValueError
from projections.views.rollup import RollUp, from_open, from_text, quantile
from projections.views.uptime import day_and_hour, known_until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from domain.monitoring import Monitoring
    from projections.core.table import Record
    from projections.readers.uptime import RollUpReader
    from projections.views.rollup import PhaseDurations


Granularity = Literal["hour", "day"]

BUCKET_MS: Final[dict[Granularity, int]] = {"hour": HOUR_MS, "day": 24 * HOUR_MS}
_HOURS_A_DAY: Final = 24
_EPOCH: Final = date(1970, 1, 1)


GRANULARITIES: Final[tuple[Granularity, ...]] = get_args(Granularity)
RANGES: Final = {
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=31),
    "year": timedelta(days=366),
}
_EARLIEST: Final = datetime(1972, 1, 1, tzinfo=UTC)
_BY_HOURS: Final = timedelta(days=2)


Retirements = Callable[[str], Sequence[Span]]
"""Returns when a location, by code, was retired."""


_Hours = dict[int, RollUp]
"""Roll-ups by the number of the hour since 1970."""


class Bucket(NamedTuple):
    """One hour or day of a report. `unknown_ms`: time to be checked that no check covers."""

    start: int
    roll_up: RollUp
    unknown_ms: int
    not_watched_ms: int


class ReportPeriod(NamedTuple):
    """The time of a report, `end` excluded, in milliseconds since 1970. Buckets are full ones."""

    start: int
    end: int
    granularity: Granularity

    def buckets(self) -> range:
        """Return the begin of each bucket."""
        step = BUCKET_MS[self.granularity]
        return range(self.start // step * step, self.end, step)


def report_period(
    name: str, granularity: Granularity | None, now: datetime, end: datetime | None = None
) -> ReportPeriod:
    """Return the time of a range by its name that ends at a moment, by default now.

    It ends with the hour of that moment, because a finished hour is stored as a whole, but
    never in the future. Raises InvalidValueError for a year by hours.
    """
    if name == "year" and granularity == "hour":
        raise InvalidValueError("granularity", "a year is shown by days")
    last = min(max(end or now, _EARLIEST), now)
    start = milliseconds(last - RANGES[name])
    whole = -(-milliseconds(last) // HOUR_MS) * HOUR_MS
    return ReportPeriod(
        start, min(whole, milliseconds(now)), granularity or ("hour" if name == "day" else "day")
    )


def period_between(start: datetime, end: datetime, now: datetime) -> ReportPeriod:
    """Return a time by hours up to two days, else by days; it does not end in the future."""
    last = min(max(end, _EARLIEST), now)
    first = min(max(start, _EARLIEST), last)
    granularity: Granularity = "hour" if last - first <= _BY_HOURS else "day"
    return ReportPeriod(milliseconds(first), milliseconds(last), granularity)


def monitor_uptime(
    monitoring: Monitoring,
    reader: RollUpReader,
    monitor_id: UUID,
    period: ReportPeriod,
    now: datetime,
) -> list[Bucket]:
    """Return the buckets of a time of a monitor that is or was in the `monitoring` log."""
    until = milliseconds(now)
    watched = monitoring.watched(monitor_id, until)
    retirements = partial(monitoring.retirements, now=until)
    return uptime(reader, str(monitor_id), watched, period, retirements)


def uptime(
    reader: RollUpReader,
    monitor_id: str,
    watched: Sequence[Span],
    period: ReportPeriod,
    retirements: Retirements,
) -> list[Bucket]:
    """Return the buckets of a time. `watched` is when the monitor was to be checked."""
    begin = period.buckets().start
    first, last = day_and_hour(begin // HOUR_MS)[0], day_and_hour(period.end // HOUR_MS)[0]
    streams, days = reader.rows(monitor_id, first, last)
    streams = sorted(streams, key=lambda each: each["since"])
    days_of: defaultdict[str, list[Record]] = defaultdict(list)
    for day in days:
        days_of[day["location"]].append(day)
    locations = [
        (
            _hours_of(stream, days_of[stream["location"]], period.end),
            overlaps_ms(spans, period.buckets(), period.end),
        )
        for stream, spans in zip(streams, _spans(streams, watched, retirements), strict=True)
    ]
    if not locations:
        locations = [({}, overlaps_ms(watched, period.buckets(), period.end))]
    step = BUCKET_MS[period.granularity]
    return [
        _bucket(
            start,
            min(start + step, period.end),
            [(hours, watched_ms[number]) for hours, watched_ms in locations],
        )
        for number, start in enumerate(period.buckets())
    ]


def total(buckets: Sequence[Bucket]) -> Bucket:
    """Return all buckets as one."""
    everything = RollUp()
    for each in buckets:
        everything.merge(each.roll_up)
    return Bucket(
        buckets[0].start if buckets else 0,
        everything,
        sum(each.unknown_ms for each in buckets),
        sum(each.not_watched_ms for each in buckets),
    )


def _hours_of(stream: Record, days: Iterable[Record], end: int) -> _Hours:
    """Return the hours of a location: the finished ones, the open one, and the time since."""
    found: defaultdict[int, RollUp] = defaultdict(RollUp)
    for day in days:
        for name, text in day["hours"].items():
            found[_hour_of(day["day"], name)].merge(from_text(text))
    found[stream["open"]["hour"]].merge(from_open(stream["open"]))
    for known in known_until(stream, end):
        for hour, ms in split_by_hour(known.start, known.end):
            found[hour].known_ms[CHECK_STATES.index(known.state)] += ms
    return dict(found)


def _bucket(start: int, end: int, locations: Iterable[tuple[_Hours, int]]) -> Bucket:
    """Return a bucket, given the hours of each location and how long it was to check in it."""
    everything = RollUp()
    unknown = elapsed = 0
    for hours, watched_ms in locations:
        own = RollUp()
        for hour in range(start // HOUR_MS, -(-end // HOUR_MS)):
            if hour in hours:
                own.merge(hours[hour])
        unknown += max(watched_ms - sum(own.known_ms), 0)
        elapsed += end - start
        everything.merge(own)
    left = elapsed - unknown - sum(everything.known_ms)
    return Bucket(start, everything, unknown, max(left, 0))


def _spans(
    streams: Sequence[Record], watched: Sequence[Span], retirements: Retirements
) -> list[Sequence[Span]]:
    """Return the time that each location answers for."""
    spans: list[Sequence[Span]] = []
    for number, each in enumerate(streams):
        since = watched if number == 0 else _since(watched, each["since"])
        spans.append(subtract(since, retirements(each["location"])))
    if spans:
        spans[0] = [*spans[0], *subtract(watched, chain.from_iterable(spans))]
    return spans


def _since(watched: Sequence[Span], moment: int) -> list[Span]:
    """Return the parts of some spans after a moment."""
    return [Span(max(each.start, moment), each.end) for each in watched if each.end > moment]


def _hour_of(day: str, name: str) -> int:
    return (date.fromisoformat(day) - _EPOCH).days * _HOURS_A_DAY + int(name)


_MICROSECONDS: Final = 1000
_DIGITS: Final = 3
"""Thousandths of a percent are shown, rounded down: 100 means all of the time."""


def uptime_shape(buckets: Sequence[Bucket], period: ReportPeriod) -> dict[str, Any]:
    """Return a report: the whole time, then each hour or day of it."""
    start = buckets[0].start if buckets else period.start
    return {
        "start": _time(start),
        "end": _time(period.end),
        "granularity": period.granularity,
        **_figures(total(buckets)),
        "data": [{"start": _time(each.start), **_figures(each)} for each in buckets],
    }


def uptime_percent(known_ms: Sequence[int], digits: int = _DIGITS) -> float | None:
    """Return the share of up in what is known to be up or down; None when nothing is.

    It is rounded down to some digits behind the point.
    """
    up, down = known_ms[CHECK_STATES.index("up")], known_ms[CHECK_STATES.index("down")]
    parts: int = 10**digits
    return floor(100 * parts * up / (up + down)) / parts if up + down else None


def _figures(bucket: Bucket) -> dict[str, Any]:
    roll_up = bucket.roll_up
    every: dict[str, int] = dict(zip(CHECK_STATES, roll_up.known_ms, strict=True))
    every |= {"unknown": bucket.unknown_ms, "notWatched": bucket.not_watched_ms}
    return {
        "uptimePercent": uptime_percent(roll_up.known_ms),
        "seconds": {state: round(ms / 1000) for state, ms in every.items()},
        "checks": roll_up.checks,
        "failed": roll_up.failed,
        "timings": {name: _durations(each) for name, each in sorted(roll_up.phases.items())},
    }


def _durations(phase: PhaseDurations) -> dict[str, Any]:
    """Return milliseconds, at most the longest duration: the middle of its bucket may be above."""
    shares = {"p50": 0.5, "p95": 0.95}
    found = {name: quantile(phase.counts, share) or 0 for name, share in shares.items()}
    return {
        "count": sum(phase.counts.values()),
        **{name: min(each, phase.longest) / _MICROSECONDS for name, each in found.items()},
        "max": phase.longest / _MICROSECONDS,
    }


def _time(ms: int) -> str:
    return iso_milliseconds(datetime.fromtimestamp(ms / 1000, UTC))
