"""A proxy to a PostgreSQL server that cuts connections at the worst moments.

It is between a test and the server on loopback, and closes the connection of one transaction
just before its COMMIT reaches the server, or after the server has committed and before its
answer arrives.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from tests.postgres_server import USER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres_server import PostgresServer


Moment = Literal["before the commit", "after the commit"]

_CHUNK = 1 << 16
_COMMIT = b"COMMIT\0"
"""As a statement on its way there, and as what was done on its way back."""


class _Way:
    """A connection of the test, and the connection to the server that belongs to it."""

    def __init__(self, proxy: CuttingProxy, ours: socket.socket) -> None:
        self._proxy = proxy
        self._ours = ours
        self._theirs = socket.create_connection(("127.0.0.1", proxy.server_port))
        for each in (self._ours, self._theirs):
            # Else every small message waits for the answer to the one before it.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._first = b""
        self._is_doomed = False
        self._threads = [threading.Thread(target=each) for each in (self._there, self._back)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Break both connections."""
        for each in (self._ours, self._theirs):
            # Wakes the thread that reads, which a mere close does not.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait until both directions have ended."""
        for thread in self._threads:
            thread.join()
        self._ours.close()
        self._theirs.close()

    def _there(self) -> None:
        with suppress(OSError):
            while data := self._ours.recv(_CHUNK):
                # The first messages say what the connection is for.
                self._first = (self._first + data)[:_CHUNK] if not self._is_known else self._first
                moment = self._proxy.moment_for(self._first) if _COMMIT in data else None
                if moment == "before the commit":
                    break
                self._is_doomed = self._is_doomed or moment is not None
                self._theirs.sendall(data)
        self.close()

    def _back(self) -> None:
        with suppress(OSError):
            while data := self._theirs.recv(_CHUNK):
                if not self._is_doomed:
                    self._ours.sendall(data)
                elif _COMMIT in data:
                    break
        self.close()

    @property
    def _is_known(self) -> bool:
        return b"application_name" in self._first


class CuttingProxy:
    """Forwards all data until a test tells it to cut the connection."""

    def __init__(self, server: PostgresServer) -> None:
        self.server_port = server.port
        self.cuts = 0
        self._armed: tuple[bytes, Moment] | None = None
        self._lock = threading.Lock()
        self._ways: list[_Way] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def url(self, server_url: str) -> str:
        """Return the URL of a database by this way."""
        port = self._listener.getsockname()[1]
        return f"postgresql://{USER}@127.0.0.1:{port}/{server_url.rpartition('/')[2]}"

    def cut(self, part: str, moment: Moment) -> None:
        """Break the next transaction of those connections that are for this part."""
        self._armed = (f"postwatch {part} ".encode(), moment)

    def moment_for(self, first: bytes) -> Moment | None:
        """Return when to break a transaction that is about to commit; None: not at all."""
        with self._lock:
            if self._armed is None or self._armed[0] not in first:
                return None
            moment = self._armed[1]
            self._armed = None
            self.cuts += 1
            return moment

    def close(self) -> None:
        """Break everything and end."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for way in self._ways:
            way.close()
        for way in self._ways:
            way.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                self._ways.append(_Way(self, ours))


@contextmanager
def cutting_proxy(server: PostgresServer) -> Iterator[CuttingProxy]:
    """Run a way to a server that can be cut, while the block runs."""
    proxy = CuttingProxy(server)
    try:
        yield proxy
    finally:
        proxy.close()
