"""A view in an SQLite file of its own, and the scratch view for one comparison.

Views can be rebuilt, so their files run with relaxed fsync (`synchronous=NORMAL`): after a
power cut a file is intact and at most a little behind, position and rows together.

The tables of the shadow side have the prefix `shadow_`; a swap renames them. The table `sides`
has a row for each side.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from typing_extensions import override

from domain.errors import StoreError
from projections.core.table import (
    EMPTY_SIDE,
    INVALIDATED,
    Record,
    SideState,
    StoredRow,
    Table,
    Transaction,
    View,
    ViewSide,
    ViewSnapshot,
    not_built,
)
from projections.storage import derived
from projections.storage.view_connection import connect_to_view
from store.sqlite.connections import ThreadConnections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from projections.core.projection import Projection


LOCK_TIMEOUT_SECONDS: Final = 10
PREFIX: Final[dict[ViewSide, str]] = {"live": "", "shadow": "shadow_"}
"""What the names of a side's tables begin with."""

OLDEST: Final = (3, 37, 0)
"""The first SQLite with `pragma_table_list`; the trigram index came with 3.34."""

_NEEDS: Final = "CREATE VIRTUAL TABLE parts USING fts5(part, content = '', tokenize = 'trigram')"
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
_SIDE: Final = "SELECT position, generation, definition, mark FROM sides WHERE side = ?"
_TABLES_OF_VIEW: Final = """
SELECT name FROM pragma_table_list
WHERE schema = 'main' AND type IN ('table', 'virtual')
AND name NOT LIKE 'sqlite%' AND name != 'sides'
"""

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


def side_state(connection: sqlite3.Connection, side: ViewSide) -> SideState:
    """Return the stored state of a side."""
    row = connection.execute(_SIDE, (side,)).fetchone()
    return SideState(*row) if row else EMPTY_SIDE


class SqliteView(View):
    """A view in a file."""

    def __init__(self, path: Path, projection: Projection) -> None:
        super().__init__(projection)
        self.path = path
        self._connections = ThreadConnections(self._connect)
        # Asked first: a process that only reads does not wait for a writer.
        try:
            if not _has_sides(self._connections.get()):
                with self._writing() as connection:
                    _create_sides(connection)
        except BaseException:
            self._connections.close()
            raise

    def select(self, statement: str, values: Sequence[str | int | None] = ()) -> list[Any]:
        """Return the rows of a query on the live side."""
        return self._connections.get().execute(statement, values).fetchall()

    @override
    def side_state(self, side: ViewSide = "live") -> SideState:
        return side_state(self._connections.get(), side)

    @override
    def create(self, fill: Callable[[Transaction], object] = lambda _: None) -> None:
        with self._writing() as connection:
            if side_state(connection, "live").definition != self.definition:
                _drop_side(connection, "shadow")
                self._create_side(connection, "live")
                fill(SqliteTransaction(connection, "live", EMPTY_SIDE))

    @override
    def invalidate(self, position: int) -> None:
        with self._writing() as connection:
            connection.execute(
                "UPDATE sides SET definition = ? WHERE side = 'live' AND position = ?",
                (INVALIDATED, position),
            )

    @override
    def count(self) -> dict[str, int]:
        return {
            table.name: self.select(f"SELECT count(*) FROM {table.name}")[0][0]
            for table in self.tables
        }

    @override
    def get(self, table: Table, key: str, side: ViewSide = "live") -> Record | None:
        return _get(self._connections.get(), PREFIX[side] + table.name, key)

    @override
    def rows(self, table: Table, side: ViewSide = "live") -> Iterator[tuple[str, Record]]:
        name = PREFIX[side] + table.name
        for key, record in self.select(f"SELECT key, record FROM {name} ORDER BY key"):
            yield key, orjson.loads(record)

    @contextmanager
    @override
    def snapshot(self) -> Iterator[ViewSnapshot]:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN")
            if side_state(connection, "live").definition != self.definition:
                raise not_built(self.name)
            yield SqliteSnapshot(connection)

    @contextmanager
    @override
    def transaction(self, side: ViewSide = "live") -> Iterator[Transaction]:
        with self._writing() as connection:
            state = side_state(connection, side)
            if state.definition != self.definition:
                raise not_built(self.name)
            yield SqliteTransaction(connection, side, state)

    @override
    def start_shadow(self) -> None:
        with self._writing() as connection:
            self._create_side(connection, "shadow")

    @override
    def swap(self, finish: Callable[[Transaction], None]) -> None:
        with self._writing() as connection:
            finish(SqliteTransaction(connection, "shadow", side_state(connection, "shadow")))
            _drop_side(connection, "live")
            for table in self.tables:
                for name in (table.name, *derived.names(table)):
                    connection.execute(f"ALTER TABLE {PREFIX['shadow']}{name} RENAME TO {name}")
            connection.execute("UPDATE sides SET side = 'live' WHERE side = 'shadow'")

    @override
    def close(self) -> None:
        self._connections.close()

    def _create_side(self, connection: sqlite3.Connection, side: ViewSide) -> None:
        """Make an empty side of the next generation in the place of one that may exist."""
        generation = side_state(connection, "live").generation + 1
        _drop_side(connection, side)
        for table in self.tables:
            _create_table(connection, table, side, generation)
        connection.execute(
            "INSERT INTO sides VALUES (?, 0, ?, ?, '')", (side, generation, self.definition)
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
        connection = connect_to_view(self.path, timeout_seconds=LOCK_TIMEOUT_SECONDS)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection


class ScratchView(SqliteView):
    """A view for one thread, in SQLite's own temporary file (`SQLITE_TMPDIR`, `TMPDIR`).

    That file has no name, so nothing is left of it when the process is killed.
    """

    def __init__(self, projection: Projection) -> None:
        super().__init__(Path(), projection)
        self.create()

    @contextmanager
    @override
    def snapshot(self) -> Iterator[ViewSnapshot]:
        """Return the live side: nothing else writes to it."""
        yield SqliteSnapshot(self._connections.get())

    @override
    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect("", isolation_level=None)


class SqliteTransaction(Transaction):
    """A transaction on one side, inside the file's write lock."""

    def __init__(self, connection: sqlite3.Connection, side: ViewSide, state: SideState) -> None:
        """Write to a side whose stored state is `state`."""
        self._connection = connection
        self._side: ViewSide = side
        self._tracked = state.position, state.last_event_id

    @override
    def tracked_position(self) -> tuple[int, str]:
        return self._tracked

    @override
    def set_position(self, position: int, last_event_id: str = "") -> None:
        self._connection.execute(
            "UPDATE sides SET position = ?, mark = ? WHERE side = ?",
            (position, last_event_id, self._side),
        )
        self._tracked = position, last_event_id

    @override
    def get(self, table: Table, key: str) -> Record | None:
        return _get(self._connection, self._name(table), key)

    @override
    def put(self, table: Table, key: str, record: Record | None) -> None:
        name = self._name(table)
        before = derived.source_row(self._connection, name, table, key)
        after = None
        if record is None:
            self._connection.execute(f"DELETE FROM {name} WHERE key = ?", (key,))
        else:
            after = self._connection.execute(
                f"{_upsert(name, table)} RETURNING {derived.source_columns(table)}",
                (key, orjson.dumps(record), *table.columns_of(record)),
            ).fetchone()
        derived.update(self._connection, name, table, before, after)

    @override
    def put_all(self, table: Table, rows: Iterable[tuple[str, Record | None]]) -> None:
        """Write many records; in few calls where the table has no derived ones."""
        if derived.names(table):
            super().put_all(table, rows)
            return
        # In the order of keys, which is the order of their index: neighbours share a page.
        ordered = sorted(rows, key=itemgetter(0))
        name = self._name(table)
        self._connection.executemany(
            _upsert(name, table),
            (
                (key, orjson.dumps(record), *table.columns_of(record))
                for key, record in ordered
                if record is not None
            ),
        )
        self._connection.executemany(
            f"DELETE FROM {name} WHERE key = ?",
            ((key,) for key, record in ordered if record is None),
        )

    def _name(self, table: Table) -> str:
        return PREFIX[self._side] + table.name


class SqliteSnapshot(ViewSnapshot):
    """The live side that a connection sees in its read transaction."""

    DERIVED = frozenset({"counts", "parts"})

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @override
    def tracked_position(self) -> tuple[int, str]:
        live = side_state(self._connection, "live")
        return live.position, live.last_event_id

    @override
    def rows(self, table: Table) -> Iterator[StoredRow]:
        columns = ", ".join(("key", "record", *table.columns))
        for key, record, *values in self._connection.execute(
            f"SELECT {columns} FROM {table.name} ORDER BY key"
        ):
            yield StoredRow(key, tuple(values), record)

    @override
    def derived_rows(self, table: Table) -> Iterator[tuple[str, str, int]]:
        return derived.stored_rows(self._connection, table)


def require_usable_sqlite(
    version: tuple[int, int, int] = sqlite3.sqlite_version_info,
    connect: Callable[[str], sqlite3.Connection] = sqlite3.connect,
) -> None:
    """Raise StoreError when Python's SQLite is too old or lacks full-text search."""
    needed, found = (".".join(map(str, each)) for each in (OLDEST, version))
    if version < OLDEST:
        raise StoreError(
            f"SQLite {needed} or newer is needed, Python uses {found}; "
            "install a Python that comes with a newer one"
        )
    with closing(connect(":memory:")) as connection:
        try:
            connection.execute(_NEEDS)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"SQLite with full-text search (FTS5) is needed, Python's {found} says "
                f"{str(error)!r}; install a Python whose SQLite has it"
            ) from None


def _get(connection: sqlite3.Connection, name: str, key: str) -> Record | None:
    row = connection.execute(f"SELECT record FROM {name} WHERE key = ?", (key,)).fetchone()
    return orjson.loads(row[0]) if row else None


def _upsert(name: str, table: Table) -> str:
    """Return what writes a row. An existing row keeps its id, which derived tables refer to."""
    columns = ("key", "record", *table.columns)
    marks = ", ".join("?" * len(columns))
    updates = ", ".join(f"{each} = excluded.{each}" for each in columns[1:])
    return (
        f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks}) "
        f"ON CONFLICT (key) DO UPDATE SET {updates}"
    )


def _has_sides(connection: sqlite3.Connection) -> bool:
    """Return whether the table `sides` exists in today's form."""
    return connection.execute(_HAS_MARK).fetchone() is not None


def _create_sides(connection: sqlite3.Connection) -> None:
    """Make the table `sides`, or bring it to today's form."""
    connection.execute(_SIDES)
    if not _has_sides(connection):
        connection.execute(_ADD_MARK)


def _drop_side(connection: sqlite3.Connection, side: ViewSide) -> None:
    """Drop every table of a side, whatever version of the code made it."""
    is_shadow = side == "shadow"
    for (name,) in connection.execute(_TABLES_OF_VIEW).fetchall():
        if name.startswith(PREFIX["shadow"]) is is_shadow:
            connection.execute(f"DROP TABLE {name}")
    connection.execute("DELETE FROM sides WHERE side = ?", (side,))


def _create_table(
    connection: sqlite3.Connection, table: Table, side: ViewSide, generation: int
) -> None:
    """Make a table with its indexes.

    The names of indexes contain the generation, because they stay when a table is renamed.
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
    derived.create(connection, name, table)
