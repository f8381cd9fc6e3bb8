"""The archived checks of a store: which segments there are, and what stands in them.

Which ones there are, the `monitoring` log says. A segment is recorded there after it was
written and before anything is taken out of the `checks` log; so whoever misses events in
that log, and looks here afterwards, finds them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final

from domain.archive.archived import ARCHIVE_ID, ChecksArchived
from domain.archive.segment import Contents, Segment
from domain.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from eventsourcing.application import Application

    from domain.proof.leaf import Row
    from domain.storage.engine import SegmentStore

LOG: Final = "checks"
_KEPT: Final = 2
"""Segments that stay decoded. Each takes some 20 MB; whoever reads in order needs one."""

LOOKED_AT: Final = 64
"""Segments in which the checks of one monitor are sought, so that an answer takes no minute."""


class CheckArchive:
    """Reads the archive. Safe for threads; a process that forks opens its own."""

    def __init__(self, monitoring: Application[UUID], files: SegmentStore) -> None:
        self.files = files
        self._monitoring = monitoring
        self._recorded: tuple[Contents, ...] = ()
        self._decoded: OrderedDict[int, Segment] = OrderedDict()
        self._lock = Lock()

    def segments(self) -> Sequence[Contents]:
        """Return what every segment holds that is recorded now, in the order of positions."""
        with self._lock:
            known = len(self._recorded)
            stored = self._monitoring.recorder.select_events(ARCHIVE_ID, gt=known)
            events = map(self._monitoring.mapper.to_domain_event, stored)
            new = [contents_of_event(each) for each in events if isinstance(each, ChecksArchived)]
            if new:
                self._recorded = (*self._recorded, *new)
            return self._recorded

    def through(self) -> int:
        """Return the position up to which checks are archived, 0 without an archive."""
        segments = self.segments()
        return segments[-1].last if segments else 0

    def after(self, position: int, limit: int, without: frozenset[int] = frozenset()) -> list[Row]:
        """Return up to `limit` archived rows after a position. Raises ArchiveError.

        Segments whose first positions are in `without` are passed over.
        """
        segments = self.segments()
        found: list[Row] = []
        number = bisect_left(segments, position + 1, key=lambda each: each.last)
        while number < len(segments) and len(found) < limit:
            if segments[number].first not in without:
                found += self._segment(segments[number]).after(position, limit - len(found))
            number += 1
        return found

    def of_stream(self, stream: UUID, before: int, limit: int) -> list[Row]:
        """Return up to `limit` archived rows of a stream before a position, newest first.

        Looks into `LOOKED_AT` segments at most. Raises ArchiveError.
        """
        segments = self.segments()
        end = bisect_left(segments, before, key=lambda each: each.first)
        found: list[Row] = []
        for contents in reversed(segments[max(end - LOOKED_AT, 0) : end]):
            if len(found) >= limit:
                break
            segment = self._segment(contents)
            found += segment.of_stream(stream.hex.encode(), before, limit - len(found))
        return found

    def of_stream_in(self, contents: Contents, stream: UUID, before: int, limit: int) -> list[Row]:
        """Return the same of one segment only."""
        return self._segment(contents).of_stream(stream.hex.encode(), before, limit)

    def read_back(self, contents: Contents) -> None:
        """Raise ArchiveError unless a segment on disk holds just this."""
        with self._told(contents):
            self._open(contents).check()

    def _segment(self, contents: Contents) -> Segment:
        with self._lock:
            found = self._decoded.pop(contents.first, None)
            if found is None:
                found = self._read(contents)
            self._decoded[contents.first] = found
            if len(self._decoded) > _KEPT:
                self._decoded.popitem(last=False)
            return found

    def _read(self, contents: Contents) -> Segment:
        with self._told(contents):
            return self._open(contents)

    def _open(self, contents: Contents) -> Segment:
        segment = Segment(self.files.read(contents.first, contents.last), LOG)
        segment.require(contents)
        return segment

    @contextmanager
    def _told(self, contents: Contents) -> Iterator[None]:
        """Say which segment it is that cannot be read."""
        try:
            yield
        except ArchiveError as error:
            raise ArchiveError(
                f"segment {self.files.place(contents.first, contents.last)} with the checks of "
                f"positions {contents.first} to {contents.last}: {error}"
            ) from error


def contents_of_event(event: ChecksArchived) -> Contents:
    """Return what a recorded segment holds."""
    return Contents(event.first_position, event.last_position, event.count, event.digest)
