"""When streams of archived checks had their last check at a time in the past.

Goes back segment by segment, with all streams that are still sought: reading a segment
costs more than looking for a stream in it.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from domain.archive.check_archive import LOOKED_AT
from domain.clock import iso_milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from uuid import UUID

    from domain.archive.check_archive import CheckArchive
    from domain.archive.segment import Contents
    from domain.proof.leaf import Row

_LATE: Final = 1
"""Segments behind a time that are looked into, too: some checks are recorded late."""


def last_archived(
    archive: CheckArchive, streams: Iterable[UUID], time: str, ended: Callable[[Row], datetime]
) -> dict[UUID, str]:
    """Return when the last check of each stream ended that had ended by a time, if any had.

    Looks into `LOOKED_AT` segments at most. Raises ArchiveError when one cannot be read.
    """
    segments = archive.segments()

    def begins(contents: Contents) -> str:
        return iso_milliseconds(ended(archive.after(contents.first - 1, 1)[0]))

    end = bisect_right(segments, time, key=begins) + _LATE
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
    contents: Contents,
    stream: UUID,
    time: str,
    ended: Callable[[Row], datetime],
) -> str | None:
    """Return when the last check of a stream ended by a time within one segment."""

    def newest_before(position: int) -> str | None:
        rows = archive.of_stream_in(contents, stream, position, 1)
        return iso_milliseconds(ended(rows[0])) if rows else None

    behind = contents.last + 1
    newest = newest_before(behind)
    if newest is None or newest <= time:
        return newest
    # The newest before a position is the later, the higher the position is.
    places = range(contents.first, behind)
    place = bisect_right(places, time, key=lambda each: newest_before(each) or "")
    return newest_before(places[place - 1]) if place else None
