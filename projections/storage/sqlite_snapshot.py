"""The live side of a view in an SQLite file at one moment: a read transaction of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.storage import sqlite_derived
from projections.storage.sqlite_transaction import standing
from projections.view import Snapshot, StoredRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from projections.view import Table

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


class SqliteSnapshot(Snapshot):
    """What a connection sees that has begun to read and does not end."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def position(self) -> int:
        """Return its position."""
        position: int = standing(self._connection, "live")["position"]
        return position

    def rows(self, table: Table) -> Iterator[StoredRow]:
        """Return every row in the order of keys."""
        columns = ", ".join(("key", "record", *table.columns))
        for key, record, *values in self._connection.execute(
            f"SELECT {columns} FROM {table.name} ORDER BY key"
        ):
            yield StoredRow(key, tuple(values), record)

    def beside(self, table: Table) -> Iterator[tuple[str, str, int]]:
        """Return what is kept beside a table: of which sort, for what, and its number."""
        return sqlite_derived.kept(self._connection, table)
