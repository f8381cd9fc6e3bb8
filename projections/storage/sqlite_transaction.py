"""Writing to one side of a view in an SQLite file, and where each side stands."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson

from projections.storage import sqlite_derived
from projections.view import Record, Side, Table, Transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

PREFIX: Final[dict[Side, str]] = {"live": "", "shadow": "shadow_"}
"""What the names of a side's tables begin with."""

_NEW_SIDE: Final = {"position": 0, "generation": 0, "definition": "", "mark": ""}

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


def standing(connection: sqlite3.Connection, side: Side) -> dict[str, Any]:
    """Return position, generation, definition and mark of a side; zeros when there is none."""
    row = connection.execute(
        "SELECT position, generation, definition, mark FROM sides WHERE side = ?", (side,)
    ).fetchone()
    return dict(zip(_NEW_SIDE, row, strict=True)) if row else _NEW_SIDE


class SqliteTransaction(Transaction):
    """A transaction on one side, inside the file's write lock."""

    def __init__(
        self, connection: sqlite3.Connection, side: Side, position: int | None = None
    ) -> None:
        """Write to a side. `position` is where it stands, for whoever has read that already."""
        self._connection = connection
        self._side: Side = side
        self._position = position

    def position(self) -> int:
        """Return the position of the last event that the rows show."""
        if self._position is None:
            self._position = standing(self._connection, self._side)["position"]
        return self._position

    def set_position(self, position: int, mark: str = "") -> None:
        """Record up to which event the rows show the log, and what that event is."""
        self._connection.execute(
            "UPDATE sides SET position = ?, mark = ? WHERE side = ?", (position, mark, self._side)
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
        before = sqlite_derived.row(self._connection, name, table, key)
        after = None
        if record is None:
            self._connection.execute(f"DELETE FROM {name} WHERE key = ?", (key,))
        else:
            after = self._connection.execute(
                f"{_upsert(name, table)} RETURNING {sqlite_derived.row_of(table)}",
                (key, orjson.dumps(record), *table.columns_of(record)),
            ).fetchone()
        sqlite_derived.follow(self._connection, name, table, before, after)

    def put_all(self, table: Table, rows: Iterable[tuple[str, Record | None]]) -> None:
        """Write many records of different keys, in few calls where nothing stands beside them."""
        if sqlite_derived.names(table):
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
