"""Filling the file of an empty log with events at given positions.

Without syncing and in one transaction: whoever fills a file syncs it at the end, and
throws it away when anything goes wrong.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from domain.errors import TransferError
from domain.storage.filling import EventSink

if TYPE_CHECKING:
    from pathlib import Path

    from domain.proof.leaf import Row

_BATCH: Final = 2000
_CACHE_KIB: Final = 64 * 1024
_INSERT: Final = """
INSERT INTO stored_events (rowid, originator_id, originator_version, topic, state)
VALUES (?, ?, ?, ?, ?)
"""
_FORGET_POSITIONS: Final = "DELETE FROM sqlite_sequence WHERE name = 'stored_events'"
_SET_LAST_GIVEN: Final = "INSERT INTO sqlite_sequence (name, seq) VALUES ('stored_events', ?)"


class SqliteSink(EventSink):
    """Takes events, each with its position. Close it, also when it is not finished."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("BEGIN EXCLUSIVE")
        self._pending: list[tuple[int, str, int, str, bytes]] = []

    def append(self, row: Row) -> None:
        """Take an event. Raises TransferError when its stream has that version already."""
        self._pending.append(
            (
                row.position,
                row.originator_id.decode(),
                int(row.version),
                row.topic.decode(),
                row.state,
            )
        )
        if len(self._pending) >= _BATCH:
            self._flush()

    def finish(self, last_given: int) -> None:
        """Write what is left, and the highest position that was ever given."""
        self._flush()
        self._connection.execute(_FORGET_POSITIONS)
        self._connection.execute(_SET_LAST_GIVEN, (last_given,))
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file. What was not finished is worthless."""
        self._connection.close()

    def _flush(self) -> None:
        try:
            self._connection.executemany(_INSERT, self._pending)
        except sqlite3.IntegrityError:
            # The text of the error holds nothing but column names; the data stays out of it.
            raise TransferError("two events claim the same version of one stream") from None
        self._pending.clear()
