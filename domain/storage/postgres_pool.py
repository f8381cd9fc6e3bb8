"""Connections that the threads of a process lend from one another. Nothing runs beside them.

Whoever finds none connects, and so learns at once, and exactly, why that does not work.
"""

from __future__ import annotations

import select
import time
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.pq import TransactionStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domain.storage.postgres_session import Session

WAIT_SECONDS: Final = 3.0
"""How long a caller waits while all connections are lent."""

IDLE_SECONDS: Final = 600.0
"""How long a connection is kept that nobody needs."""


class Pool:
    """Up to `size` connections. The one that was used last is lent next."""

    def __init__(self, connect: Callable[[], Session], size: int) -> None:
        self._connect = connect
        self._size = size
        self._places = BoundedSemaphore(size)
        self._lock = Lock()
        self._idle: list[tuple[float, Session]] = []
        self._is_closed = False
        self._has_connected = False
        self.losses = 0
        """How many times connections broke, or more were opened, which may lead to another server.

        Who grows a pool while a server is promoted meets the new one before any loss is known.
        """

    @contextmanager
    def lend(self) -> Iterator[Session]:
        """Lend a connection. One that is returned in the middle of something is closed."""
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise psycopg.errors.TooManyConnections(
                f"all {self._size} connections of this process are in use"
            )
        try:
            session = self._open_one() or self._connect_anew()
            try:
                yield session
            finally:
                self._take_back(session)
        finally:
            self._places.release()

    def forget(self) -> None:
        """Close all connections that are not lent: they are as dead as one that was."""
        with self._lock:
            self.losses += 1
            idle, self._idle = self._idle, []
        for _, session in idle:
            session.close()

    def close(self) -> None:
        """Close all connections, those that are lent when they come back."""
        with self._lock:
            self._is_closed = True
        self.forget()

    def _open_one(self) -> Session | None:
        """Return a connection that the server has not closed meanwhile, if there is one."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                _, session = self._idle.pop()
            if _is_quiet(session):
                return session
            with self._lock:
                self.losses += 1
            session.close()

    def _connect_anew(self) -> Session:
        """Connect. Where one was open before, another server may be the one that answers now."""
        session = self._connect()
        with self._lock:
            self.losses += self._has_connected
            self._has_connected = True
        return session

    def _take_back(self, session: Session) -> None:
        tired = session
        is_whole = session.info.transaction_status == TransactionStatus.IDLE
        now = time.monotonic()
        with self._lock:
            self.losses += not is_whole
            if is_whole and not self._is_closed:
                self._idle.append((now, session))
                # The oldest stands first. One is enough: somebody comes back soon.
                if now - self._idle[0][0] < IDLE_SECONDS:
                    return
                tired = self._idle.pop(0)[1]
        tired.close()


def _is_quiet(session: Session) -> bool:
    """Return whether there is nothing to read: the last words of a server that went away.

    Without asking the server, which would take as long as the query itself. A notice that
    came meanwhile looks the same, and costs a new connection.
    """
    poll = select.poll()
    poll.register(session.fileno(), select.POLLIN)
    return not poll.poll(0)
