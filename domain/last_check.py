"""When a monitor had been checked last at a time in the past, found without a fold.

The checks of a monitor at a location stand in the order of their times in a stream of
their own, at even distances as a rule. So the place of a time is guessed like a page of a
telephone book, and a few events are read instead of a million.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domain.check import check_log_id
from domain.clock import iso_milliseconds

if TYPE_CHECKING:
    from uuid import UUID

    from domain.checks import Checks

_HALVE_EVERY: Final = 3
"""Which look halves what is left instead of guessing; that bounds the looks at any times."""

_PAIR: Final = 2
"""Neighbours are read together: between them a time can be told, and from them the pace."""

_MOMENT: Final = timedelta(microseconds=1)


class _Place(NamedTuple):
    """A check's version in its stream, and when it ended."""

    version: int
    ended: datetime


def last_check_at(checks: Checks, monitor_id: UUID, location: str, time: str) -> str | None:
    """Return when the last check ended that had ended by a time; None when none had.

    Times are ISO 8601, UTC, milliseconds; a time means the end of its millisecond.
    """
    stream = check_log_id(monitor_id, location)
    newest = _look(checks, stream, desc=True)
    for place in newest:
        if _is_by(place, time):
            return iso_milliseconds(place.ended)
    if len(newest) < _PAIR:
        return None
    found = _before(checks, stream, time, newest[1], newest[0])
    return None if found is None else iso_milliseconds(found.ended)


def _before(
    checks: Checks, stream: UUID, time: str, behind: _Place, newest: _Place
) -> _Place | None:
    """Return the last place by a time; `behind` and `newest` are not by it."""
    sought = datetime.fromisoformat(time)
    before: _Place | None = None
    for look in count(1):
        lowest = before.version if before else 0
        gap = behind.version - lowest
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
        elif not pair:  # what stood from there on was pruned
            behind = behind._replace(version=target)
    return before


def _guess(sought: datetime, before: _Place | None, behind: _Place, newest: _Place) -> int:
    """Return how many checks back from a place a time lies, at the pace of its surroundings."""
    first, last = (before, behind) if before else (behind, newest)
    pace = (last.ended - first.ended) / (last.version - first.version)
    return math.ceil((behind.ended - sought) / max(pace, _MOMENT))


def _look(
    checks: Checks, stream: UUID, *, gt: int | None = None, desc: bool = False
) -> list[_Place]:
    found: list[Any] = list(checks.events.get(stream, gt=gt, desc=desc, limit=_PAIR))
    return [_Place(each.originator_version, each.timestamp) for each in found]


def _is_by(place: _Place, time: str) -> bool:
    return iso_milliseconds(place.ended) <= time
