"""A view in a PostgreSQL database.

Writing to one side of a view in PostgreSQL.

A way to the server and back takes longer than what is done there. So writes are sent
without waiting for an answer, and all answers are read at the end of the transaction.

The live side of a view in PostgreSQL at one moment: a read transaction of its own.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson
from eventsourcing.persistence import OperationalError
from psycopg import errors

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
from projections.storage import postgres_connection
from projections.storage import postgres_connection as postgres_tables
from projections.storage.derived import count_key
from projections.storage.postgres_connection import EMPTY_SIDE, SideState, counts_of, stored
from projections.storage.postgres_connection import names as names_of
from store.postgres.connections import LONG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from projections.core.projection import Projection
    from projections.storage.postgres_connection import Reading
    from store.postgres.connections import Connection, Connections


Row = tuple[Any, ...]

_ARRAYS: Final = {"TEXT": "%b::text[]", "INTEGER": "%b::bigint[]"}

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


class PostgresTransaction(Transaction):
    """A transaction on one side, whose row in `sides` is locked by a connection in a pipeline."""

    def __init__(
        self, connection: Connection, view: str, side: ViewSide, standing: SideState
    ) -> None:
        self._connection = connection
        self._view = view
        self._side: ViewSide = side
        self._generation = standing.generation
        self._position = standing.position
        self._counted: dict[str, dict[str, Row | None]] = {}

    def position(self) -> int:
        """Return the position of the last event that the rows show."""
        return self._position

    def set_position(self, position: int, last_event_id: str = "") -> None:
        """Record up to which event the rows show the log, and what that event is."""
        postgres_connection.set_position(
            self._connection, self._view, self._side, position, last_event_id
        )
        self._position = position

    def get(self, table: Table, key: str) -> Record | None:
        """Return a record."""
        return self.get_all(table, [key]).get(key)

    def get_all(self, table: Table, keys: Iterable[str]) -> dict[str, Record]:
        """Return the records that there are of some keys."""
        wanted = list(keys)
        rows = select_keys(self._connection, self._name(table), _counted(table), wanted)
        if table.counted:
            found = {key: tuple(values) for key, _, *values in rows}
            known = self._counted.setdefault(table.name, {})
            known.update((key, found.get(key)) for key in wanted)
        return {key: orjson.loads(record) for key, record, *_ in rows}

    def put(self, table: Table, key: str, record: Record | None) -> None:
        """Write a record; None removes it."""
        self.put_all(table, [(key, record)])

    def put_all(self, table: Table, rows: Iterable[tuple[str, Record | None]]) -> None:
        """Write many records of different keys, in as few statements as there are sorts of them."""
        # In the order of keys, which is the order of their index: neighbours share a page.
        ordered = sorted(rows, key=itemgetter(0))
        written = [
            (key, orjson.dumps(record), *table.columns_of(record))
            for key, record in ordered
            if record is not None
        ]
        gone = [key for key, record in ordered if record is None]
        if table.counted:
            self._count(table, written, gone)
        name = self._name(table)
        if written:
            columns = [list(each) for each in zip(*written, strict=True)]
            self._connection.execute(upsert(name, table), columns, prepare=True)
        if gone:
            statement = f"DELETE FROM {name} WHERE key = ANY(%b::text[])".encode()
            self._connection.execute(statement, (gone,), prepare=True)

    def _count(self, table: Table, written: Sequence[Row], gone: Iterable[str]) -> None:
        """Let the counts follow rows that are about to be written and removed."""
        columns = _counted(table)
        places = [2 + list(table.columns).index(each) for each in columns]
        after: dict[str, Row | None] = dict.fromkeys(gone)
        after |= {row[0]: tuple(row[place] for place in places) for row in written}
        known = self._counted.setdefault(table.name, {})
        if unknown := [key for key in after if key not in known]:
            self.get_all(table, unknown)
        steps: Counter[str] = Counter()
        for key, values in after.items():
            before = known[key]
            if before != values:
                steps.subtract(_count_keys(table, columns, before))
                steps.update(_count_keys(table, columns, values))
        known |= after
        changed = {key: step for key, step in steps.items() if step}
        if changed:
            statement = _COUNT.format(name=counts_of(self._name(table))).encode()
            bound = list(changed), list(changed.values())
            self._connection.execute(statement, bound, prepare=True)

    def _name(self, table: Table) -> str:
        return stored(self._view, self._generation, table.name)


_COUNT: Final = (
    "INSERT INTO {name} AS kept SELECT * FROM unnest(%b::text[], %b::bigint[]) "
    "ON CONFLICT (counted) DO UPDATE SET number = kept.number + excluded.number"
)


def select_keys(
    connection: Connection, name: str, columns: Iterable[str], keys: list[str]
) -> list[Row]:
    """Return key, record and some columns of the rows that there are of some keys."""
    selected = ", ".join(("key", "record", *columns))
    statement = f"SELECT {selected} FROM {name} WHERE key = ANY(%b::text[])".encode()
    return connection.execute(statement, (keys,), prepare=True, binary=True).fetchall()


def upsert(name: str, table: Table) -> bytes:
    """Return what writes rows that are given as an array of each column."""
    columns = ("key", "record", *table.columns)
    arrays = ", ".join(_ARRAYS[kind] for kind in table.columns.values())
    updates = ", ".join(f"{each} = excluded.{each}" for each in columns[1:])
    given = ", ".join(("%b::text[]", "%b::bytea[]", *([arrays] if arrays else [])))
    return (
        f"INSERT INTO {name} ({', '.join(columns)}) SELECT * FROM unnest({given}) "
        f"ON CONFLICT (key) DO UPDATE SET {updates}"
    ).encode()


def _counted(table: Table) -> list[str]:
    """Return the columns that the counts of a table follow from."""
    counted = {column for each in table.counted for column in each}
    return [column for column in table.columns if column in counted]


def _count_keys(table: Table, columns: Sequence[str], values: Row | None) -> list[str]:
    """Return the names of the counts that a row is part of."""
    if values is None:
        return []
    named = dict(zip(columns, values, strict=True))
    return [count_key(named, each) for each in table.counted]


_ROWS_AT_ONCE: Final = 1000

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


class PostgresSnapshot(ViewSnapshot):
    """What a connection sees whose transaction has begun to read and does not end."""

    def __init__(self, connection: Connection, view: str, live: SideState) -> None:
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

    def derived_rows(self, table: Table) -> Iterator[tuple[str, str, int]]:
        """Return the counts beside a table. The index of a search is the database's own."""
        if table.counted:
            name = counts_of(stored(self._view, self._live.generation, table.name))
            for counted, number in self._connection.execute(
                f"SELECT counted, number FROM {name} WHERE number != 0".encode(), binary=True
            ):
                yield "counts", counted, number


_READERS_TIMEOUT: Final = "SET LOCAL lock_timeout = '200ms'"
"""How long a swap waits for readers of the moment: who comes meanwhile waits behind it."""

SWAP_SECONDS: Final = 30.0
"""How long a swap is tried."""

_WRITE_SECONDS: Final = 60.0
"""How long a batch may take: longer only when the server is frozen."""

_TRY_AGAIN_SECONDS: Final = 0.1
_LOOKS: Final = 3

# Table names come from the projections' definitions, never from input.
# ruff: noqa: S608


class PostgresView(View):
    """A view in the database. What is open belongs to who has made it."""

    def __init__(self, connections: Connections, reading: Reading, projection: Projection) -> None:
        self._connections = connections
        self._reading = reading
        self._name = projection.name
        self._tables = projection.tables
        self._definition = projection.definition

    def position(self, side: ViewSide = "live") -> int:
        """Return the position that readers see now."""
        return self._standing(side).position

    def tracked_position(self, side: ViewSide = "live") -> tuple[int, str]:
        """Return the position of a side, and the mark of the event there."""
        found = self._standing(side)
        return found.position, found.last_event_id

    def is_current(self, side: ViewSide = "live") -> bool:
        """Return whether a side is there and was made by the definition of this code."""
        return self._standing(side).definition == self._definition

    def current_position(self) -> int | None:
        """Return the position that readers see now; None when the live side is not current."""
        live = self._standing("live")
        return live.position if live.definition == self._definition else None

    def generation(self) -> int:
        """Return how many times the view was rebuilt, counting from 1."""
        return self._standing("live").generation

    def create(self, fill: Callable[[Transaction], object] = lambda _: None) -> None:
        """Make the live side anew in one transaction, unless it is current."""
        if not self.is_current():
            self._replace(lambda connection: self._create(connection, fill))

    def invalidate(self, position: int) -> None:
        """Note that the rows show another history, unless the side has left `position`."""
        with self._writing() as connection:
            postgres_connection.invalidate(connection, self._name, position, INVALIDATED)

    def count(self) -> dict[str, int]:
        """Return the number of rows in each table."""
        counts = ", ".join(
            f"(SELECT count(*) FROM {postgres_tables.shown(each.name)})" for each in self._tables
        )
        ((*numbers,),) = self._select(f"SELECT {counts}")
        return {table.name: number for table, number in zip(self._tables, numbers, strict=True)}

    def get(self, table: Table, key: str, side: ViewSide = "live") -> Record | None:
        """Return a record."""
        return self.get_all(table, [key], side).get(key)

    def get_all(
        self, table: Table, keys: Iterable[str], side: ViewSide = "live"
    ) -> dict[str, Record]:
        """Return the records that there are of some keys."""
        name, wanted = self._rows_of(table, side), list(keys)
        found = self._told(lambda connection: select_keys(connection, name, (), wanted))
        return {key: orjson.loads(record) for key, record in found}

    def rows(self, table: Table, side: ViewSide = "live") -> Iterator[tuple[str, Record]]:
        """Return every row in the order of keys, for comparing."""
        name = self._rows_of(table, side)
        for key, record in self._select(f"SELECT key, record FROM {name} ORDER BY key"):
            yield key, orjson.loads(record)

    @contextmanager
    def snapshot(self) -> Iterator[ViewSnapshot]:
        """Return the live side as it is now, whatever is written or swapped meanwhile."""
        with self._connections.own() as connection:
            yield self._hold(connection)
            connection.execute("ROLLBACK")
        self._drop_left_over()

    @contextmanager
    def transaction(self, side: ViewSide = "live") -> Iterator[Transaction]:
        """Lock the side's row for writing and open a transaction on the side."""
        with self._in_few_trips() as connection:
            standing = postgres_connection.lock(connection, self._name, side)
            if standing.definition != self._definition:
                raise not_built(self._name)
            yield PostgresTransaction(connection, self._name, side, standing)
        self._reading.note_answer()

    def start_shadow(self) -> None:
        """Make an empty shadow side."""
        with self._writing() as connection:
            postgres_connection.lock(connection, self._name, "shadow")
            live = postgres_connection.standing(connection, self._name, "live")
            new = SideState(0, live.generation + 1, self._definition, "")
            postgres_tables.create_tables(connection, self._name, new.generation, self._tables)
            postgres_connection.set_standing(connection, self._name, "shadow", new)

    def swap(self, finish: Callable[[Transaction], None]) -> None:
        """Put the shadow side in the place of the live one, in one transaction."""
        shadow = self._standing("shadow")
        with self._connections.get() as connection:
            postgres_tables.analyze(connection, self._name, shadow.generation, self._tables)
        self._replace(lambda connection: self._swap(connection, finish))

    def close(self) -> None:
        """Do nothing: the connections are shared."""

    def _hold(self, connection: Connection) -> PostgresSnapshot:
        """Begin to read the live side: from now on its tables are not dropped."""
        for _ in range(_LOOKS):
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            live = postgres_connection.standing(connection, self._name, "live")
            if live.definition != self._definition:
                break
            found = PostgresSnapshot(connection, self._name, live)
            try:
                found.hold(self._tables)
            except errors.UndefinedTable:
                # Swapped and dropped between the two.
                connection.execute("ROLLBACK")
            else:
                return found
        raise not_built(self._name)

    def _create(self, connection: Connection, fill: Callable[[Transaction], object]) -> None:
        live = postgres_connection.lock(connection, self._name, "live")
        if live.definition == self._definition:
            return
        postgres_connection.lock(connection, self._name, "shadow")
        postgres_connection.set_standing(connection, self._name, "shadow", EMPTY_SIDE)
        new = SideState(0, live.generation + 1, self._definition, "")
        postgres_tables.create_tables(connection, self._name, new.generation, self._tables)
        postgres_connection.set_standing(connection, self._name, "live", new)
        fill(PostgresTransaction(connection, self._name, "live", new))
        self._show(connection, new.generation)

    def _swap(self, connection: Connection, finish: Callable[[Transaction], None]) -> None:
        postgres_connection.lock(connection, self._name, "live")
        shadow = postgres_connection.lock(connection, self._name, "shadow")
        if shadow.definition != self._definition:
            raise not_built(self._name)
        finish(PostgresTransaction(connection, self._name, "shadow", shadow))
        now = postgres_connection.standing(connection, self._name, "shadow")
        self._show(connection, now.generation)
        postgres_connection.set_standing(connection, self._name, "live", now)
        postgres_connection.set_standing(connection, self._name, "shadow", EMPTY_SIDE)

    def _show(self, connection: Connection, generation: int) -> None:
        connection.execute(_READERS_TIMEOUT)
        postgres_tables.show(connection, self._name, generation, self._tables)

    def _replace(self, work: Callable[[Connection], None]) -> None:
        """Replace the live side; again, if somebody reads the old one for longer just now.

        Raises OperationalError when somebody always does.
        """
        deadline = time.monotonic() + SWAP_SECONDS
        while True:
            try:
                with self._writing() as connection:
                    work(connection)
            except OperationalError as error:
                if not _is_wait(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_TRY_AGAIN_SECONDS)
            else:
                break
        self._drop_left_over()

    def _drop_left_over(self) -> None:
        """Drop what belongs to no side, unless it is read; then who comes later does it."""
        try:
            # To give back the disk of a large table may take long.
            with self._writing(LONG_SECONDS) as connection:
                connection.execute(_READERS_TIMEOUT)
                # Whoever makes or swaps a side holds this lock, too.
                postgres_connection.lock(connection, self._name, "shadow")
                postgres_tables.drop_left_over(connection, self._name)
        except OperationalError as error:
            if not _is_wait(error):
                raise

    def _rows_of(self, table: Table, side: ViewSide) -> str:
        if side == "live":
            return postgres_tables.shown(table.name)
        return postgres_tables.stored(self._name, self._standing(side).generation, table.name)

    def _standing(self, side: ViewSide) -> SideState:
        return self._reading.run(
            lambda connection: postgres_connection.standing(connection, self._name, side)
        )

    def _select(self, statement: str) -> list[Any]:
        return self._told(
            lambda connection: connection.execute(statement.encode(), binary=True).fetchall()
        )

    def _told(self, work: Callable[[Connection], list[Any]]) -> list[Any]:
        """Read. Raises ViewUnavailableError when there is nothing to read."""

        def look(connection: Connection) -> list[Any]:
            try:
                return work(connection)
            except errors.UndefinedTable:
                raise not_built(self._name) from None

        return self._reading.run(look)

    @contextmanager
    def _in_few_trips(self) -> Iterator[Connection]:
        """Lend a connection in a transaction that waits for answers only where they are asked for.

        Not for dropping tables: the driver would forget in the middle what it has prepared.
        """
        with self._connections.get(answer_seconds=_WRITE_SECONDS) as connection:
            try:
                with connection.pipeline():
                    # By hand: the driver would wait for the answer to each of the two.
                    connection.execute("BEGIN")
                    postgres_connection.be_patient(connection)
                    yield connection
                    connection.execute("COMMIT")
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise

    @contextmanager
    def _writing(self, answer_seconds: float | None = None) -> Iterator[Connection]:
        """Lend a connection in a transaction."""
        answer_seconds = answer_seconds or _WRITE_SECONDS
        with self._connections.transaction(answer_seconds=answer_seconds) as connection:
            postgres_connection.be_patient(connection)
            yield connection


def _is_wait(error: OperationalError) -> bool:
    """Return whether somebody else was in the way for too long."""
    return isinstance(error.__cause__, errors.LockNotAvailable | errors.DeadlockDetected)
