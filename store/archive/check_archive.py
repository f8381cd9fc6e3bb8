"""The archived checks of a store, and the rows of a log together with its archive.

The `monitoring` log records which segments exist. A segment is recorded after it was written
and before its checks are deleted from the `checks` log. So a reader that reads the log first
and the archive afterwards misses nothing: what the log lacked, the archive has by then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from domain.check import ARCHIVE_ID, ChecksArchived
from domain.errors import ArchiveError
from store.archive.segment import Segment, SegmentContents
from store.proof.leaf import EventRows, ReadableRows, UnreadableRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from eventsourcing.application import Application

    from domain.event_mapper import Row
    from store.ports.engine import SegmentStore, StoredRows
    from store.proof.leaf import Progress


LOG: Final = "checks"
_KEPT: Final = 2
"""Segments that stay decoded, at some 20 MB each. Reading in order needs one."""

LOOKED_AT: Final = 64
"""How many segments are searched for the checks of one monitor, so that it takes seconds."""


class CheckArchive:
    """Reads the archive. Safe for threads; each process opens its own."""

    def __init__(self, monitoring: Application[UUID], files: SegmentStore) -> None:
        self.files = files
        self._monitoring = monitoring
        self._recorded: tuple[SegmentContents, ...] = ()
        self._decoded: OrderedDict[int, Segment] = OrderedDict()
        self._lock = Lock()

    def segments(self) -> Sequence[SegmentContents]:
        """Return the contents of all recorded segments, in the order of positions."""
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

        Segments whose first position is in `without` are skipped.
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

        Searches `LOOKED_AT` segments at most. Raises ArchiveError.
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

    def of_stream_in(
        self, contents: SegmentContents, stream: UUID, before: int, limit: int
    ) -> list[Row]:
        """Return the same of one segment only."""
        return self._segment(contents).of_stream(stream.hex.encode(), before, limit)

    def read_back(self, contents: SegmentContents) -> None:
        """Raise ArchiveError unless the stored segment has exactly these contents."""
        with self._named(contents):
            self._open(contents).check()

    def _segment(self, contents: SegmentContents) -> Segment:
        with self._lock:
            found = self._decoded.pop(contents.first, None)
            if found is None:
                found = self._read(contents)
            self._decoded[contents.first] = found
            if len(self._decoded) > _KEPT:
                self._decoded.popitem(last=False)
            return found

    def _read(self, contents: SegmentContents) -> Segment:
        with self._named(contents):
            return self._open(contents)

    def _open(self, contents: SegmentContents) -> Segment:
        segment = Segment(self.files.read(contents.first, contents.last), LOG)
        segment.require(contents)
        return segment

    @contextmanager
    def _named(self, contents: SegmentContents) -> Iterator[None]:
        """Name the segment in the text of an ArchiveError."""
        try:
            yield
        except ArchiveError as error:
            raise ArchiveError(
                f"segment {self.files.place(contents.first, contents.last)} with the checks of "
                f"positions {contents.first} to {contents.last}: {error}"
            ) from error


def contents_of_event(event: ChecksArchived) -> SegmentContents:
    """Return the contents of a recorded segment."""
    return SegmentContents(event.first_position, event.last_position, event.count, event.digest)


_BEHIND_ALL: Final = 1 << 63


def is_whole(positions: Sequence[int], after: int) -> bool:
    """Return whether rows follow a position without a gap: then none of them is archived."""
    return bool(positions) and positions[-1] == after + len(positions)


class ArchivedRows(EventRows):
    """The rows of a log and of its archive, read as one.

    A row that is in both is returned from the log: the Merkle tree shows whether it was
    changed, and the segment has its own checksum.
    """

    def __init__(
        self, live: EventRows, archive: CheckArchive, without: frozenset[int] = frozenset()
    ) -> None:
        """Take the rows of the log itself; `without`: first positions of unreadable segments."""
        self._live = live
        self._archive = archive
        self._without = without

    @override
    def after(self, position: int, limit: int, *, through: int | None = None) -> Sequence[Row]:
        """Return up to `limit` rows after `position`, in order, up to position `through`.

        Raises ArchiveError when a segment cannot be read.
        """
        live = self._live.after(position, limit, through=through)
        if self.is_complete([row.position for row in live], position):
            return live
        archived = self._archive.after(position, limit, self._without)
        if not archived:
            return live
        rows = {row.position: row for row in (*archived, *live)}
        last = max(rows) if through is None else through
        return [rows[each] for each in sorted(rows) if each <= last][:limit]

    def is_complete(self, positions: Sequence[int], after: int) -> bool:
        """Return whether rows just read from the log lack no archived row after a position.

        A gap alone does not mean that: a writer that lost a race leaves one for ever.
        """
        return is_whole(positions, after) or self._archive.through() <= after

    @override
    def last_given(self) -> int:
        return self._live.last_given()

    @override
    def readable(self, progress: Progress = lambda *_: None) -> ReadableRows:
        """Read every segment, and compare it with what was recorded of it."""
        wrong: list[UnreadableRange] = []
        events = 0
        segments = self._archive.segments()
        for contents in segments:
            try:
                self._archive.read_back(contents)
            except ArchiveError as error:
                wrong.append(UnreadableRange(contents.first, contents.last, str(error)))
            else:
                events += contents.events
            progress(contents.last, segments[-1].last)
        without = frozenset(each.first for each in wrong)
        rows = ArchivedRows(self._live, self._archive, without)
        return ReadableRows(rows, events, wrong)


class ArchivedStreams:
    """Reads the archived checks of one stream. The `checks` application gets older ones here."""

    def __init__(self, live: StoredRows, archive: CheckArchive) -> None:
        self._live = live
        self._archive = archive

    def before(self, stream: UUID, version: int, limit: int) -> Sequence[Row]:
        """Return up to `limit` rows of a stream before a version, newest first."""
        if not self._archive.segments():
            return []
        position = self._live.position_of(stream, version)
        # Without a position the row was deleted just now: then the archive gives it again.
        position, wanted = position or _BEHIND_ALL, limit
        while True:
            rows = self._archive.of_stream(stream, position, wanted)
            older = [row for row in rows if int(row.version) < version]
            if len(older) >= limit or len(rows) < wanted:
                return older[:limit]
            wanted *= 2
