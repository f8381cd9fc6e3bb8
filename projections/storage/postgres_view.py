"""A view in a PostgreSQL database."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson
from eventsourcing.persistence import OperationalError
from psycopg import errors

from domain.storage.postgres_connections import LONG_SECONDS
from projections.definition import ANOTHER_HISTORY
from projections.storage import postgres_sides, postgres_tables
from projections.storage.postgres_sides import NOWHERE, Standing
from projections.storage.postgres_snapshot import PostgresSnapshot
from projections.storage.postgres_transaction import PostgresTransaction, select_keys
from projections.view import Record, Side, Snapshot, Table, Transaction, View, not_made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from domain.storage.postgres_connections import Connection, Connections
    from projections.projection import Projection
    from projections.storage.postgres_reading import Reading

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

    def position(self, side: Side = "live") -> int:
        """Return the position that readers see now."""
        return self._standing(side).position

    def reached(self, side: Side = "live") -> tuple[int, str]:
        """Return the position of a side, and the mark of the event there."""
        found = self._standing(side)
        return found.position, found.mark

    def is_current(self, side: Side = "live") -> bool:
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

    def disown(self, position: int) -> None:
        """Note that the rows show another history, unless the side has left `position`."""
        with self._writing() as connection:
            postgres_sides.disown(connection, self._name, position, ANOTHER_HISTORY)

    def count(self) -> dict[str, int]:
        """Return the number of rows in each table."""
        counts = ", ".join(
            f"(SELECT count(*) FROM {postgres_tables.shown(each.name)})" for each in self._tables
        )
        ((*numbers,),) = self._select(f"SELECT {counts}")
        return {table.name: number for table, number in zip(self._tables, numbers, strict=True)}

    def get(self, table: Table, key: str, side: Side = "live") -> Record | None:
        """Return a record."""
        return self.get_all(table, [key], side).get(key)

    def get_all(self, table: Table, keys: Iterable[str], side: Side = "live") -> dict[str, Record]:
        """Return the records that there are of some keys."""
        name, wanted = self._rows_of(table, side), list(keys)
        found = self._told(lambda connection: select_keys(connection, name, (), wanted))
        return {key: orjson.loads(record) for key, record in found}

    def rows(self, table: Table, side: Side = "live") -> Iterator[tuple[str, Record]]:
        """Return every row in the order of keys, for comparing."""
        name = self._rows_of(table, side)
        for key, record in self._select(f"SELECT key, record FROM {name} ORDER BY key"):
            yield key, orjson.loads(record)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Return the live side as it is now, whatever is written or swapped meanwhile."""
        with self._connections.own() as connection:
            yield self._hold(connection)
            connection.execute("ROLLBACK")
        self._drop_left_over()

    @contextmanager
    def transaction(self, side: Side = "live") -> Iterator[Transaction]:
        """Lock the side's row for writing and open a transaction on the side."""
        with self._in_few_trips() as connection:
            standing = postgres_sides.lock(connection, self._name, side)
            if standing.definition != self._definition:
                raise not_made(self._name)
            yield PostgresTransaction(connection, self._name, side, standing)
        self._reading.note_answer()

    def start_shadow(self) -> None:
        """Make an empty shadow side."""
        with self._writing() as connection:
            postgres_sides.lock(connection, self._name, "shadow")
            live = postgres_sides.standing(connection, self._name, "live")
            new = Standing(0, live.generation + 1, self._definition, "")
            postgres_tables.create_tables(connection, self._name, new.generation, self._tables)
            postgres_sides.set_standing(connection, self._name, "shadow", new)

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
            live = postgres_sides.standing(connection, self._name, "live")
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
        raise not_made(self._name)

    def _create(self, connection: Connection, fill: Callable[[Transaction], object]) -> None:
        live = postgres_sides.lock(connection, self._name, "live")
        if live.definition == self._definition:
            return
        postgres_sides.lock(connection, self._name, "shadow")
        postgres_sides.set_standing(connection, self._name, "shadow", NOWHERE)
        new = Standing(0, live.generation + 1, self._definition, "")
        postgres_tables.create_tables(connection, self._name, new.generation, self._tables)
        postgres_sides.set_standing(connection, self._name, "live", new)
        fill(PostgresTransaction(connection, self._name, "live", new))
        self._show(connection, new.generation)

    def _swap(self, connection: Connection, finish: Callable[[Transaction], None]) -> None:
        postgres_sides.lock(connection, self._name, "live")
        shadow = postgres_sides.lock(connection, self._name, "shadow")
        if shadow.definition != self._definition:
            raise not_made(self._name)
        finish(PostgresTransaction(connection, self._name, "shadow", shadow))
        now = postgres_sides.standing(connection, self._name, "shadow")
        self._show(connection, now.generation)
        postgres_sides.set_standing(connection, self._name, "live", now)
        postgres_sides.set_standing(connection, self._name, "shadow", NOWHERE)

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
                postgres_sides.lock(connection, self._name, "shadow")
                postgres_tables.drop_left_over(connection, self._name)
        except OperationalError as error:
            if not _is_wait(error):
                raise

    def _rows_of(self, table: Table, side: Side) -> str:
        if side == "live":
            return postgres_tables.shown(table.name)
        return postgres_tables.stored(self._name, self._standing(side).generation, table.name)

    def _standing(self, side: Side) -> Standing:
        return self._reading.run(
            lambda connection: postgres_sides.standing(connection, self._name, side)
        )

    def _select(self, statement: str) -> list[Any]:
        return self._told(
            lambda connection: connection.execute(statement.encode(), binary=True).fetchall()
        )

    def _told(self, work: Callable[[Connection], list[Any]]) -> list[Any]:
        """Read. Raises ViewAwayError when there is nothing to read."""

        def look(connection: Connection) -> list[Any]:
            try:
                return work(connection)
            except errors.UndefinedTable:
                raise not_made(self._name) from None

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
                    postgres_sides.be_patient(connection)
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
            postgres_sides.be_patient(connection)
            yield connection


def _is_wait(error: OperationalError) -> bool:
    """Return whether somebody else was in the way for too long."""
    return isinstance(error.__cause__, errors.LockNotAvailable | errors.DeadlockDetected)
