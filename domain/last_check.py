"""When a monitor had been checked last at a time in the past, found without a fold.

The checks of a monitor at a location stand in the order of their times in a stream of
their own, at even distances as a rule. So the place of a time is guessed like a page of a
telephone book, and a few events are read instead of a million.
"""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from domain.check import check_log_id
from domain.clock import iso_milliseconds

if TYPE_CHECKING:
    from uuid import UUID

    from domain.checks import Checks

_HALVE_EVERY: Final = 3
"""Which look halves what is left instead of guessing; that bounds the looks at any times."""


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
    if newest is None or _is_by(newest, time):
        return _shown(newest)
    oldest = _look(checks, stream)
    if oldest is None or not _is_by(oldest, time):
        return None
    return _shown(_between(checks, stream, time, (oldest, newest)))


def _between(checks: Checks, stream: UUID, time: str, around: tuple[_Place, _Place]) -> _Place:
    """Return the last place by a time; of `around` the first is by it, the second is not."""
    sought = datetime.fromisoformat(time)
    before, behind = around
    for look in count(1):
        gap = behind.version - before.version
        if gap <= 1:
            break
        share = (sought - before.ended) / (behind.ended - before.ended)
        step = gap // 2 if look % _HALVE_EVERY == 0 else int(share * gap)
        target = before.version + min(max(step, 1), gap - 1)
        found = _look(checks, stream, gt=target - 1)
        if found is None or found.version >= behind.version:
            behind = behind._replace(version=target)
        elif _is_by(found, time):
            before = found
        else:
            behind = found
    return before


def _look(
    checks: Checks, stream: UUID, *, gt: int | None = None, desc: bool = False
) -> _Place | None:
    found: list[Any] = list(checks.events.get(stream, gt=gt, desc=desc, limit=1))
    return _Place(found[0].originator_version, found[0].timestamp) if found else None


def _is_by(place: _Place, time: str) -> bool:
    return iso_milliseconds(place.ended) <= time


def _shown(place: _Place | None) -> str | None:
    return None if place is None else iso_milliseconds(place.ended)
