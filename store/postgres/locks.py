"""Locks among all processes of a database: advisory locks, each in a session of its own.

A lock ends with its session, and that ends with the process, or when the connection
breaks. A process that is frozen, or cut off, would keep it: so the holder says something
every second, and the server itself ends a session that has been silent for some. Whoever
wakes up then finds that it holds nothing any more, and another one may have gone on.
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
"""The first half of the key of every lock that has a name."""

BEAT_SECONDS: Final = 1.0
"""How often a holder says that it lives, and finds out whether it still holds."""

SILENT_SECONDS: Final = 10
"""How long a holder may be silent before the server takes its locks from it."""

_BEAT_ANSWER_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.1
_EXPECT_BEATS: Final = f"SET idle_session_timeout = '{SILENT_SECONDS}s'"
_BEAT: Final = "SELECT"
_GIVE_BACK: Final = "SELECT pg_advisory_unlock_all()"
_TRY: Final = "SELECT pg_try_advisory_lock(%s, %s)"
_HOLDER: Final = """
SELECT activity.application_name, activity.backend_start
FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND held.classid = %s::bigint::oid AND held.objid = %s::bigint::oid
"""
_NAME: Final = re.compile(r"postwatch \S+ (?P<host>\S+) (?P<pid>\d+)")


class PostgresLocks(Locks):
    """Locks of a database."""

    spans_hosts = True

    def __init__(self, database: Database, connections: Connections) -> None:
        self.place = database.place
        self._database = database
        self._connections = connections

    @override
    @contextmanager
    def hold(self, name: str, *, wait_seconds: float = 0) -> Iterator[LockHandle]:
        """Hold a lock while the block runs. Raises LockHeldError, DatabaseUnavailableError."""
        made = Connections(self._database.url, name, answer_seconds=_BEAT_ANSWER_SECONDS)
        with made.own() as session:
            self._acquire(session, name, time.monotonic() + wait_seconds)
            session.execute(_EXPECT_BEATS)
            beats = _Beats(session, name)
            beats.start()
            try:
                yield beats
            finally:
                beats.stop()
                # The server notices the end of a session a moment later, and whoever comes
                # next need not be told that somebody holds it still.
                if not beats.is_lost:
                    with suppress(DriverError):
                        session.execute(_GIVE_BACK)

    @override
    def holder(self, name: str) -> LockHolder | None:
        with self._connections.get() as connection:
            row = connection.execute(_HOLDER, (NAMED, _number(name))).fetchone()
        if row is None:
            return None
        found = _NAME.fullmatch(row[0])
        since = iso_milliseconds(row[1])
        return (
            LockHolder(int(found["pid"]), since, found["host"])
            if found
            else LockHolder(None, since)
        )

    def _acquire(self, session: Connection, name: str, deadline: float) -> None:
        while True:
            ((is_ours,),) = session.execute(_TRY, (_signed(NAMED), _signed(_number(name))))
            if is_ours:
                return
            if time.monotonic() >= deadline:
                raise LockHeldError(self.holder(name) or LockHolder(None, None))
            time.sleep(_LOOK_SECONDS)


class _Beats(LockHandle):
    """Says every second, in a thread, that the holder of a lock lives."""

    def __init__(self, session: Connection, name: str) -> None:
        self._session = session
        self._name = name
        self._is_lost = False
        self._losing = Lock()
        self._said_at = time.monotonic()
        self._end = Event()
        self._thread = Thread(target=self._run, name=f"beats of {name}", daemon=True)

    @override
    @property
    def is_lost(self) -> bool:
        """Whether the lock may be somebody else's by now.

        Whoever was frozen knows it by the time, before it has asked the server.
        """
        if time.monotonic() - self._said_at >= SILENT_SECONDS:
            self._lose("nothing was said for too long")
        return self._is_lost

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            # The server counts from later on.
            asked_at = time.monotonic()
            try:
                self._session.execute(_BEAT)
            except DriverError:
                self._lose("its session has ended")
            if self.is_lost:
                return
            self._said_at = asked_at

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
