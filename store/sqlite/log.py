"""The event log in an SQLite file: the recorder, raw rows, wake-ups, pruning and bulk loads.

**Durable.** An acknowledged event survives a power cut: `synchronous=FULL` is set on each
connection, whatever the default of the SQLite build. Positions are never given twice, also
after old events were pruned (AUTOINCREMENT; a plain rowid would start again in an emptied
table).

**Raw rows.** Proofs and exports read columns as stored, by `SqliteRows`. The library's recorder
decodes them: it would not tell an id in capital letters from the same id in small ones, and
would fail at a row that is not an event.

The library finds this module by the setting `PERSISTENCE_MODULE`, and in it the one class
that is an infrastructure factory. A second factory must not be imported by name.
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


LOCK_TIMEOUT_SECONDS: Final = 10
"""How long a writer waits for another one before it gives up."""

LEAST_ROOM_BYTES: Final = 1 << 20
"""With less free space a disk counts as full: a command needs some dozen KiB."""

PRUNE_BATCH: Final = 250
"""Rows deleted in one transaction: some 5 ms, for which writers of checks wait."""

_PRUNE_REST: Final = 4
"""The pause after such a transaction, in times of what it took. A writer that finds the lock held
sleeps before it tries again, so a short pause would let it wait for several transactions."""

_LOAD_BATCH: Final = 2000
_LOAD_CACHE_KIB: Final = 64 * 1024
_BEFORE_ALL_VERSIONS: Final = -1
_LARGEST_INTEGER: Final = (1 << 63) - 1
_NO_LIMIT: Final = -1
"""As SQLite's LIMIT means it (sqlite.org/lang_select.html)."""

_EVENTS_AFTER: Final = """
SELECT rowid, originator_id, originator_version, topic, state
FROM stored_events WHERE rowid > ? ORDER BY rowid LIMIT ?
"""
# CROSS JOIN keeps this order: one look into the index for each stream.
_EVENTS_OF: Final = """
SELECT originator_id, originator_version, topic, state
FROM json_each(?) CROSS JOIN stored_events ON originator_id = value
ORDER BY key, originator_version
"""
_LAST_GIVEN: Final = """
SELECT MAX(
    (SELECT COALESCE(MAX(rowid), 0) FROM stored_events),
    (SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'stored_events')
)
"""
_ROWS_AFTER: Final = """
SELECT rowid, CAST(originator_id AS BLOB), CAST(originator_version AS BLOB),
    CAST(topic AS BLOB), CAST(state AS BLOB)
FROM stored_events WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?
"""
_POSITION_OF: Final = """
SELECT rowid FROM stored_events WHERE originator_id = ? AND originator_version = ?
"""
_END_OF_BATCH: Final = """
SELECT MAX(rowid) FROM (
    SELECT rowid FROM stored_events WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?
)
"""
_PRUNE: Final = """
DELETE FROM stored_events WHERE rowid > ? AND rowid <= ? AND EXISTS (
    SELECT 1 FROM stored_events AS newer
    WHERE newer.originator_id = stored_events.originator_id
    AND newer.originator_version > stored_events.originator_version
)
"""
_LOAD: Final = """
INSERT INTO stored_events (rowid, originator_id, originator_version, topic, state)
VALUES (?, ?, ?, ?, ?)
"""
_FORGET_LAST_GIVEN: Final = "DELETE FROM sqlite_sequence WHERE name = 'stored_events'"
_SET_LAST_GIVEN: Final = "INSERT INTO sqlite_sequence (name, seq) VALUES ('stored_events', ?)"


def log_environment(path: str, *, create: bool, module: str = __name__) -> dict[str, str]:
    """Return the library's settings for a log in the file `path`; `module` has its factory."""
    return {
        "PERSISTENCE_MODULE": module,
        "SQLITE_DBNAME": path,
        "SQLITE_LOCK_TIMEOUT": str(LOCK_TIMEOUT_SECONDS),
        "CREATE_TABLE": "y" if create else "n",
    }


class DurableConnectionPool(sqlite.SQLiteConnectionPool):
    """A connection for each thread, whose commits are on disk when they return.

    The library's pool lends connections in turn, which takes longer than reading an event.
    Writers of one process are let in one after the other, as in the library's pool.
    """

    def __init__(self, db_name: str, lock_timeout: int | None) -> None:
        super().__init__(db_name=db_name, lock_timeout=lock_timeout)
        self._thread_connections = ThreadConnections(self._create_connection)

    def thread_connection(self) -> sqlite.SQLiteConnection:
        """Return this thread's connection."""
        if self.closed:
            raise ConnectionPoolClosedError
        return self._thread_connections.get()

    def get_connection(
        self, timeout: float | None = None, *, is_writer: bool | None = None
    ) -> sqlite.SQLiteConnection:
        """Return this thread's connection; a writer waits until no other thread writes."""
        connection = self.thread_connection()
        longest = self.pool_timeout if timeout is None else timeout
        if is_writer and not self._writer_lock.acquire(timeout=longest):
            raise ConnectionUnavailableError("another thread is writing for too long")
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
        self._thread_connections.close()

    def _create_connection(self) -> sqlite.SQLiteConnection:
        """Open a connection that caches compiled statements, which the library's do not."""
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
        """Return the events of a stream after version `gt`, up to version `lte`."""
        stream = originator_id.hex if isinstance(originator_id, UUID) else originator_id
        rows = self._select(
            self.select_events_statement + ("DESC LIMIT ?" if desc else "ASC LIMIT ?"),
            (
                stream,
                _BEFORE_ALL_VERSIONS if gt is None else gt,
                _LARGEST_INTEGER if lte is None else lte,
                _NO_LIMIT if limit is None else limit,
            ),
        )
        return [StoredEvent(originator_id, *row) for row in rows]

    def max_notification_id(self) -> int:
        """Return the position of the newest row, 0 in an empty log."""
        return self._select(self.select_max_notification_id_statement)[0][0] or 0

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""
        return int(self._select(_LAST_GIVEN)[0][0])

    def rows_after(self, position: int, limit: int) -> Sequence[tuple[int, str, int, str, bytes]]:
        """Return position, stream, version, topic and state of rows after a position, in order."""
        return self._select(_EVENTS_AFTER, (position, limit))

    def rows_of(self, streams: Sequence[UUID]) -> Sequence[tuple[str, int, str, bytes]]:
        """Return stream, version, topic and state of all rows of some streams, each in order."""
        return self._select(_EVENTS_OF, (json.dumps([each.hex for each in streams]),))

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
        """Return the rows of a query. Raises errors of the library."""
        cursor = (
            cast("DurableConnectionPool", self.datastore.pool)
            .thread_connection()
            .cursor()
            .sqlite_cursor
        )
        # Tuples: the library's rows with names take longer.
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
    """Raise OperationalError unless a log can be written now: it takes and releases its lock.

    It waits for another writer a second at most, and also raises when the disk is nearly full.
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
    """Tells whether a transaction was committed to a log since the last call.

    `PRAGMA data_version` costs microseconds, so a reader may call it many times a second
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


class SqliteRows(StoredRows):
    """Raw rows of a log's file. Each use opens a connection, so threads and forks are safe."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def after(self, position: int, limit: int, *, through: int | None = None) -> Sequence[Row]:
        last = _LARGEST_INTEGER if through is None else through
        with closing(self._connect()) as connection:
            rows = connection.execute(_ROWS_AFTER, (position, last, limit)).fetchall()
        return [Row(*row) for row in rows]

    @override
    def position_of(self, stream: UUID, version: int) -> int | None:
        with closing(self._connect()) as connection:
            found = connection.execute(_POSITION_OF, (stream.hex, version)).fetchone()
        return found[0] if found else None

    @override
    def last_given(self) -> int:
        with closing(self._connect()) as connection:
            return int(connection.execute(_LAST_GIVEN).fetchone()[0])

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS)


def prune(
    path: Path,
    position: int,
    through: int,
    *,
    rest: Callable[[float], None] = time.sleep,
) -> int:
    """Delete the events of a log's file after a position, up to `through`; return how many.

    Only for archived events. The newest event of each stream stays: the next append needs
    its version, and a starting checker reads it. After each transaction it rests, so that
    writers get their turn.
    """
    deleted = 0
    with closing(_connect(path)) as connection:
        while end := connection.execute(_END_OF_BATCH, (position, through, PRUNE_BATCH)).fetchone()[
            0
        ]:
            started = time.monotonic()
            deleted += connection.execute(_PRUNE, (position, end)).rowcount
            position = end
            rest(_PRUNE_REST * (time.monotonic() - started))
    return deleted


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS)
    # A power cut may bring deleted rows back; the next run deletes them again.
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


class SqliteSink(EventSink):
    """Loads events at given positions into the file of an empty log. Close it in any case.

    One transaction without syncing: the caller syncs the file, or deletes it after an error.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_LOAD_CACHE_KIB}"):
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
        if len(self._pending) >= _LOAD_BATCH:
            self._flush()

    @override
    def finish(self, last_given: int) -> None:
        self._flush()
        self._connection.execute(_FORGET_LAST_GIVEN)
        self._connection.execute(_SET_LAST_GIVEN, (last_given,))
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; without `finish` nothing was committed."""
        self._connection.close()

    def _flush(self) -> None:
        try:
            self._connection.executemany(_LOAD, self._pending)
        except sqlite3.IntegrityError:
            # The text of the error holds column names only, no data.
            raise TransferError("two events claim the same version of one stream") from None
        self._pending.clear()
