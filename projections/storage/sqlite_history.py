"""The queries of the `history` view on SQLite."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from domain.storage.sqlite_connections import ThreadConnections
from projections.storage.history_queries import Bound, HistoryQueries, within
from projections.storage.sqlite_transaction import standing
from projections.storage.sqlite_view import LOCK_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from projections.history_reader import EntryFilter


class SqliteHistory(HistoryQueries):
    """Reads the file of the `history` view."""

    FOUND = "instr(search, :part) > 0"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = ThreadConnections(self._connect)

    def position(self) -> int:
        """Return the position up to which everything is shown."""
        position: int = standing(self._connections.get(), "live")["position"]
        return position

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def _conditions(self, which: EntryFilter) -> tuple[str, Bound]:
        values = {"customer": which.customer, "thing": which.thing, "actor": which.actor}
        equal = {name: value for name, value in values.items() if value is not None}
        # The plus keeps the index of the organization away where a narrower one serves.
        narrow = which.thing is not None or which.customer is not None
        types = {f"type{number}": each for number, each in enumerate(which.types)}
        times, bound = within(which)
        parts = [
            "+organization = :owner" if narrow else "organization = :owner",
            *(f"{column} = :{column}" for column in equal),
            *times,
        ]
        if types:
            parts.append(f"type IN ({', '.join(f':{each}' for each in types)})")
        return " AND ".join(parts), {**equal, **bound, **types}

    def _select(self, statement: str, bound: Bound) -> list[Any]:
        return self._connections.get().execute(statement, bound).fetchall()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            isolation_level=None,
            check_same_thread=False,
            timeout=LOCK_TIMEOUT_SECONDS,
        )
        connection.execute("PRAGMA query_only = ON")
        return connection
