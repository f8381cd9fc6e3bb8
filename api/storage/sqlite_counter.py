"""The counts of the rate limit, in an SQLite file that all workers open.

Nothing here is worth an fsync: after a crash the count begins anew. Nor is it worth an
outage: what cannot be counted, because the disk is full, say, is not limited meanwhile.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from typing import TYPE_CHECKING

from api.rate_limit import Counter

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("postwatch.api")

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


class SqliteCounter(Counter):
    """Counts in a file; one row a caller, whatever the number of windows."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._is_away = False
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=10
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute(_SCHEMA)

    def count(self, caller: str, window: int) -> int:
        """Count one more request and return how many there are in the window; 0 if it cannot."""
        try:
            with self._lock:
                used: int = self._connection.execute(_COUNT, (caller, window)).fetchone()[0]
        except sqlite3.OperationalError as error:
            if not self._is_away:
                log.error("requests are not counted, so not limited: %s", error)  # noqa: TRY400 - expected, told in one line
            self._is_away = True
            return 0
        self._is_away = False
        return used

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
