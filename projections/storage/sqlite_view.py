"""A view in an SQLite file of its own.

Views can be rebuilt, so they run with relaxed fsync (`synchronous=NORMAL`): after a
power cut the file is intact and at most a little behind, position and rows together.

The tables of a view's two sides in an SQLite file: made, dropped, put in place of others.

Writing to one side of a view in an SQLite file, and where each side stands.

The live side of a view in an SQLite file at one moment: a read transaction of its own.

A view that is needed for a moment: in a file that nobody else sees.

Whether the SQLite that Python came with can hold the views.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from domain.errors import StoreError
from projections.core.projection import INVALIDATED
from projections.core.table import (
    Record,
    StoredRow,
    Table,
    Transaction,
    View,
    ViewSide,
    ViewSnapshot,
    not_built,
)
from projections.storage import derived
from store.sqlite.connections import ThreadConnections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from projections.core.projection import Projection


PREFIX: Final[dict[ViewSide, str]] = {"live": "", "shadow": "shadow_"}
"""What the names of a side's tables begin with."""

_NEW_SIDE: Final = {"position": 0, "generation": 0, "definition": "", "mark": ""}

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


def standing(connection: sqlite3.Connection, side: ViewSide) -> dict[str, Any]:
    """Return position, generation, definition and mark of a side; zeros when there is none."""
    row = connection.execute(
        "SELECT position, generation, definition, mark FROM sides WHERE side = ?", (side,)
    ).fetchone()
    return dict(zip(_NEW_SIDE, row, strict=True)) if row else _NEW_SIDE


class SqliteTransaction(Transaction):
    """A transaction on one side, inside the file's write lock."""

    def __init__(
        self, connection: sqlite3.Connection, side: ViewSide, position: int | None = None
    ) -> None:
        """Write to a side. `position` is where it stands, for whoever has read that already."""
        self._connection = connection
        self._side: ViewSide = side
        self._position = position

    def position(self) -> int:
        """Return the position of the last event that the rows show."""
        if self._position is None:
            self._position = standing(self._connection, self._side)["position"]
        return self._position

    def set_position(self, position: int, last_event_id: str = "") -> None:
        """Record up to which event the rows show the log, and what that event is."""
        self._connection.execute(
            "UPDATE sides SET position = ?, mark = ? WHERE side = ?",
            (position, last_event_id, self._side),
        )
        self._position = position

    def get(self, table: Table, key: str) -> Record | None:
        """Return a record."""
        row = self._connection.execute(
            f"SELECT record FROM {self._name(table)} WHERE key = ?", (key,)
        ).fetchone()
        return orjson.loads(row[0]) if row else None

    def put(self, table: Table, key: str, record: Record | None) -> None:
        """Write a record; None removes it."""
        name = self._name(table)
        before = derived.row(self._connection, name, table, key)
        after = None
        if record is None:
            self._connection.execute(f"DELETE FROM {name} WHERE key = ?", (key,))
        else:
            after = self._connection.execute(
                f"{_upsert(name, table)} RETURNING {derived.row_of(table)}",
                (key, orjson.dumps(record), *table.columns_of(record)),
            ).fetchone()
        derived.follow(self._connection, name, table, before, after)

    def put_all(self, table: Table, rows: Iterable[tuple[str, Record | None]]) -> None:
        """Write many records of different keys, in few calls where nothing stands beside them."""
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


def _upsert(name: str, table: Table) -> str:
    """Return what writes a row; an existing one keeps its id, which the tables beside it know."""
    columns = ("key", "record", *table.columns)
    marks = ", ".join("?" * len(columns))
    updates = ", ".join(f"{each} = excluded.{each}" for each in columns[1:])
    return (
        f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks}) "
        f"ON CONFLICT (key) DO UPDATE SET {updates}"
    )


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


def has_sides(connection: sqlite3.Connection) -> bool:
    """Return whether the table is there that says where the sides stand, in today's form."""
    return connection.execute(_HAS_MARK).fetchone() is not None


def create_sides(connection: sqlite3.Connection) -> None:
    """Make the table that says where the sides stand, or bring it to today's form."""
    connection.execute(_SIDES)
    if not has_sides(connection):
        connection.execute(_ADD_MARK)


def create_side(
    connection: sqlite3.Connection, side: ViewSide, tables: Iterable[Table], definition: str
) -> None:
    """Make an empty side of the next generation in the place of one that may be there."""
    generation = standing(connection, "live")["generation"] + 1
    drop_side(connection, side)
    for table in tables:
        _create_table(connection, table, side, generation)
    connection.execute("INSERT INTO sides VALUES (?, 0, ?, ?, '')", (side, generation, definition))


def drop_side(connection: sqlite3.Connection, side: ViewSide) -> None:
    """Drop every table of a side, whatever version of the code made it."""
    is_shadow = side == "shadow"
    for (name,) in connection.execute(_TABLES_OF_VIEW).fetchall():
        if name.startswith(PREFIX["shadow"]) is is_shadow:
            connection.execute(f"DROP TABLE {name}")
    connection.execute("DELETE FROM sides WHERE side = ?", (side,))


def put_shadow_in_place(connection: sqlite3.Connection, tables: Iterable[Table]) -> None:
    """Let the shadow side be the live one."""
    drop_side(connection, "live")
    for table in tables:
        for name in (table.name, *derived.names(table)):
            connection.execute(f"ALTER TABLE {PREFIX['shadow']}{name} RENAME TO {name}")
    connection.execute("UPDATE sides SET side = 'live' WHERE side = 'shadow'")


def _create_table(
    connection: sqlite3.Connection, table: Table, side: ViewSide, generation: int
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
    derived.create(connection, name, table)


# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


class SqliteSnapshot(ViewSnapshot):
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

    def derived_rows(self, table: Table) -> Iterator[tuple[str, str, int]]:
        """Return what is kept beside a table: of which sort, for what, and its number."""
        return derived.kept(self._connection, table)


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

    def position(self, side: ViewSide = "live") -> int:
        """Return the position that readers see now."""
        position: int = standing(self._connections.get(), side)["position"]
        return position

    def tracked_position(self, side: ViewSide = "live") -> tuple[int, str]:
        """Return the position of a side, and the mark of the event there."""
        found = standing(self._connections.get(), side)
        return found["position"], found["mark"]

    def is_current(self, side: ViewSide = "live") -> bool:
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

    def invalidate(self, position: int) -> None:
        """Note that the rows show another history, unless the side has left `position`."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE sides SET definition = ? WHERE side = 'live' AND position = ?",
                (INVALIDATED, position),
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

    def get(self, table: Table, key: str, side: ViewSide = "live") -> Record | None:
        """Return a record."""
        return SqliteTransaction(self._connections.get(), side).get(table, key)

    def rows(self, table: Table, side: ViewSide = "live") -> Iterator[tuple[str, Record]]:
        """Return every row in the order of keys, for comparing."""
        name = PREFIX[side] + table.name
        for key, record in self.select(f"SELECT key, record FROM {name} ORDER BY key"):
            yield key, orjson.loads(record)

    @contextmanager
    def snapshot(self) -> Iterator[ViewSnapshot]:
        """Return the live side as it is now, whatever is written or swapped meanwhile."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN")
            if not self._is_current(connection, "live"):
                raise not_built(self._name)
            yield SqliteSnapshot(connection)

    @contextmanager
    def transaction(self, side: ViewSide = "live") -> Iterator[Transaction]:
        """Lock the file for writing and open a transaction on one side."""
        with self._writing() as connection:
            found = standing(connection, side)
            if found["definition"] != self._definition:
                raise not_built(self._name)
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

    def _is_current(self, connection: sqlite3.Connection, side: ViewSide) -> bool:
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


class ScratchView(SqliteView):
    """A view for one thread, in SQLite's own temporary file (`SQLITE_TMPDIR`, `TMPDIR`).

    That file has no name, so it is gone also when the process is killed.
    """

    def __init__(self, projection: Projection) -> None:
        super().__init__(Path(), projection)
        self.create()

    @contextmanager
    def snapshot(self) -> Iterator[ViewSnapshot]:
        """Return the live side: nobody writes to it meanwhile."""
        yield SqliteSnapshot(self._connections.get())

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect("", isolation_level=None)


OLDEST: Final = (3, 37, 0)
"""The first with `pragma_table_list`; the trigram index came with 3.34 (sqlite.org/changes)."""

_NEEDS: Final = "CREATE VIRTUAL TABLE parts USING fts5(part, content = '', tokenize = 'trigram')"


def require_usable_sqlite(
    version: tuple[int, int, int] = sqlite3.sqlite_version_info,
    connect: Callable[[str], sqlite3.Connection] = sqlite3.connect,
) -> None:
    """Raise StoreError when SQLite is too old or was built without full-text search."""
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
