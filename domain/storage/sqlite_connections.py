"""Connections to an SQLite file: one for each thread, opened when it first asks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Closable(Protocol):
    """A connection."""

    def close(self) -> None:
        """Close it."""


C = TypeVar("C", bound=Closable)


class ThreadConnections(Generic[C]):
    """The connections of all threads. `connect` must allow that another thread closes one."""

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._opened: list[C] = []

    def get(self) -> C:
        """Return this thread's connection."""
        connection: C | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            self._opened.append(connection)
        return connection

    def close(self) -> None:
        """Close all connections; who asks later gets a new one."""
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()
