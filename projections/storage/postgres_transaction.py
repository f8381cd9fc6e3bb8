"""Writing to one side of a view in PostgreSQL.

A way to the server and back takes longer than what is done there. So writes are sent
without waiting for an answer, and all answers are read at the end of the transaction.
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson

from projections.storage import postgres_sides
from projections.storage.counts import count_key
from projections.storage.postgres_tables import counts_of, stored
from projections.view import Record, Side, Table, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.storage.postgres_connections import Connection
    from projections.storage.postgres_sides import Standing

Row = tuple[Any, ...]

_ARRAYS: Final = {"TEXT": "%b::text[]", "INTEGER": "%b::bigint[]"}

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


class PostgresTransaction(Transaction):
    """A transaction on one side, whose row in `sides` is locked by a connection in a pipeline."""

    def __init__(self, connection: Connection, view: str, side: Side, standing: Standing) -> None:
        self._connection = connection
        self._view = view
        self._side: Side = side
        self._generation = standing.generation
        self._position = standing.position
        self._counted: dict[str, dict[str, Row | None]] = {}

    def position(self) -> int:
        """Return the position of the last event that the rows show."""
        return self._position

    def set_position(self, position: int, mark: str = "") -> None:
        """Record up to which event the rows show the log, and what that event is."""
        postgres_sides.set_position(self._connection, self._view, self._side, position, mark)
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
