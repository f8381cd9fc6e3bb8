"""A view in an SQLite file of its own.

Views can be rebuilt, so they run with relaxed fsync (`synchronous=NORMAL`): after a
power cut the file is intact and at most a little behind, position and rows together.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson

from domain.storage.sqlite_connections import ThreadConnections
from projections.definition import ANOTHER_HISTORY
from projections.storage.sqlite_sides import (
    create_side,
    create_sides,
    drop_side,
    has_sides,
    put_shadow_in_place,
)
from projections.storage.sqlite_snapshot import SqliteSnapshot
from projections.storage.sqlite_transaction import PREFIX, SqliteTransaction, standing
from projections.view import Record, Side, Snapshot, Table, Transaction, View, not_made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from projections.projection import Projection

LOCK_TIMEOUT_SECONDS: Final = 10

# Table names come from the projections' definitions, never from input.
# ruff: noqa: S608


class SqliteView(View):
    """A view in a file."""

    def __init__(self, path: Path, projection: Projection) -> None:
        self.path = path
        self._name = projection.name
        self._tables = projection.tables
        self._definition = projection.definition
        self._connections = ThreadConnections(self._connect)
        # Looked at first: who only reads does not wait for a writer.
        if not has_sides(self._connections.get()):
            with self._writing() as connection:
                create_sides(connection)

    def select(self, statement: str, values: Sequence[str | int | None] = ()) -> list[Any]:
        """Return the rows of a query on the live side."""
        return self._connections.get().execute(statement, values).fetchall()

    def position(self, side: Side = "live") -> int:
        """Return the position that readers see now."""
        position: int = standing(self._connections.get(), side)["position"]
        return position

    def reached(self, side: Side = "live") -> tuple[int, str]:
        """Return the position of a side, and the mark of the event there."""
        found = standing(self._connections.get(), side)
        return found["position"], found["mark"]

    def is_current(self, side: Side = "live") -> bool:
        """Return whether a side is there and was made by the definition of this code."""
        return self._is_current(self._connections.get(), side)

    def current_position(self) -> int | None:
        """Return the position that readers see now, by one query; None when not current."""
        found = standing(self._connections.get(), "live")
        position: int = found["position"]
        return position if found["definition"] == self._definition else None

    def create(self, fill: Callable[[Transaction], object] = lambda _: None) -> None:
        """Make the live side anew in one transaction, unless it is current."""
        with self._writing() as connection:
            if not self._is_current(connection, "live"):
                drop_side(connection, "shadow")
                create_side(connection, "live", self._tables, self._definition)
                fill(SqliteTransaction(connection, "live"))

    def disown(self, position: int) -> None:
        """Note that the rows show another history, unless the side has left `position`."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE sides SET definition = ? WHERE side = 'live' AND position = ?",
                (ANOTHER_HISTORY, position),
            )

    def generation(self) -> int:
        """Return how many times the view was rebuilt, counting from 1."""
        generation: int = standing(self._connections.get(), "live")["generation"]
        return generation

    def count(self) -> dict[str, int]:
        """Return the number of rows in each table."""
        return {
            table.name: self.select(f"SELECT count(*) FROM {table.name}")[0][0]
            for table in self._tables
        }

    def get(self, table: Table, key: str, side: Side = "live") -> Record | None:
        """Return a record."""
        return SqliteTransaction(self._connections.get(), side).get(table, key)

    def rows(self, table: Table, side: Side = "live") -> Iterator[tuple[str, Record]]:
        """Return every row in the order of keys, for comparing."""
        name = PREFIX[side] + table.name
        for key, record in self.select(f"SELECT key, record FROM {name} ORDER BY key"):
            yield key, orjson.loads(record)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Return the live side as it is now, whatever is written or swapped meanwhile."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN")
            if not self._is_current(connection, "live"):
                raise not_made(self._name)
            yield SqliteSnapshot(connection)

    @contextmanager
    def transaction(self, side: Side = "live") -> Iterator[Transaction]:
        """Lock the file for writing and open a transaction on one side."""
        with self._writing() as connection:
            found = standing(connection, side)
            if found["definition"] != self._definition:
                raise not_made(self._name)
            yield SqliteTransaction(connection, side, found["position"])

    def start_shadow(self) -> None:
        """Make an empty shadow side."""
        with self._writing() as connection:
            create_side(connection, "shadow", self._tables, self._definition)

    def swap(self, finish: Callable[[Transaction], None]) -> None:
        """Put the shadow side in the place of the live one, in one transaction."""
        with self._writing() as connection:
            finish(SqliteTransaction(connection, "shadow"))
            put_shadow_in_place(connection, self._tables)

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def _is_current(self, connection: sqlite3.Connection, side: Side) -> bool:
        return bool(standing(connection, side)["definition"] == self._definition)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        connection = self._connections.get()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            isolation_level=None,
            check_same_thread=False,
            timeout=LOCK_TIMEOUT_SECONDS,
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection
