"""Locks among all processes of a database: advisory locks, each in a session of its own.

A lock ends with its session, and the session ends with the process or its connection. A
process that is frozen or cut off would keep the lock; so the holder sends a heartbeat every
second, and the server ends a session without one (`idle_session_timeout`). A holder that was
suspended detects from the clock that its lock is lost, before it asks the server.
"""

from __future__ import annotations

import logging
import re
import time
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final
from zlib import crc32

from psycopg import Error as DriverError
from typing_extensions import override

from domain.clock import iso_milliseconds
from store.ports.locks import LockHandle, LockHeldError, LockHolder, Locks
from store.postgres.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.ports.engine import Database
    from store.postgres.connections import Connection


log = logging.getLogger("postwatch.store")

NAMED: Final = 0x70770001
"""The first half of the key of every named lock; a hash of the name is the second half."""

HEARTBEAT_SECONDS: Final = 1.0
"""How often a holder sends a heartbeat, which also tells it whether it still holds the lock."""

SILENT_SECONDS: Final = 10
"""How long the server waits for a heartbeat before it ends the session of a holder."""

_HEARTBEAT_ANSWER_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.1
_EXPECT_HEARTBEATS: Final = "SELECT set_config('idle_session_timeout', %s, false)"
_HEARTBEAT: Final = "SELECT"
_RELEASE: Final = "SELECT pg_advisory_unlock_all()"
_TRY: Final = "SELECT pg_try_advisory_lock(%s, %s)"
_TRY_SHARED: Final = "SELECT pg_try_advisory_lock_shared(%s, %s)"
_HOLDER: Final = """
SELECT activity.application_name, activity.backend_start
FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND held.classid = %s::bigint::oid AND held.objid = %s::bigint::oid
"""
_APPLICATION_NAME: Final = re.compile(r"postwatch \S+ (?P<host>\S+) (?P<pid>\d+)")


class PostgresLocks(Locks):
    """Locks of a database."""

    spans_hosts = True

    def __init__(
        self,
        database: Database,
        connections: Connections,
        *,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """Take the database, and the connections with which holders are looked up."""
        self.place = database.place
        self._database = database
        self._connections = connections
        self._heartbeat_seconds = heartbeat_seconds
        self._silent_seconds = silent_seconds

    @override
    @contextmanager
    def hold(
        self, name: str, *, wait_seconds: float = 0, shared: bool = False
    ) -> Iterator[LockHandle]:
        made = Connections(self._database.url, name, answer_seconds=_HEARTBEAT_ANSWER_SECONDS)
        with made.own() as session:
            self._acquire(session, name, time.monotonic() + wait_seconds, shared=shared)
            session.execute(_EXPECT_HEARTBEATS, (f"{round(self._silent_seconds * 1000)}ms",))
            heartbeats = _LockHeartbeats(
                session, name, self._heartbeat_seconds, self._silent_seconds
            )
            heartbeats.start()
            try:
                yield heartbeats
            finally:
                heartbeats.stop()
                # The server notices the end of a session a moment later: without this the
                # next process might find the lock still held.
                if not heartbeats.is_lost:
                    with suppress(DriverError):
                        session.execute(_RELEASE)

    @override
    def holder(self, name: str) -> LockHolder | None:
        with self._connections.get() as connection:
            row = connection.execute(_HOLDER, (NAMED, _number(name))).fetchone()
        if row is None:
            return None
        found = _APPLICATION_NAME.fullmatch(row[0])
        since = iso_milliseconds(row[1])
        if found is None:
            return LockHolder(None, since)
        return LockHolder(int(found["pid"]), since, found["host"])

    def _acquire(self, session: Connection, name: str, deadline: float, *, shared: bool) -> None:
        attempt = _TRY_SHARED if shared else _TRY
        while True:
            ((is_ours,),) = session.execute(attempt, (_signed(NAMED), _signed(_number(name))))
            if is_ours:
                return
            if time.monotonic() >= deadline:
                raise LockHeldError(self.holder(name) or LockHolder(None, None))
            time.sleep(_RETRY_SECONDS)


class _LockHeartbeats(LockHandle):
    """Sends the heartbeats of a held lock, in a thread."""

    def __init__(
        self, session: Connection, name: str, heartbeat_seconds: float, silent_seconds: float
    ) -> None:
        self._session = session
        self._name = name
        self._heartbeat_seconds = heartbeat_seconds
        self._silent_seconds = silent_seconds
        self._is_lost = False
        self._losing = Lock()
        self._last_at = time.monotonic()
        self._end = Event()
        self._thread = Thread(target=self._run, name=f"heartbeats of {name}", daemon=True)

    @override
    @property
    def is_lost(self) -> bool:
        """Whether another process may hold the lock by now.

        After a suspend the clock says so, before the next heartbeat is answered.
        """
        if time.monotonic() - self._last_at >= self._silent_seconds:
            self._lose("no heartbeat was sent for too long")
        return self._is_lost

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._heartbeat_seconds):
            # The server counts from a later moment on, so this is on the safe side.
            sent_at = time.monotonic()
            try:
                self._session.execute(_HEARTBEAT)
            except DriverError:
                self._lose("its session has ended")
            if self.is_lost:
                return
            self._last_at = sent_at

    def _lose(self, why: str) -> None:
        with self._losing:
            if self._is_lost:
                return
            self._is_lost = True
        log.warning("the lock %s is lost: %s", self._name, why)


def _number(name: str) -> int:
    """Return the second half of the key of a lock: 32 bits, as the server shows them."""
    return crc32(name.encode())


def _signed(number: int) -> int:
    """Return 32 bits as the server takes them."""
    return number - (1 << 32) if number >= 1 << 31 else number
