"""Reading a log in the order of its positions: what projections and the checker live on.

When monitors had been checked last at a time in the past, found without a fold.

The checks of a monitor at a location stand in the order of their times in a stream of
their own, at even distances as a rule. So the place of a time is guessed like a page of a
telephone book, and a few events are read instead of a million.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from itertools import count, product
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

from domain.check import check_log_id
from domain.clock import iso_milliseconds
from domain.event_mapper import as_uuid, stored_event
from store.archive.check_archive import last_archived

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from uuid import UUID

    from eventsourcing.application import Application

    from domain.checks import Checks
    from domain.event_mapper import EventMapper, Row
    from store.archive.check_archive import ArchivedRows, CheckArchive


class LoggedEvent(NamedTuple):
    """An event and its position in the log's total order. Positions may have gaps."""

    position: int
    event: Any


class RowRecorder(Protocol):
    """What a log's recorder offers beside what the library asks of it."""

    def rows_after(self, position: int, limit: int) -> Sequence[tuple[int, str, int, str, bytes]]:
        """Return position, stream, version, topic and state of rows after a position, in order."""

    def max_notification_id(self) -> int | None:
        """Return the position of the newest row."""

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""


class LogReader:
    """Reads one log; holds no position of its own.

    `rows` gives events that do not stand in the log's own file any more.
    """

    def __init__(self, application: Application[UUID], rows: ArchivedRows | None = None) -> None:
        self.name = application.name
        # Both are what the applications of this package are made with.
        self._recorder = cast("RowRecorder", application.recorder)
        self._mapper = cast("EventMapper", application.mapper)
        self._rows = rows

    def after(self, position: int, limit: int) -> Sequence[LoggedEvent]:
        """Return up to `limit` events that come after `position`, in order."""
        return list(self.each_after(position, limit))

    def each_after(self, position: int, limit: int) -> Iterator[LoggedEvent]:
        """Yield those events, each decoded when it is asked for."""
        event = self._mapper.event
        found = self._recorder.rows_after(position, limit)
        # The newest event of each stream stays in the log: behind the last one stands nothing.
        if (
            self._rows is None
            or not found
            or self._rows.is_complete([row[0] for row in found], position)
        ):
            for row, stream, version, topic, state in found:
                yield LoggedEvent(row, event(as_uuid(stream), version, topic, state))
            return
        for elsewhere in self._rows.after(position, limit):
            yield LoggedEvent(
                elsewhere.position, self._mapper.to_domain_event(stored_event(elsewhere))
            )

    def head(self) -> int:
        """Return the position of the newest event, 0 for an empty log."""
        return self._recorder.max_notification_id() or 0

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""
        return self._recorder.last_given()


_HALVE_EVERY: Final = 3
"""Which look halves what is left instead of guessing; that bounds the looks at any times."""

_PAIR: Final = 2
"""Neighbours are read together: often a time lies between them."""

_MOMENT: Final = timedelta(microseconds=1)


class _Place(NamedTuple):
    """A check's version in its stream, and when it ended."""

    version: int
    ended: datetime


class _Found(NamedTuple):
    """The last place by a time in the log's own file; `is_older`: the archive may know better."""

    place: _Place | None
    is_older: bool = False


class LastChecks:
    """Finds them in the log, and what is no longer there in the archive."""

    def __init__(self, checks: Checks, archive: CheckArchive) -> None:
        self._checks = checks
        self._archive = archive

    def at(
        self, monitors: Iterable[UUID], locations: Iterable[str], time: str
    ) -> dict[UUID, str | None]:
        """Return when the last check of each monitor ended that had ended by a time.

        Times are ISO 8601, UTC, milliseconds; a time means the end of its millisecond.
        Raises ArchiveError when archived checks cannot be read.
        """
        last: dict[UUID, str | None] = dict.fromkeys(monitors)
        older: dict[UUID, UUID] = {}
        for monitor_id, location in product(last, tuple(locations)):
            stream = check_log_id(monitor_id, location)
            found = _last_in_log(self._checks, stream, time)
            if found.is_older:
                older[stream] = monitor_id
            if found.place is not None:
                _keep_later(last, monitor_id, iso_milliseconds(found.place.ended))
        if older:
            archived = last_archived(self._archive, older, time, self._ended)
            for stream, ended in archived.items():
                _keep_later(last, older[stream], ended)
        return last

    def _ended(self, row: Row) -> datetime:
        event: Any = self._checks.mapper.to_domain_event(stored_event(row))
        ended: datetime = event.timestamp
        return ended


def _keep_later(last: dict[UUID, str | None], monitor_id: UUID, ended: str) -> None:
    last[monitor_id] = max(last[monitor_id] or "", ended)


def _last_in_log(checks: Checks, stream: UUID, time: str) -> _Found:
    newest = _look(checks, stream, desc=True)
    for place in newest:
        if _is_by(place, time):
            return _Found(place)
    if not newest:
        return _Found(None)
    return _before(checks, stream, time, newest[-1], newest[0])


def _before(checks: Checks, stream: UUID, time: str, behind: _Place, newest: _Place) -> _Found:
    """Return the last place by a time; `behind` and `newest` are not by it."""
    sought = datetime.fromisoformat(time)
    before: _Place | None = None
    is_older = False
    for look in count(1):
        gap = behind.version - (before.version if before else 0)
        if gap <= 1:
            break
        back = gap // 2 if look % _HALVE_EVERY == 0 else _guess(sought, before, behind, newest)
        target = behind.version - min(max(back, 1), gap - 1)
        pair = [
            each for each in _look(checks, stream, gt=target - 1) if each.version < behind.version
        ]
        by = [each for each in pair if _is_by(each, time)]
        if by:
            before = by[-1]
        if len(by) < len(pair):
            behind = pair[len(by)]
        elif not pair:  # what stood from there on was archived
            behind, is_older = behind._replace(version=target), True
    return _Found(before, is_older)


def _guess(sought: datetime, before: _Place | None, behind: _Place, newest: _Place) -> int:
    """Return how many checks back from a place a time lies, at the pace of its surroundings."""
    first, last = (before, behind) if before else (behind, newest)
    pace = (last.ended - first.ended) / max(last.version - first.version, 1)
    return math.ceil((behind.ended - sought) / max(pace, _MOMENT))


def _look(
    checks: Checks, stream: UUID, *, gt: int | None = None, desc: bool = False
) -> list[_Place]:
    found: list[Any] = list(checks.events.get(stream, gt=gt, desc=desc, limit=_PAIR))
    return [_Place(each.originator_version, each.timestamp) for each in found]


def _is_by(place: _Place, time: str) -> bool:
    return iso_milliseconds(place.ended) <= time
