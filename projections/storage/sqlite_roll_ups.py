"""The roll-ups' queries on SQLite."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

import orjson

from domain.storage.sqlite_connections import ThreadConnections
from projections.storage.sqlite_view import LOCK_TIMEOUT_SECONDS
from projections.uptime_report import RollUpReader
from projections.view import not_made

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.storage.sqlite_reader import SqliteSource
    from projections.view import Record

_DEFINITION: Final = "SELECT definition FROM sides WHERE side = 'live'"
_STREAMS: Final = "SELECT record FROM streams WHERE monitor_id = ? ORDER BY key"
_DAYS: Final = "SELECT record FROM days WHERE monitor_id = ? AND day BETWEEN ? AND ? ORDER BY key"


class SqliteRollUps(RollUpReader):
    """Reads the file of the `roll_ups` view."""

    def __init__(self, source: SqliteSource) -> None:
        self._source = source
        self._connections = ThreadConnections(self._connect)

    def rows(
        self, monitor_id: str, first_day: str, last_day: str
    ) -> tuple[Sequence[Record], Sequence[Record]]:
        """Return a monitor's streams, and the days from one to another, of one moment.

        Raises ViewAwayError while the view is not the one that this code makes.
        """
        connection = self._connections.get()
        connection.execute("BEGIN")
        try:
            stored = connection.execute(_DEFINITION).fetchone()
            if stored is None or stored[0] != self._source.definition:
                raise not_made("roll_ups")
            streams = connection.execute(_STREAMS, (monitor_id,)).fetchall()
            days = connection.execute(_DAYS, (monitor_id, first_day, last_day)).fetchall()
        finally:
            connection.execute("COMMIT")
        return [orjson.loads(row[0]) for row in streams], [orjson.loads(row[0]) for row in days]

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._source.path,
            isolation_level=None,
            check_same_thread=False,
            timeout=LOCK_TIMEOUT_SECONDS,
        )
        connection.execute("PRAGMA query_only = ON")
        return connection
