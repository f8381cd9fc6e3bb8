"""Finds when monitors were checked last at a time in the past, without a fold of the log.

The checks of a monitor at a location are a stream in the order of their times, at even
distances as a rule. So the place of a time is found by interpolation search, which reads a
few events instead of a million. Checks that are not in the log any more are looked for in
the archive, segment by segment from the newest one back.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from datetime import datetime, timedelta
from itertools import count, product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domain.check import check_log_id
from domain.clock import iso_milliseconds
from domain.event_mapper import stored_event
from store.archive.check_archive import LOOKED_AT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from domain.checks import Checks
    from domain.event_mapper import Row
    from store.archive.check_archive import CheckArchive
    from store.archive.segment import SegmentContents


_LATE_SEGMENTS: Final = 1
"""How many segments after a time are searched too: some checks are recorded late."""

_HALVE_EVERY: Final = 3
"""Every third step halves the range instead of interpolating, which bounds the number of steps."""

_PAIR: Final = 2
"""Two neighbours are read together: often the time lies between them."""

_MOMENT: Final = timedelta(microseconds=1)


class _CheckTime(NamedTuple):
    """A check's version in its stream, and when it ended."""

    version: int
    ended: datetime


class _LastInLog(NamedTuple):
    """The last check up to a time in the log; `may_be_archived`: a later one may be archived."""

    check: _CheckTime | None
    may_be_archived: bool = False


class LastChecks:
    """Finds the last checks of monitors in the log and in the archive."""

    def __init__(self, checks: Checks, archive: CheckArchive) -> None:
        self._checks = checks
        self._archive = archive

    def at(
        self, monitors: Iterable[UUID], locations: Iterable[str], time: str
    ) -> dict[UUID, str | None]:
        """Return when each monitor's last check up to a time ended, None without one.

        Times are ISO 8601, UTC, milliseconds; a time means the end of its millisecond.
        Raises ArchiveError when archived checks cannot be read.
        """
        last: dict[UUID, str | None] = dict.fromkeys(monitors)
        older: dict[UUID, UUID] = {}
        for monitor_id, location in product(last, tuple(locations)):
            stream = check_log_id(monitor_id, location)
            found = _last_in_log(self._checks, stream, time)
            if found.may_be_archived:
                older[stream] = monitor_id
            if found.check is not None:
                _keep_later(last, monitor_id, iso_milliseconds(found.check.ended))
        if older:
            archived = _last_archived(self._archive, older, time, self._ended)
            for stream, ended in archived.items():
                _keep_later(last, older[stream], ended)
        return last

    def _ended(self, row: Row) -> datetime:
        event: Any = self._checks.mapper.to_domain_event(stored_event(row))
        ended: datetime = event.timestamp
        return ended


def _keep_later(last: dict[UUID, str | None], monitor_id: UUID, ended: str) -> None:
    last[monitor_id] = max(last[monitor_id] or "", ended)


def _last_in_log(checks: Checks, stream: UUID, time: str) -> _LastInLog:
    newest = _read(checks, stream, desc=True)
    for place in newest:
        if _is_up_to(place, time):
            return _LastInLog(place)
    if not newest:
        return _LastInLog(None)
    return _search(checks, stream, time, newest[-1], newest[0])


def _search(
    checks: Checks, stream: UUID, time: str, behind: _CheckTime, newest: _CheckTime
) -> _LastInLog:
    """Return the last check up to a time; `behind` and `newest` ended after it."""
    sought = datetime.fromisoformat(time)
    before: _CheckTime | None = None
    may_be_archived = False
    for step in count(1):
        gap = behind.version - (before.version if before else 0)
        if gap <= 1:
            break
        back = gap // 2 if step % _HALVE_EVERY == 0 else _guess(sought, before, behind, newest)
        target = behind.version - min(max(back, 1), gap - 1)
        pair = [
            each for each in _read(checks, stream, gt=target - 1) if each.version < behind.version
        ]
        by = [each for each in pair if _is_up_to(each, time)]
        if by:
            before = by[-1]
        if len(by) < len(pair):
            behind = pair[len(by)]
        elif not pair:  # the checks from there on were archived
            behind, may_be_archived = behind._replace(version=target), True
    return _LastInLog(before, may_be_archived)


def _guess(
    sought: datetime, before: _CheckTime | None, behind: _CheckTime, newest: _CheckTime
) -> int:
    """Return how many checks before `behind` a time lies, at the pace of the checks around."""
    first, last = (before, behind) if before else (behind, newest)
    pace = (last.ended - first.ended) / max(last.version - first.version, 1)
    return math.ceil((behind.ended - sought) / max(pace, _MOMENT))


def _read(
    checks: Checks, stream: UUID, *, gt: int | None = None, desc: bool = False
) -> list[_CheckTime]:
    found: list[Any] = list(checks.events.get(stream, gt=gt, desc=desc, limit=_PAIR))
    return [_CheckTime(each.originator_version, each.timestamp) for each in found]


def _is_up_to(place: _CheckTime, time: str) -> bool:
    return iso_milliseconds(place.ended) <= time


def _last_archived(
    archive: CheckArchive, streams: Iterable[UUID], time: str, ended: Callable[[Row], datetime]
) -> dict[UUID, str]:
    """Return when the last archived check of each stream up to a time ended, if there is one.

    All streams are looked for in a segment before the next one is read, which costs more than
    that. Searches `LOOKED_AT` segments at most. Raises ArchiveError when one cannot be read.
    """
    segments = archive.segments()

    def begins(contents: SegmentContents) -> str:
        return iso_milliseconds(ended(archive.after(contents.first - 1, 1)[0]))

    end = bisect_right(segments, time, key=begins) + _LATE_SEGMENTS
    left = set(streams)
    found: dict[UUID, str] = {}
    for contents in reversed(segments[max(end - LOOKED_AT, 0) : end]):
        for stream in sorted(left):
            last = _last_in(archive, contents, stream, time, ended)
            if last is not None:
                found[stream] = last
        left -= found.keys()
        if not left:
            break
    return found


def _last_in(
    archive: CheckArchive,
    contents: SegmentContents,
    stream: UUID,
    time: str,
    ended: Callable[[Row], datetime],
) -> str | None:
    """Return when the last check of a stream up to a time ended, within one segment."""

    def newest_search(position: int) -> str | None:
        rows = archive.of_stream_in(contents, stream, position, 1)
        return iso_milliseconds(ended(rows[0])) if rows else None

    behind = contents.last + 1
    newest = newest_search(behind)
    if newest is None or newest <= time:
        return newest
    # The higher a position, the later the newest check before it.
    places = range(contents.first, behind)
    place = bisect_right(places, time, key=lambda each: newest_search(each) or "")
    return newest_search(places[place - 1]) if place else None
