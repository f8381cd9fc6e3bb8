"""The counters of the rate limit: in an SQLite file, or in PostgreSQL for several hosts.

This is the only SQL of the API. No count is synced to disk (`synchronous=OFF`; the table of
PostgreSQL is not logged): after a crash counting starts again from zero. A request waits one
second at most to be counted; when PostgreSQL does not answer, requests are not counted for some
seconds.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from api.http.rate_limit import Counter
from store.ports.errors import STORE_UNAVAILABLE, CircuitBreaker

if TYPE_CHECKING:
    from pathlib import Path

    from store.postgres.connections import Connections


_SCHEMA = """
CREATE TABLE IF NOT EXISTS counts (
    caller TEXT PRIMARY KEY, window INTEGER NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID
"""
_SQLITE_COUNT = """
INSERT INTO counts VALUES (?1, ?2, ?3)
ON CONFLICT (caller) DO UPDATE SET
    used = CASE WHEN window = ?2 THEN used + ?3 ELSE ?3 END,
    window = ?2
RETURNING used
"""

# Otherwise callers that came once, from very many addresses, would fill the file.
_SQLITE_FORGET: Final = "DELETE FROM counts WHERE window < ?"


class SqliteCounter(Counter):
    """Counts in a file; one row a caller, whatever the number of windows."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._window = 0
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=10
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute(_SCHEMA)

    @override
    def count(self, caller: str, window: int, amount: int = 1, current: int | None = None) -> int:
        current = window if current is None else current
        values = (caller, window, amount)
        with self._lock:
            if current > self._window:
                self._connection.execute(_SQLITE_FORGET, (current,))
                self._window = current
            used: int = self._connection.execute(_SQLITE_COUNT, values).fetchone()[0]
        return used

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


ANSWER_SECONDS: Final = 1.0
"""How long a request waits to be counted."""

OPEN_SECONDS: Final = 5.0
"""How long requests are not counted after the server did not answer."""

_POSTGRES_COUNT: Final = """
INSERT INTO postwatch.rate_counts AS counted VALUES (%(caller)s, %(window)s, %(amount)s)
ON CONFLICT (caller) DO UPDATE SET
    used = CASE WHEN counted.minute = excluded.minute THEN counted.used + excluded.used
        ELSE excluded.used END,
    minute = excluded.minute
RETURNING used
"""

# Otherwise callers that came once, from very many addresses, would fill the table.
_POSTGRES_FORGET: Final = "DELETE FROM postwatch.rate_counts WHERE minute < %s"


class PostgresCounter(Counter):
    """Counts in a table; one row a caller, whatever the number of windows."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._window = 0
        self._breaker = CircuitBreaker("requests are counted again", open_seconds=OPEN_SECONDS)

    @override
    def count(self, caller: str, window: int, amount: int = 1, current: int | None = None) -> int:
        values = {"caller": caller, "window": window, "amount": amount}
        with (
            self._breaker.attempt(),
            self._connections.get(answer_seconds=ANSWER_SECONDS) as connection,
        ):
            ((used,),) = connection.execute(_POSTGRES_COUNT, values).fetchall()
        with suppress(*STORE_UNAVAILABLE):
            self._forget_before(window if current is None else current)
        counted: int = used
        return counted

    def _forget_before(self, window: int) -> None:
        """Delete older counts, once a window: that may take longer than to count."""
        if window <= self._window:
            return
        self._window = window
        with self._connections.get(answer_seconds=ANSWER_SECONDS) as connection:
            connection.execute(_POSTGRES_FORGET, (window,))
