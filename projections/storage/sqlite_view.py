"""A view in an SQLite file of its own.

Views can be rebuilt, so they run with relaxed fsync (`synchronous=NORMAL`): after a
power cut the file is intact and at most a little behind, position and rows together.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson

from projections.storage import sqlite_derived
from projections.storage.sqlite_connections import ThreadConnections
from projections.storage.sqlite_transaction import PREFIX, SqliteTransaction, standing
from projections.view import Record, Side, Table, Transaction, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from projections.projection import Projection

LOCK_TIMEOUT_SECONDS: Final = 10
_SIDES: Final = """
CREATE TABLE IF NOT EXISTS sides (
    side TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    definition TEXT NOT NULL,
    mark TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID
"""
_HAS_MARK: Final = "SELECT 1 FROM pragma_table_info('sides') WHERE name = 'mark'"
_ADD_MARK: Final = "ALTER TABLE sides ADD COLUMN mark TEXT NOT NULL DEFAULT ''"
_TABLES_OF_VIEW: Final = """
SELECT name FROM pragma_table_list
WHERE schema = 'main' AND type IN ('table', 'virtual')
AND name NOT LIKE 'sqlite%' AND name != 'sides'
"""

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


class SqliteView(View):
    """A view in a file."""

    def __init__(self, path: Path, projection: Projection) -> None:
        self.path = path
        self._tables = projection.tables
        self._definition = projection.definition
        self._connections = ThreadConnections(self._connect)
        self._create()

    def select(self, statement: str, values: Sequence[str | int | None] = ()) -> list[Any]:
        """Return the rows of a query on the live side."""
        return self._connections.get().execute(statement, values).fetchall()

    def position(self, side: Side = "live") -> int:
        """Return the position that readers see now."""
        position: int = standing(self._connections.get(), side)["position"]
        return position

    def reached(self) -> tuple[int, str]:
        """Return the position that readers see now, and the mark of the event there."""
        side = standing(self._connections.get(), "live")
        return side["position"], side["mark"]

    def empty(self, position: int) -> None:
        """Start again from nothing, unless the live side has left `position` meanwhile."""
        with self._writing() as connection:
            if standing(connection, "live")["position"] == position:
                self._create_anew(connection)

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

    def rows(self, table: Table, side: Side = "live") -> Iterator[tuple[str, Record]]:
        """Return every row in the order of keys, for comparing."""
        name = PREFIX[side] + table.name
        for key, record in self.select(f"SELECT key, record FROM {name} ORDER BY key"):
            yield key, orjson.loads(record)

    @contextmanager
    def transaction(self, side: Side = "live") -> Iterator[Transaction]:
        """Lock the file for writing and open a transaction on one side."""
        with self._writing() as connection:
            yield SqliteTransaction(connection, side)

    def start_shadow(self) -> None:
        """Make an empty shadow side."""
        with self._writing() as connection:
            for name in _stored_names(self._tables):
                connection.execute(f"DROP TABLE IF EXISTS shadow_{name}")
            generation = standing(connection, "live")["generation"] + 1
            self._create_side(connection, "shadow", generation)

    def swap(self, finish: Callable[[Transaction], None]) -> None:
        """Put the shadow side in the place of the live one, in one transaction."""
        with self._writing() as connection:
            finish(SqliteTransaction(connection, "shadow"))
            for name in _stored_names(self._tables):
                connection.execute(f"DROP TABLE {name}")
                connection.execute(f"ALTER TABLE shadow_{name} RENAME TO {name}")
            connection.execute("DELETE FROM sides WHERE side = 'live'")
            connection.execute("UPDATE sides SET side = 'live' WHERE side = 'shadow'")

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def _create(self) -> None:
        """Make the tables, or make them anew when another version of the code made them.

        An empty view at position 0 is always right: catching up fills it.
        """
        with self._writing() as connection:
            connection.execute(_SIDES)
            if not connection.execute(_HAS_MARK).fetchone():
                connection.execute(_ADD_MARK)
            if standing(connection, "live")["definition"] != self._definition:
                self._create_anew(connection)

    def _create_anew(self, connection: sqlite3.Connection) -> None:
        generation = standing(connection, "live")["generation"] + 1
        for (name,) in connection.execute(_TABLES_OF_VIEW).fetchall():
            connection.execute(f"DROP TABLE {name}")
        connection.execute("DELETE FROM sides")
        self._create_side(connection, "live", generation)

    def _create_side(self, connection: sqlite3.Connection, side: Side, generation: int) -> None:
        for table in self._tables:
            _create_table(connection, table, side, generation)
        connection.execute(
            "INSERT OR REPLACE INTO sides VALUES (?, 0, ?, ?, '')",
            (side, generation, self._definition),
        )

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


def _create_table(
    connection: sqlite3.Connection, table: Table, side: Side, generation: int
) -> None:
    """Make a table with its indexes.

    The indexes bear the generation, because they keep their names when a table is renamed.
    """
    name = PREFIX[side] + table.name
    columns = "".join(f", {column} {kind}" for column, kind in table.columns.items())
    connection.execute(
        f"CREATE TABLE {name} "
        f"(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, record BLOB NOT NULL{columns})"
    )
    for index in table.indexes:
        title = f"{table.name}_{'_'.join(index)}_{generation}"
        connection.execute(f"CREATE INDEX {title} ON {name} ({', '.join(index)})")
    sqlite_derived.create(connection, name, table)


def _stored_names(tables: Iterable[Table]) -> list[str]:
    """Return the tables of a side, without its prefix."""
    return [name for table in tables for name in (table.name, *sqlite_derived.names(table))]
