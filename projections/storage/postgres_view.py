"""A view in a PostgreSQL database.

A round trip to the server takes longer than what it does there. So a transaction sends its
writes without waiting for answers, and reads all answers at its end.
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
from typing_extensions import override

from projections.core.table import (
    EMPTY_SIDE,
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
from projections.storage import postgres_tables
from projections.storage.derived import count_key
from store.postgres.connections import LONG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from projections.core.projection import Projection
    from projections.storage.postgres_connection import ReadConnections
    from store.postgres.connections import Connection, Connections


_Row = tuple[Any, ...]

_SWAP_SECONDS: Final = 30.0
"""How long a swap is retried that readers keep from the SQL views."""

_READERS_TIMEOUT: Final = "SET LOCAL lock_timeout = '200ms'"
"""How long one try of a swap waits for readers: new readers wait behind it."""

_WRITE_SECONDS: Final = 60.0
"""How long a batch may take. Only one on a server that hangs takes longer."""

_LOCK_TIMEOUT_SECONDS: Final = 10.0
"""How long a writer waits for those before it."""

_SWAP_RETRY_SECONDS: Final = 0.1
_SNAPSHOT_ATTEMPTS: Final = 3
_ROWS_PER_FETCH: Final = 1000
_ARRAYS: Final = {"TEXT": "%b::text[]", "INTEGER": "%b::bigint[]"}
_COUNT: Final = (
    "INSERT INTO {name} AS kept SELECT * FROM unnest(%b::text[], %b::bigint[]) "
    "ON CONFLICT (counted) DO UPDATE SET number = kept.number + excluded.number"
)

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


class PostgresView(View):
    """A view in the database. Its creator closes the connections."""

    def __init__(
        self,
        connections: Connections,
        read_connections: ReadConnections,
        projection: Projection,
    ) -> None:
        super().__init__(projection)
        self.lock_timeout_seconds = _LOCK_TIMEOUT_SECONDS
        self.swap_seconds = _SWAP_SECONDS
        self.write_seconds = _WRITE_SECONDS
        self._connections = connections
        self._read_connections = read_connections

    @override
    def side_state(self, side: ViewSide = "live") -> SideState:
        return self._read_connections.run(
            lambda connection: postgres_tables.side_state(connection, self.name, side)
        )

    @override
    def create(self, fill: Callable[[Transaction], object] = lambda _: None) -> None:
        if not self.is_current():
            self._replace(lambda connection: self._create(connection, fill))

    @override
    def invalidate(self, position: int) -> None:
        with self._writing() as connection:
            postgres_tables.invalidate(connection, self.name, position)

    @override
    def count(self) -> dict[str, int]:
        counts = ", ".join(
            f"(SELECT count(*) FROM {postgres_tables.shown(each.name)})" for each in self.tables
        )
        ((*numbers,),) = self._select(f"SELECT {counts}")
        return {table.name: number for table, number in zip(self.tables, numbers, strict=True)}

    @override
    def get(self, table: Table, key: str, side: ViewSide = "live") -> Record | None:
        return self.get_all(table, [key], side).get(key)

    @override
    def get_all(
        self, table: Table, keys: Iterable[str], side: ViewSide = "live"
    ) -> dict[str, Record]:
        name, wanted = self._rows_of(table, side), list(keys)
        found = self._read(lambda connection: _select_keys(connection, name, (), wanted))
        return {key: orjson.loads(record) for key, record in found}

    @override
    def rows(self, table: Table, side: ViewSide = "live") -> Iterator[tuple[str, Record]]:
        name = self._rows_of(table, side)
        for key, record in self._select(f"SELECT key, record FROM {name} ORDER BY key"):
            yield key, orjson.loads(record)

    @contextmanager
    @override
    def snapshot(self) -> Iterator[ViewSnapshot]:
        with self._connections.own() as connection:
            yield self._hold(connection)
            connection.execute("ROLLBACK")
        self._drop_left_over()

    @contextmanager
    @override
    def transaction(self, side: ViewSide = "live") -> Iterator[Transaction]:
        with self._pipeline() as connection:
            state = postgres_tables.lock_side(connection, self.name, side)
            if state.definition != self.definition:
                raise not_built(self.name)
            yield PostgresTransaction(connection, self.name, side, state)
        self._read_connections.note_answer()

    @override
    def start_shadow(self) -> None:
        with self._writing() as connection:
            postgres_tables.lock_side(connection, self.name, "shadow")
            live = postgres_tables.side_state(connection, self.name, "live")
            new = SideState(0, live.generation + 1, self.definition, "")
            postgres_tables.create_tables(connection, self.name, new.generation, self.tables)
            postgres_tables.set_side(connection, self.name, "shadow", new)

    @override
    def swap(self, finish: Callable[[Transaction], None]) -> None:
        shadow = self.side_state("shadow")
        with self._connections.get() as connection:
            postgres_tables.analyze(connection, self.name, shadow.generation, self.tables)
        self._replace(lambda connection: self._swap(connection, finish))

    @override
    def close(self) -> None:
        """Do nothing: the connections are shared."""

    def _hold(self, connection: Connection) -> PostgresSnapshot:
        """Begin to read the live side, and keep its tables from being dropped."""
        for _ in range(_SNAPSHOT_ATTEMPTS):
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            live = postgres_tables.side_state(connection, self.name, "live")
            if live.definition != self.definition:
                break
            found = PostgresSnapshot(connection, self.name, live)
            try:
                found.hold(self.tables)
            except errors.UndefinedTable:
                # The side was swapped and dropped between the two statements.
                connection.execute("ROLLBACK")
            else:
                return found
        raise not_built(self.name)

    def _create(self, connection: Connection, fill: Callable[[Transaction], object]) -> None:
        live = postgres_tables.lock_side(connection, self.name, "live")
        if live.definition == self.definition:
            return
        postgres_tables.lock_side(connection, self.name, "shadow")
        postgres_tables.set_side(connection, self.name, "shadow", EMPTY_SIDE)
        new = SideState(0, live.generation + 1, self.definition, "")
        postgres_tables.create_tables(connection, self.name, new.generation, self.tables)
        postgres_tables.set_side(connection, self.name, "live", new)
        fill(PostgresTransaction(connection, self.name, "live", new))
        self._show(connection, new.generation)

    def _swap(self, connection: Connection, finish: Callable[[Transaction], None]) -> None:
        postgres_tables.lock_side(connection, self.name, "live")
        shadow = postgres_tables.lock_side(connection, self.name, "shadow")
        if shadow.definition != self.definition:
            raise not_built(self.name)
        finish(PostgresTransaction(connection, self.name, "shadow", shadow))
        now = postgres_tables.side_state(connection, self.name, "shadow")
        self._show(connection, now.generation)
        postgres_tables.set_side(connection, self.name, "live", now)
        postgres_tables.set_side(connection, self.name, "shadow", EMPTY_SIDE)

    def _show(self, connection: Connection, generation: int) -> None:
        connection.execute(_READERS_TIMEOUT)
        postgres_tables.show(connection, self.name, generation, self.tables)

    def _replace(self, work: Callable[[Connection], None]) -> None:
        """Replace the live side; retry while readers keep the SQL views.

        Raises OperationalError when they still do after `swap_seconds`.
        """
        deadline = time.monotonic() + self.swap_seconds
        while True:
            try:
                with self._writing() as connection:
                    work(connection)
            except OperationalError as error:
                if not _is_wait(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_SWAP_RETRY_SECONDS)
            else:
                break
        self._drop_left_over()

    def _drop_left_over(self) -> None:
        """Drop tables that belong to no side. Those in use are left for the next call."""
        try:
            # The server may take long to free the disk space of a large table.
            with self._writing(LONG_SECONDS) as connection:
                connection.execute(_READERS_TIMEOUT)
                # A process that makes or swaps a side holds this lock, too.
                postgres_tables.lock_side(connection, self.name, "shadow")
                postgres_tables.drop_left_over(connection, self.name)
        except OperationalError as error:
            if not _is_wait(error):
                raise

    def _rows_of(self, table: Table, side: ViewSide) -> str:
        if side == "live":
            return postgres_tables.shown(table.name)
        return postgres_tables.stored(self.name, self.side_state(side).generation, table.name)

    def _select(self, statement: str) -> list[Any]:
        return self._read(
            lambda connection: connection.execute(statement.encode(), binary=True).fetchall()
        )

    def _read(self, work: Callable[[Connection], list[Any]]) -> list[Any]:
        """Return what `work` reads. Raises ViewUnavailableError when its tables do not exist."""

        def checked(connection: Connection) -> list[Any]:
            try:
                return work(connection)
            except errors.UndefinedTable:
                raise not_built(self.name) from None

        return self._read_connections.run(checked)

    @contextmanager
    def _pipeline(self) -> Iterator[Connection]:
        """Lend a connection in a transaction that reads answers only where it needs them.

        Not for dropping tables: the driver would discard its prepared statements in the middle.
        """
        with self._connections.get(answer_seconds=self.write_seconds) as connection:
            try:
                with connection.pipeline():
                    # As statements: the driver would wait for the answers to its own.
                    connection.execute("BEGIN")
                    postgres_tables.set_write_timeouts(connection, self.lock_timeout_seconds)
                    yield connection
                    connection.execute("COMMIT")
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise

    @contextmanager
    def _writing(self, answer_seconds: float | None = None) -> Iterator[Connection]:
        """Lend a connection in a transaction."""
        answer_seconds = answer_seconds or self.write_seconds
        with self._connections.transaction(answer_seconds=answer_seconds) as connection:
            postgres_tables.set_write_timeouts(connection, self.lock_timeout_seconds)
            yield connection


class PostgresTransaction(Transaction):
    """A transaction on one side, whose row in `sides` is locked by a connection in a pipeline."""

    def __init__(self, connection: Connection, view: str, side: ViewSide, state: SideState) -> None:
        self._connection = connection
        self._view = view
        self._side: ViewSide = side
        self._generation = state.generation
        self._tracked = state.position, state.last_event_id
        self._counted: dict[str, dict[str, _Row | None]] = {}

    @override
    def tracked_position(self) -> tuple[int, str]:
        return self._tracked

    @override
    def set_position(self, position: int, last_event_id: str = "") -> None:
        postgres_tables.set_position(
            self._connection, self._view, self._side, position, last_event_id
        )
        self._tracked = position, last_event_id

    @override
    def get(self, table: Table, key: str) -> Record | None:
        return self.get_all(table, [key]).get(key)

    @override
    def get_all(self, table: Table, keys: Iterable[str]) -> dict[str, Record]:
        wanted = list(keys)
        rows = _select_keys(self._connection, self._name(table), _counted(table), wanted)
        if table.counted:
            found = {key: tuple(values) for key, _, *values in rows}
            known = self._counted.setdefault(table.name, {})
            known.update((key, found.get(key)) for key in wanted)
        return {key: orjson.loads(record) for key, record, *_ in rows}

    @override
    def put(self, table: Table, key: str, record: Record | None) -> None:
        self.put_all(table, [(key, record)])

    @override
    def put_all(self, table: Table, rows: Iterable[tuple[str, Record | None]]) -> None:
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
            self._connection.execute(_upsert(name, table), columns, prepare=True)
        if gone:
            statement = f"DELETE FROM {name} WHERE key = ANY(%b::text[])".encode()
            self._connection.execute(statement, (gone,), prepare=True)

    def _count(self, table: Table, written: Sequence[_Row], gone: Iterable[str]) -> None:
        """Update the counts for rows that are about to be written and removed."""
        columns = _counted(table)
        places = [2 + list(table.columns).index(each) for each in columns]
        after: dict[str, _Row | None] = dict.fromkeys(gone)
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
            statement = _COUNT.format(name=postgres_tables.counts_of(self._name(table))).encode()
            bound = list(changed), list(changed.values())
            self._connection.execute(statement, bound, prepare=True)

    def _name(self, table: Table) -> str:
        return postgres_tables.stored(self._view, self._generation, table.name)


class PostgresSnapshot(ViewSnapshot):
    """The live side that a connection sees in its read transaction."""

    DERIVED = frozenset({"counts"})

    def __init__(self, connection: Connection, view: str, live: SideState) -> None:
        self._connection = connection
        self._view = view
        self._live = live

    def hold(self, tables: Iterable[Table]) -> None:
        """Keep the tables from being dropped until the transaction ends."""
        names = [
            postgres_tables.stored(self._view, self._live.generation, name)
            for table in tables
            for name in postgres_tables.names(table)
        ]
        self._connection.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS SHARE MODE".encode())

    @override
    def tracked_position(self) -> tuple[int, str]:
        return self._live.position, self._live.last_event_id

    @override
    def rows(self, table: Table) -> Iterator[StoredRow]:
        columns = ", ".join(("key", "record", *table.columns))
        name = postgres_tables.stored(self._view, self._live.generation, table.name)
        with self._connection.cursor(table.name, binary=True) as cursor:
            cursor.itersize = _ROWS_PER_FETCH
            cursor.execute(f"SELECT {columns} FROM {name} ORDER BY key".encode())
            for key, record, *values in cursor:
                yield StoredRow(key, tuple(values), record)

    @override
    def derived_rows(self, table: Table) -> Iterator[tuple[str, str, int]]:
        if table.counted:
            name = postgres_tables.counts_of(
                postgres_tables.stored(self._view, self._live.generation, table.name)
            )
            for counted, number in self._connection.execute(
                f"SELECT counted, number FROM {name} WHERE number != 0".encode(), binary=True
            ):
                yield "counts", counted, number


def _select_keys(
    connection: Connection, name: str, columns: Iterable[str], keys: list[str]
) -> list[_Row]:
    """Return key, record and some columns of the rows that exist under some keys."""
    selected = ", ".join(("key", "record", *columns))
    statement = f"SELECT {selected} FROM {name} WHERE key = ANY(%b::text[])".encode()
    return connection.execute(statement, (keys,), prepare=True, binary=True).fetchall()


def _upsert(name: str, table: Table) -> bytes:
    """Return what writes rows that are bound as one array for each column."""
    columns = ("key", "record", *table.columns)
    arrays = ", ".join(_ARRAYS[kind] for kind in table.columns.values())
    updates = ", ".join(f"{each} = excluded.{each}" for each in columns[1:])
    given = ", ".join(("%b::text[]", "%b::bytea[]", *([arrays] if arrays else [])))
    return (
        f"INSERT INTO {name} ({', '.join(columns)}) SELECT * FROM unnest({given}) "
        f"ON CONFLICT (key) DO UPDATE SET {updates}"
    ).encode()


def _counted(table: Table) -> list[str]:
    """Return the columns that the counts of a table depend on."""
    counted = {column for each in table.counted for column in each}
    return [column for column in table.columns if column in counted]


def _count_keys(table: Table, columns: Sequence[str], values: _Row | None) -> list[str]:
    """Return the keys of the counts that include a row."""
    if values is None:
        return []
    named = dict(zip(columns, values, strict=True))
    return [count_key(named, each) for each in table.counted]


def _is_wait(error: OperationalError) -> bool:
    """Return whether another transaction held a lock for too long."""
    return isinstance(error.__cause__, errors.LockNotAvailable | errors.DeadlockDetected)
