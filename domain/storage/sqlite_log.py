"""The event log in an SQLite file: the library's recorder, made durable.

An acknowledged event survives a power cut: `synchronous=FULL` is set on each connection
instead of trusting how SQLite was built. Positions are never given twice, also after old
events were pruned (AUTOINCREMENT; a plain rowid would start again in an emptied table).

The event store finds this module by the setting `PERSISTENCE_MODULE`, and in it the one
class that is a factory: hence no factory is imported by name.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from eventsourcing import sqlite
from eventsourcing.persistence import OperationalError

from domain.storage.engine import Signal
from domain.storage.failures import DISK_FULL

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCK_TIMEOUT_SECONDS = 10
"""How long a writer waits for another one before it gives up."""

LEAST_ROOM_BYTES = 1 << 20
"""With less free than this a disk is as good as full: a command needs some dozen KiB."""

LAST_GIVEN = """
SELECT MAX(
    (SELECT COALESCE(MAX(rowid), 0) FROM stored_events),
    (SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'stored_events')
)
"""
"""Selects the highest position that was ever given in a log."""


def log_environment(path: str, *, create: bool) -> dict[str, str]:
    """Return the event store's own settings for a log in the file `path`."""
    return {
        "PERSISTENCE_MODULE": __name__,
        "SQLITE_DBNAME": path,
        "SQLITE_LOCK_TIMEOUT": str(LOCK_TIMEOUT_SECONDS),
        "CREATE_TABLE": "y" if create else "n",
    }


class DurableConnectionPool(sqlite.SQLiteConnectionPool):
    """Opens connections whose commits are on disk when they return."""

    def _create_connection(self) -> sqlite.SQLiteConnection:
        connection = super()._create_connection()
        connection.cursor().execute("PRAGMA synchronous=FULL")
        return connection


class DurableRecorder(sqlite.SQLiteApplicationRecorder):
    """Keeps events in the order of their positions, which never repeat."""

    def __init__(
        self, datastore: sqlite.SQLiteDatastore, events_table_name: str = "stored_events"
    ) -> None:
        super().__init__(datastore, events_table_name)
        self.insert_events_statement = (
            f"INSERT INTO {events_table_name} "  # noqa: S608 - a constant, not input
            "(originator_id, originator_version, topic, state) VALUES (?,?,?,?)"
        )

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(LAST_GIVEN)
            found: int = cursor.fetchone()[0]
        return found

    def rows_after(self, position: int, limit: int) -> Sequence[tuple[int, str, int, str, bytes]]:
        """Return position, stream, version, topic and state of rows after a position, in order."""
        statement = (
            "SELECT rowid, originator_id, originator_version, topic, state "  # noqa: S608 - a constant, not input
            f"FROM {self.events_table_name} WHERE rowid > ? ORDER BY rowid LIMIT ?"
        )
        with self.datastore.transaction(commit=False) as cursor:
            # Tuples: the library's rows, which know names, take longer.
            bare = cursor.sqlite_cursor
            bare.row_factory = None
            return bare.execute(statement, (position, limit)).fetchall()

    def append(self, rows: Sequence[tuple[str, int, str, bytes]]) -> None:
        """Append stream, version, topic and state of new rows, durably, all or none.

        Raises IntegrityError when a stream has such a version already.
        """
        with self.datastore.transaction(commit=True) as cursor:
            cursor.executemany(self.insert_events_statement, rows)

    def construct_create_table_statements(self) -> list[str]:
        """Return the schema: the library's columns behind an explicit position."""
        table = self.events_table_name
        return [
            f"""
            CREATE TABLE IF NOT EXISTS {table} (
                rowid INTEGER PRIMARY KEY AUTOINCREMENT,
                originator_id TEXT NOT NULL,
                originator_version INTEGER NOT NULL,
                topic TEXT NOT NULL,
                state BLOB NOT NULL,
                UNIQUE (originator_id, originator_version)
            )
            """
        ]


class Factory(sqlite.SQLiteFactory):
    """Builds recorders on durable connections."""

    application_recorder_class = DurableRecorder

    def __init__(self, env: object) -> None:
        super().__init__(env)  # type: ignore[arg-type] # the library passes its Environment
        pool = self.datastore.pool
        self.datastore.pool = DurableConnectionPool(
            db_name=pool.db_name, lock_timeout=pool.lock_timeout
        )


def check_writable(path: str) -> None:
    """Take and give back the write lock of a log. Raises OperationalError when it cannot.

    Also when the disk has next to no room left. Whoever asks wants to know now, so this
    waits for another writer a second at most.
    """
    try:
        disk = os.statvfs(Path(path).parent)
    except OSError as error:
        raise OperationalError(error.strerror) from error
    if disk.f_bavail * disk.f_frsize < LEAST_ROOM_BYTES:
        raise OperationalError(DISK_FULL)
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=1)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise OperationalError(str(error)) from error


class LogSignal(Signal):
    """Tells whether anyone has committed to a log since the last time it was asked.

    `PRAGMA data_version` costs microseconds, so a reader may ask many times a second
    instead of selecting from the table.
    """

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._seen = -1

    def changed(self) -> bool:
        """Return whether there was a commit since the last call; True on the first call."""
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        changed = version != self._seen
        self._seen = version
        return changed

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
