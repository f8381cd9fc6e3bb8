"""The archived checks of a store: which segments there are, and what stands in them.

Which ones there are, the `monitoring` log says. A segment is recorded there after it was
written and before anything is taken out of the `checks` log; so whoever misses events in
that log, and looks here afterwards, finds them.

When streams of archived checks had their last check at a time in the past.

Goes back segment by segment, with all streams that are still sought: reading a segment
costs more than looking for a stream in it.

A log's rows wherever they stand: in its file, in the archive, or in both.

The file is read first and the archive afterwards. Rows are archived before they are taken
out of the file, so what the file lacked when it was read, the archive has by then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from domain.check import ARCHIVE_ID, ChecksArchived
from domain.clock import iso_milliseconds
from domain.errors import ArchiveError
from store.archive.segment import Segment, SegmentContents
from store.proof.leaf import EventRows, ReadableRows, UnreadableRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from uuid import UUID

    from eventsourcing.application import Application

    from domain.event_mapper import Row
    from store.ports.engine import SegmentStore, StoredRows
    from store.proof.leaf import Progress


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
        self._recorded: tuple[SegmentContents, ...] = ()
        self._decoded: OrderedDict[int, Segment] = OrderedDict()
        self._lock = Lock()

    def segments(self) -> Sequence[SegmentContents]:
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

    def of_stream_in(
        self, contents: SegmentContents, stream: UUID, before: int, limit: int
    ) -> list[Row]:
        """Return the same of one segment only."""
        return self._segment(contents).of_stream(stream.hex.encode(), before, limit)

    def read_back(self, contents: SegmentContents) -> None:
        """Raise ArchiveError unless a segment on disk holds just this."""
        with self._told(contents):
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
        with self._told(contents):
            return self._open(contents)

    def _open(self, contents: SegmentContents) -> Segment:
        segment = Segment(self.files.read(contents.first, contents.last), LOG)
        segment.require(contents)
        return segment

    @contextmanager
    def _told(self, contents: SegmentContents) -> Iterator[None]:
        """Say which segment it is that cannot be read."""
        try:
            yield
        except ArchiveError as error:
            raise ArchiveError(
                f"segment {self.files.place(contents.first, contents.last)} with the checks of "
                f"positions {contents.first} to {contents.last}: {error}"
            ) from error


def contents_of_event(event: ChecksArchived) -> SegmentContents:
    """Return what a recorded segment holds."""
    return SegmentContents(event.first_position, event.last_position, event.count, event.digest)


_LATE: Final = 1
"""Segments behind a time that are looked into, too: some checks are recorded late."""


def last_archived(
    archive: CheckArchive, streams: Iterable[UUID], time: str, ended: Callable[[Row], datetime]
) -> dict[UUID, str]:
    """Return when the last check of each stream ended that had ended by a time, if any had.

    Looks into `LOOKED_AT` segments at most. Raises ArchiveError when one cannot be read.
    """
    segments = archive.segments()

    def begins(contents: SegmentContents) -> str:
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
    contents: SegmentContents,
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


_BEHIND_ALL: Final = 1 << 63


def is_whole(positions: Sequence[int], after: int) -> bool:
    """Return whether rows follow a position without a gap: then nothing stands elsewhere."""
    return bool(positions) and positions[-1] == after + len(positions)


class ArchivedRows(EventRows):
    """Reads rows from both.

    Of a row that stands in both, the one in the file is given: whoever changed that one is
    found by the tree, and the segment is checked by itself.
    """

    def __init__(
        self, live: EventRows, archive: CheckArchive, without: frozenset[int] = frozenset()
    ) -> None:
        """Take in `without` the first positions of segments that cannot be read."""
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
        """Return whether rows that were read from the log just now lack none after a position.

        A gap is no sign that they do: a write that came second leaves one for ever.
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
    """Finds the older checks of one monitor in the archive."""

    def __init__(self, live: StoredRows, archive: CheckArchive) -> None:
        self._live = live
        self._archive = archive

    def before(self, stream: UUID, version: int, limit: int) -> Sequence[Row]:
        """Return up to `limit` rows of a stream before a version, newest first."""
        if not self._archive.segments():
            return []
        position = self._live.position_of(stream, version)
        # Without one it was taken out just now: the archive gives what was read already, too.
        position, wanted = position or _BEHIND_ALL, limit
        while True:
            rows = self._archive.of_stream(stream, position, wanted)
            older = [row for row in rows if int(row.version) < version]
            if len(older) >= limit or len(rows) < wanted:
                return older[:limit]
            wanted *= 2
