"""The counts of the rate limit, in an SQLite file that all workers open.

Nothing here is worth an fsync: after a crash the count begins anew.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Final

from api.rate_limit import Counter

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counts (
    caller TEXT PRIMARY KEY, window INTEGER NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID
"""
_COUNT = """
INSERT INTO counts VALUES (?1, ?2, 1)
ON CONFLICT (caller) DO UPDATE SET
    used = CASE WHEN window = ?2 THEN used + 1 ELSE 1 END,
    window = ?2
RETURNING used
"""

# Callers that came once, from very many addresses, would fill the file.
_FORGET: Final = "DELETE FROM counts WHERE window < ?"


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

    def count(self, caller: str, window: int) -> int:
        """Count one more request and return how many there are in the window now."""
        with self._lock:
            if window > self._window:
                self._connection.execute(_FORGET, (window,))
                self._window = window
            used: int = self._connection.execute(_COUNT, (caller, window)).fetchone()[0]
        return used

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
