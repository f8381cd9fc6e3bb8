"""A log in PostgreSQL that also holds how far it follows other logs: `incidents`.

The library finds this module by the setting `PERSISTENCE_MODULE`, and in it the one class
that is an infrastructure factory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventsourcing.persistence import IntegrityError
from psycopg import sql

from domain.errors import LostEventsError
from store.postgres import log

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from domain.incidents import TrackingMove


TRACKING_TABLE: Final = """
CREATE TABLE postwatch_incidents.tracking (source text PRIMARY KEY, position bigint NOT NULL);
"""
_TRACKED: Final = sql.SQL(
    "SELECT position FROM postwatch_incidents.tracking WHERE source = %s"
).format()
_BEGIN: Final = """
INSERT INTO postwatch_incidents.tracking (source, position) VALUES (%s, %s) ON CONFLICT DO NOTHING
"""
_MOVE: Final = """
UPDATE postwatch_incidents.tracking SET position = %s WHERE source = %s AND position = %s
"""


class TrackingRecorder(log.LogRecorder):
    """Keeps events, and positions of other logs that move in the same transaction."""

    def append_tracked(
        self, rows: Sequence[tuple[str, int, str, bytes]], move: TrackingMove
    ) -> None:
        """Append rows and move a position, durably, all or none.

        Raises IntegrityError when the position is another than `move.before`, and what
        `append` raises.
        """
        columns = [list(each) for each in zip(*rows, strict=True)] or [[], [], [], []]
        with self._append_breaker.attempt(), self.datastore.get_connection() as connection:
            required = self._failover_guard.required_versions(*columns[:2])
            with connection.transaction():
                for statement in self._begin_append:
                    connection.execute(statement)
                self._move(connection, move)
                self._require(connection, required)
                connection.execute(self._append, columns)
        self._failover_guard.confirm(required)

    def tracked(self, source: str) -> int | None:
        """Return up to where a log is decided on; None when deciding has not begun."""
        rows = self._select(_TRACKED, source)
        return int(rows[0][0]) if rows else None

    @staticmethod
    def _move(connection: psycopg.Connection[dict[str, object]], move: TrackingMove) -> None:
        if move.before is None:
            moved = connection.execute(_BEGIN, (move.source, move.after))
        else:
            moved = connection.execute(_MOVE, (move.after, move.source, move.before))
        if moved.rowcount != 1:
            raise IntegrityError("another process decided meanwhile")

    def _require(
        self, connection: psycopg.Connection[dict[str, object]], required: log.RequiredVersions
    ) -> None:
        versions = required.by_stream
        if not versions:
            return
        found = connection.execute(self._count_present, (list(versions), list(versions.values())))
        row = found.fetchone()
        if row is None or row["count"] != len(versions):
            raise LostEventsError("the log lacks an event that was in it")


class TrackingFactory(log.Factory):
    """Builds the recorder."""

    application_recorder_class = TrackingRecorder
