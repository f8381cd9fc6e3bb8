"""A log's rows wherever they stand: in its file, in the archive, or in both.

The file is read first and the archive afterwards. Rows are archived before they are taken
out of the file, so what the file lacked when it was read, the archive has by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.errors import ArchiveError
from domain.proof.leaf import EventRows, Readable, Row, Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.archive.check_archive import CheckArchive
    from domain.proof.leaf import Progress
    from domain.storage.engine import StoredRows

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

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event is gone."""
        return self._live.last_given()

    def readable(self, progress: Progress = lambda *_: None) -> Readable:
        """Read every segment, and compare it with what was recorded of it."""
        wrong: list[Unreadable] = []
        events = 0
        segments = self._archive.segments()
        for contents in segments:
            try:
                self._archive.read_back(contents)
            except ArchiveError as error:
                wrong.append(Unreadable(contents.first, contents.last, str(error)))
            else:
                events += contents.events
            progress(contents.last, segments[-1].last)
        without = frozenset(each.first for each in wrong)
        rows = ArchivedRows(self._live, self._archive, without)
        return Readable(rows, events, wrong)


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
