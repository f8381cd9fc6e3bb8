"""A log in an SQLite file that also holds how far it follows other logs: `incidents`.

The library finds this module by the setting `PERSISTENCE_MODULE`, and in it the one class
that is an infrastructure factory.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from eventsourcing.persistence import IntegrityError
from typing_extensions import override

from store.sqlite import log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from domain.incidents import TrackingMove


_TABLE: Final = """
CREATE TABLE IF NOT EXISTS tracking (source TEXT PRIMARY KEY, position INTEGER NOT NULL)
"""
_TRACKED: Final = "SELECT position FROM tracking WHERE source = ?"
_BEGIN: Final = "INSERT INTO tracking (source, position) VALUES (?, ?) ON CONFLICT DO NOTHING"
_MOVE: Final = "UPDATE tracking SET position = ? WHERE source = ? AND position = ?"


class TrackingRecorder(log.DurableRecorder):
    """Keeps events, and positions of other logs that move in the same transaction."""

    @override
    def construct_create_table_statements(self) -> list[str]:
        """Return the schema."""
        return [*super().construct_create_table_statements(), _TABLE]

    def append_tracked(
        self, rows: Sequence[tuple[str, int, str, bytes]], move: TrackingMove
    ) -> None:
        """Append rows and move a position, durably, all or none.

        Raises IntegrityError when the position is another than `move.before`.
        """
        with self.datastore.transaction(commit=True) as cursor:
            if move.before is None:
                cursor.execute(_BEGIN, (move.source, move.after))
            else:
                cursor.execute(_MOVE, (move.after, move.source, move.before))
            if cursor.sqlite_cursor.rowcount != 1:
                raise IntegrityError("another process decided meanwhile")
            cursor.executemany(self.insert_events_statement, rows)

    def tracked(self, source: str) -> int | None:
        """Return up to where a log is decided on; None when deciding has not begun."""
        rows = self._select(_TRACKED, (source,))
        return rows[0][0] if rows else None


def forget_tracking(path: Path) -> None:
    """Forget, in the file of a log that nobody uses, how far it follows other logs."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM tracking")


class TrackingFactory(log.Factory):
    """Builds the recorder."""

    application_recorder_class = TrackingRecorder
