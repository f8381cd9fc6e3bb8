"""The live side of a view in PostgreSQL at one moment: a read transaction of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from projections.storage.postgres_tables import counts_of, stored
from projections.storage.postgres_tables import names as names_of
from projections.view import Snapshot, StoredRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.storage.postgres_connections import Connection
    from projections.storage.postgres_sides import Standing
    from projections.view import Table

_ROWS_AT_ONCE: Final = 1000

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


class PostgresSnapshot(Snapshot):
    """What a connection sees whose transaction has begun to read and does not end."""

    def __init__(self, connection: Connection, view: str, live: Standing) -> None:
        self._connection = connection
        self._view = view
        self._live = live

    def hold(self, tables: Iterable[Table]) -> None:
        """Keep the tables from being dropped while the transaction lasts."""
        names = [
            stored(self._view, self._live.generation, name)
            for table in tables
            for name in names_of(table)
        ]
        self._connection.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS SHARE MODE".encode())

    def position(self) -> int:
        """Return its position."""
        return self._live.position

    def rows(self, table: Table) -> Iterator[StoredRow]:
        """Return every row in the order of keys."""
        columns = ", ".join(("key", "record", *table.columns))
        name = stored(self._view, self._live.generation, table.name)
        with self._connection.cursor(table.name, binary=True) as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            cursor.execute(f"SELECT {columns} FROM {name} ORDER BY key".encode())
            for key, record, *values in cursor:
                yield StoredRow(key, tuple(values), record)

    def beside(self, table: Table) -> Iterator[tuple[str, str, int]]:
        """Return the counts beside a table. The index of a search is the database's own."""
        if table.counted:
            name = counts_of(stored(self._view, self._live.generation, table.name))
            for counted, number in self._connection.execute(
                f"SELECT counted, number FROM {name} WHERE number != 0".encode(), binary=True
            ):
                yield "counts", counted, number
