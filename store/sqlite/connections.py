"""Connections to an SQLite file: one for each thread, opened when it first asks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable


class Closable(Protocol):
    """A connection."""

    def close(self) -> None:
        """Close it; a second time does nothing."""


C = TypeVar("C", bound=Closable)


class ThreadConnections(Generic[C]):
    """The connections of all threads. `connect` must allow that another thread closes one.

    The connection of a thread that ends is closed with it.
    """

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._opened: WeakSet[_Held[C]] = WeakSet()
        self._lock = threading.Lock()

    def get(self) -> C:
        """Return this thread's connection."""
        held: _Held[C] | None = getattr(self._local, "held", None)
        if held is None:
            held = self._local.held = _Held(self._connect())
            with self._lock:
                self._opened.add(held)
        return held.connection

    def close(self) -> None:
        """Close all connections; who asks later gets a new one."""
        with self._lock:
            opened, self._opened = list(self._opened), WeakSet()
            self._local = threading.local()
        for held in opened:
            held.connection.close()


class _Held(Generic[C]):
    """What a thread holds of its connection: it goes when the thread ends."""

    def __init__(self, connection: C) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()
