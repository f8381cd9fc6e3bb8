"""The event log in an SQLite file: the library's recorder, made durable.

An acknowledged event survives a power cut: `synchronous=FULL` is set on each connection
instead of trusting how SQLite was built. Positions are never given twice, also after old
events were pruned (AUTOINCREMENT; a plain rowid would start again in an emptied table).

The event store finds this module by the setting `PERSISTENCE_MODULE`, and in it the one
class that is a factory: hence no factory is imported by name.

The rows of a log in an SQLite file as they lie there, for whoever proves them.

Not by the library's recorder, which decodes: it would take an id in capital letters for
the same id, and stop at a row that is no event at all.

Taking archived events out of the file of their log, a few at a time.

The newest event of each stream stays: the next one needs its version, and whoever starts
reads it. It goes when a newer one has come.

Filling the file of an empty log with events at given positions.

Without syncing and in one transaction: whoever fills a file syncs it at the end, and
throws it away when anything goes wrong.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from eventsourcing import sqlite
from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    ConnectionUnavailableError,
    DatabaseError,
    InterfaceError,
    OperationalError,
    StoredEvent,
)
from typing_extensions import override

from domain.errors import TransferError
from domain.event_mapper import Row
from store.ports.bulk_load import EventSink
from store.ports.engine import ChangeSignal, StoredRows
from store.ports.errors import DISK_FULL
from store.sqlite.connections import ThreadConnections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


LOCK_TIMEOUT_SECONDS = 10
"""How long a writer waits for another one before it gives up."""

LEAST_ROOM_BYTES = 1 << 20
"""With less free than this a disk is as good as full: a command needs some dozen KiB."""

_NO_VERSION: Final = -1
_LAST_VERSION: Final = (1 << 63) - 1
_ALL: Final = -1
"""No limit (sqlite.org/lang_select.html)."""

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
    """A connection for each thread, whose commits are on disk when they return.

    The library's pool hands connections round, and takes longer for that than reading an
    event does. Writers of one process come in one after the other, as there.
    """

    def __init__(self, db_name: str, lock_timeout: int | None) -> None:
        super().__init__(db_name=db_name, lock_timeout=lock_timeout)
        self._of_threads = ThreadConnections(self._create_connection)

    def mine(self) -> sqlite.SQLiteConnection:
        """Return this thread's connection."""
        if self.closed:
            raise ConnectionPoolClosedError
        return self._of_threads.get()

    def get_connection(
        self, timeout: float | None = None, *, is_writer: bool | None = None
    ) -> sqlite.SQLiteConnection:
        """Return this thread's connection, to a writer when no other one has its own."""
        connection = self.mine()
        longest = self.pool_timeout if timeout is None else timeout
        if is_writer and not self._writer_lock.acquire(timeout=longest):
            raise ConnectionUnavailableError("another thread writes for too long")
        connection.is_writer = is_writer
        return connection

    def put_connection(self, conn: sqlite.SQLiteConnection) -> None:
        """Let the next writer in."""
        if conn.is_writer:
            conn.is_writer = None
            self._writer_lock.release()

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._of_threads.close()

    def _create_connection(self) -> sqlite.SQLiteConnection:
        """Open a connection. The library's own would compile each statement at each use."""
        try:
            connection = sqlite3.connect(
                self.db_name,
                isolation_level=None,
                check_same_thread=False,
                timeout=self.lock_timeout or LOCK_TIMEOUT_SECONDS,
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error as error:
            raise InterfaceError(error) from error
        connection.row_factory = sqlite3.Row
        return sqlite.SQLiteConnection(connection, max_age=None)


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
        self.select_events_statement = (
            "SELECT originator_version, topic, state "  # noqa: S608 - a constant, not input
            f"FROM {events_table_name} WHERE originator_id = ? "
            "AND originator_version > ? AND originator_version <= ? ORDER BY originator_version "
        )

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return events of a stream, behind a version, up to another one."""
        stream = originator_id.hex if isinstance(originator_id, UUID) else originator_id
        rows = self._select(
            self.select_events_statement + ("DESC LIMIT ?" if desc else "ASC LIMIT ?"),
            (
                stream,
                _NO_VERSION if gt is None else gt,
                _LAST_VERSION if lte is None else lte,
                _ALL if limit is None else limit,
            ),
        )
        return [StoredEvent(originator_id, *row) for row in rows]

    def max_notification_id(self) -> int:
        """Return the position of the newest row, 0 in an empty log."""
        return self._select(self.select_max_notification_id_statement)[0][0] or 0

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""
        found: int = self._select(LAST_GIVEN)[0][0]
        return found

    def rows_after(self, position: int, limit: int) -> Sequence[tuple[int, str, int, str, bytes]]:
        """Return position, stream, version, topic and state of rows after a position, in order."""
        statement = (
            "SELECT rowid, originator_id, originator_version, topic, state "  # noqa: S608 - a constant, not input
            f"FROM {self.events_table_name} WHERE rowid > ? ORDER BY rowid LIMIT ?"
        )
        return self._select(statement, (position, limit))

    def rows_of(self, streams: Sequence[UUID]) -> Sequence[tuple[str, int, str, bytes]]:
        """Return stream, version, topic and state of all rows of some streams, each in order."""
        # In this order (CROSS JOIN): a look into the index for each stream.
        statement = (
            "SELECT originator_id, originator_version, topic, state "  # noqa: S608 - a constant, not input
            f"FROM json_each(?) CROSS JOIN {self.events_table_name} ON originator_id = value "
            "ORDER BY key, originator_version"
        )
        return self._select(statement, (json.dumps([each.hex for each in streams]),))

    def last_rows_of(
        self, streams: Sequence[UUID], limit: int
    ) -> Sequence[tuple[str, int, str, bytes]]:
        """Return stream, version, topic and state of the last rows of streams, newest first."""
        return [
            (stream.hex, row.originator_version, row.topic, row.state)
            for stream in streams
            for row in self.select_events(stream, desc=True, limit=limit)
        ]

    def append(self, rows: Sequence[tuple[str, int, str, bytes]]) -> None:
        """Append stream, version, topic and state of new rows, durably, all or none.

        Raises IntegrityError when a stream has such a version already.
        """
        with self.datastore.transaction(commit=True) as cursor:
            cursor.executemany(self.insert_events_statement, rows)

    def _select(self, statement: str, values: Sequence[str | int] = ()) -> list[Any]:
        """Return the rows of a query. Raises what the library raises."""
        cursor = cast("DurableConnectionPool", self.datastore.pool).mine().cursor().sqlite_cursor
        # Tuples: the library's rows, which know names, take longer.
        cursor.row_factory = None
        try:
            return cursor.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            raise OperationalError(error) from error
        except sqlite3.DatabaseError as error:
            raise DatabaseError(error) from error

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
        self.datastore.pool = DurableConnectionPool(pool.db_name, pool.lock_timeout)


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


class SqliteChangeSignal(ChangeSignal):
    """Tells whether anyone has committed to a log since the last time it was asked.

    `PRAGMA data_version` costs microseconds, so a reader may ask many times a second
    instead of selecting from the table.
    """

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._seen = -1

    @override
    def changed(self) -> bool:
        """Return whether there was a commit since the last call; True on the first call."""
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        changed = version != self._seen
        self._seen = version
        return changed

    @override
    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


_AFTER: Final = """
SELECT rowid, CAST(originator_id AS BLOB), CAST(originator_version AS BLOB),
    CAST(topic AS BLOB), CAST(state AS BLOB)
FROM stored_events WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?
"""
_POSITION_OF: Final = """
SELECT rowid FROM stored_events WHERE originator_id = ? AND originator_version = ?
"""
_LAST_POSSIBLE: Final = (1 << 63) - 1


class SqliteRows(StoredRows):
    """Reads a log's file. A connection is opened for each use, so threads and forks are safe."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def after(self, position: int, limit: int, *, through: int | None = None) -> Sequence[Row]:
        last = _LAST_POSSIBLE if through is None else through
        with closing(self._connect()) as connection:
            rows = connection.execute(_AFTER, (position, last, limit)).fetchall()
        return [Row(*row) for row in rows]

    @override
    def position_of(self, stream: UUID, version: int) -> int | None:
        with closing(self._connect()) as connection:
            found = connection.execute(_POSITION_OF, (stream.hex, version)).fetchone()
        return found[0] if found else None

    @override
    def last_given(self) -> int:
        with closing(self._connect()) as connection:
            found: int = connection.execute(LAST_GIVEN).fetchone()[0]
        return found

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS)


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

    @override
    def append(self, row: Row) -> None:
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

    @override
    def finish(self, last_given: int) -> None:
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
