"""Segments of archived checks as rows of a table, so that every host reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventsourcing.persistence import PersistenceError
from typing_extensions import override

from domain.errors import ArchiveError
from store.ports.engine import SegmentStore

if TYPE_CHECKING:
    from store.postgres.connections import Connections


WRITE: Final = """
INSERT INTO postwatch.segments VALUES (%s, %s, %s)
ON CONFLICT (first_position) DO UPDATE
SET last_position = excluded.last_position, contents = excluded.contents
"""
_READ: Final = """
SELECT contents FROM postwatch.segments WHERE first_position = %s AND last_position = %s
"""
_SIZE_OF: Final = """
SELECT octet_length(contents) FROM postwatch.segments
WHERE first_position = %s AND last_position = %s
"""
_SIZE: Final = "SELECT coalesce(sum(octet_length(contents)), 0)::bigint FROM postwatch.segments"


class PostgresSegments(SegmentStore):
    """Segments in a table of the database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @override
    def place(self, first: int, last: int) -> str:
        return f"{first}-{last} in the table postwatch.segments"

    @override
    def write(self, first: int, last: int, data: bytes) -> None:
        try:
            with self._connections.get() as connection:
                connection.execute(WRITE, (first, last, data))
        except PersistenceError as error:
            raise ArchiveError(
                f"cannot write segment {self.place(first, last)} ({type(error).__name__}); "
                "its checks stay in the log"
            ) from error

    @override
    def read(self, first: int, last: int) -> bytes:
        try:
            with self._connections.get() as connection:
                row = connection.execute(_READ, (first, last), binary=True).fetchone()
        except PersistenceError as error:
            raise ArchiveError(f"it cannot be read: {type(error).__name__}") from error
        if row is None:
            raise ArchiveError("it is missing; put it back from a backup")
        return bytes(row[0])

    @override
    def size_of(self, first: int, last: int) -> int | None:
        with self._connections.get() as connection:
            row = connection.execute(_SIZE_OF, (first, last)).fetchone()
        return row[0] if row else None

    @override
    def size(self) -> int:
        with self._connections.get() as connection:
            ((size,),) = connection.execute(_SIZE).fetchall()
        return int(size)

    @override
    def remove_unfinished(self) -> None:
        """Do nothing: a segment is written in one transaction."""
