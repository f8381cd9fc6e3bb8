"""Connections to an SQLite file: one for each thread, opened at its first use."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable


class Closable(Protocol):
    """An object with a method `close`."""

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
        self._opened: WeakSet[_ThreadSlot[C]] = WeakSet()
        self._lock = threading.Lock()

    def get(self) -> C:
        """Return this thread's connection."""
        slot: _ThreadSlot[C] | None = getattr(self._local, "slot", None)
        if slot is None:
            slot = self._local.slot = _ThreadSlot(self._connect())
            with self._lock:
                self._opened.add(slot)
        return slot.connection

    def close(self) -> None:
        """Close all connections; a later `get` opens a new one."""
        with self._lock:
            opened, self._opened = list(self._opened), WeakSet()
            self._local = threading.local()
        for slot in opened:
            slot.connection.close()


class _ThreadSlot(Generic[C]):
    """Keeps the connection of one thread, and closes it when the thread ends."""

    def __init__(self, connection: C) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()
