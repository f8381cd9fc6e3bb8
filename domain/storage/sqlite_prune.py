"""Taking archived events out of the file of their log, a few at a time.

The newest event of each stream stays: the next one needs its version, and whoever starts
reads it. It goes when a newer one has come.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from domain.storage.sqlite_log import LOCK_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BATCH: Final = 1000
"""Rows a transaction: it takes some 10 ms, which is what a writer of checks waits."""

_NEXT: Final = """
SELECT MAX(rowid) FROM (
    SELECT rowid FROM stored_events WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?
)
"""
_DELETE: Final = """
DELETE FROM stored_events WHERE rowid > ? AND rowid <= ? AND EXISTS (
    SELECT 1 FROM stored_events AS newer
    WHERE newer.originator_id = stored_events.originator_id
    AND newer.originator_version > stored_events.originator_version
)
"""


def prune(
    path: Path,
    position: int,
    through: int,
    *,
    rest: Callable[[float], None] = time.sleep,
) -> int:
    """Take events behind a position out of a log's file, up to another; return how many.

    Never called for events that are not in the archive. Between two transactions it rests
    as long as the last one took, so that those who write come in.
    """
    taken = 0
    with closing(_connect(path)) as connection:
        while end := connection.execute(_NEXT, (position, through, BATCH)).fetchone()[0]:
            started = time.monotonic()
            taken += connection.execute(_DELETE, (position, end)).rowcount
            position = end
            rest(time.monotonic() - started)
    return taken


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS)
    # A power cut may bring back what was taken out; the next run takes it out again.
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
