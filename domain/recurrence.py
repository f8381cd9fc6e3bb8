"""When a maintenance window is open: one time, or daily, weekly or monthly in a time zone.

The wall time of the start in the zone is the time of each occurrence. Where clocks skip that
time, the occurrence begins later by the gap; where it comes twice, at the first. An occurrence
ends at the wall time of the end or after the length of the window, whichever is later: half
an hour too long costs little, half an hour too short wakes people.

A day that a month lacks has no occurrence, as in RFC 5545 (3.3.10). Weeks begin on Monday when
`interval` counts them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count, islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo


Frequency = Literal["daily", "weekly", "monthly"]

MAX_LENGTH: Final = timedelta(days=31)
"""A window is shorter than this."""

_FRUITLESS_PERIODS: Final = 500
"""Periods without a day after which a pattern has no further occurrence: 31 February each year.

The days of months repeat after 400 years.
"""


class Occurrence(NamedTuple):
    """One time that a window is open: from `start` up to, not including, `end`. Both in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a window recurs.

    `interval` counts days, weeks or months. `weekdays` are 0 (Monday) to 6, empty for that
    of the start; `month_day` is null for that of the start. `last_day` is the last local day on
    which an occurrence may begin.
    """

    frequency: Frequency
    interval: int = 1
    weekdays: frozenset[int] = frozenset()
    month_day: int | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The times at which a window is open. `start` and `end` are those of the first one, in UTC.

    Without a pattern there is only that one.
    """

    start: datetime
    end: datetime
    zone: ZoneInfo
    pattern: Pattern | None = None
    _first: datetime = field(init=False, repr=False)
    _wall_length: timedelta = field(init=False, repr=False)

    def __post_init__(self) -> None:
        first, last = (
            each.astimezone(self.zone).replace(tzinfo=None) for each in (self.start, self.end)
        )
        object.__setattr__(self, "_first", first)
        object.__setattr__(self, "_wall_length", last - first)

    def open_at(self, moment: datetime) -> Occurrence | None:
        """Return the occurrence that is open, the one that ends last; None when none is."""
        found = (each for each in self._from(moment, until=moment) if each.start <= moment)
        return max(found, key=lambda each: each.end, default=None)

    def next_after(self, moment: datetime) -> Occurrence | None:
        """Return the first occurrence that begins after a moment."""
        return next((each for each in self._from(moment) if each.start > moment), None)

    def occurrences(self, since: datetime, limit: int) -> list[Occurrence]:
        """Return the occurrences that end after a moment, in order, at most `limit`."""
        return list(islice(self._from(since), limit))

    def between(self, since: datetime, until: datetime) -> list[Occurrence]:
        """Return the occurrences that are open at some time from `since` to before `until`."""
        return [each for each in self._from(since, until=until) if each.start < until]

    def _from(self, since: datetime, until: datetime | None = None) -> Iterator[Occurrence]:
        """Yield occurrences that end after `since`, in order; none that begins after `until`."""
        if self.pattern is None:
            days: Iterator[date] = iter((self._first.date(),))
        else:
            earliest = since.astimezone(self.zone).date() - MAX_LENGTH - timedelta(days=2)
            days = self._days(self.pattern, max(earliest, self._first.date()))
        for day in days:
            occurrence = self._on(day)
            if until is not None and occurrence.start > until:
                return
            if occurrence.end > since:
                yield occurrence

    def _on(self, day: date) -> Occurrence:
        if self.pattern is None:
            return Occurrence(self.start, self.end)
        wall = datetime.combine(day, self._first.time())
        start = wall.replace(tzinfo=self.zone).astimezone(UTC)
        wall_end = (wall + self._wall_length).replace(tzinfo=self.zone).astimezone(UTC)
        return Occurrence(start, max(wall_end, start + (self.end - self.start)))

    def _days(self, pattern: Pattern, earliest: date) -> Iterator[date]:
        """Yield the local days on which occurrences begin, in order, from `earliest` on."""
        days_of = {"daily": self._daily, "weekly": self._weekly, "monthly": self._monthly}
        fruitless = 0
        try:
            for days in days_of[pattern.frequency](pattern, earliest):
                fruitless = 0 if days else fruitless + 1
                if fruitless > _FRUITLESS_PERIODS:
                    return
                for day in days:
                    if pattern.last_day is not None and day > pattern.last_day:
                        return
                    if day >= earliest:
                        yield day
        except (OverflowError, ValueError):
            return  # after the year 9999

    def _daily(self, pattern: Pattern, earliest: date) -> Iterator[list[date]]:
        first, step = self._first.date(), pattern.interval
        skipped = -(-(earliest - first).days // step)
        return ([first + timedelta(days=n * step)] for n in count(skipped))

    def _weekly(self, pattern: Pattern, earliest: date) -> Iterator[list[date]]:
        first = self._first.date()
        monday = first - timedelta(days=first.weekday())
        step = timedelta(weeks=pattern.interval)
        weekdays = sorted(pattern.weekdays or {first.weekday()})
        for n in count((earliest - monday) // step):  # pragma: no branch - it has no end
            week = monday + n * step
            days = [week + timedelta(days=weekday) for weekday in weekdays]
            yield [day for day in days if day >= first]

    def _monthly(self, pattern: Pattern, earliest: date) -> Iterator[list[date]]:
        first = self._first.date()
        wanted = pattern.month_day or first.day
        begin = first.year * 12 + first.month - 1
        skipped = (earliest.year * 12 + earliest.month - 1 - begin) // pattern.interval
        for n in count(skipped):  # pragma: no branch - it has no end
            year, month = divmod(begin + n * pattern.interval, 12)
            if year > date.max.year:
                return
            day = _day_of_month(year, month + 1, wanted)
            yield [day] if day is not None and day >= first else []


def _day_of_month(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
