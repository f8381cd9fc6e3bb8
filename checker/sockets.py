"""One TCP socket of one task: connect, send, receive, close.

`trio.socket` serves any number of tasks and promises a checkpoint in every call, which
gives the processor away and takes it back even when the kernel did at once what it was asked.
A dialogue sends one line and waits for the answer, so waiting is checkpoint enough. It also
asks the kernel for an answer that cannot be there yet; here it waits first.
"""

from __future__ import annotations

import errno
import os
import socket

from trio.lowlevel import wait_readable, wait_writable


class ClientSocket:
    """A socket that one task at a time uses. Whoever made it must `close` it."""

    __slots__ = ("_socket",)

    def __init__(self, family: socket.AddressFamily) -> None:
        """Open a socket. Raises OSError."""
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)

    @property
    def is_open(self) -> bool:
        """Whether it was not closed."""
        return self._socket.fileno() >= 0

    @property
    def local_address(self) -> str:
        """Our own address, once connected."""
        address: str = self._socket.getsockname()[0]
        return address

    async def connect(self, address: str, port: int) -> None:
        """Connect to an address. Raises OSError."""
        code = self._socket.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            await wait_writable(self._socket)
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    async def send(self, data: bytes) -> int:
        """Send some of the bytes; return how many. Raises OSError."""
        while True:
            try:
                return self._socket.send(data)
            except BlockingIOError:
                await wait_writable(self._socket)

    async def recv(self, limit: int) -> bytes:
        """Return some bytes, none at the end. Raises OSError."""
        while True:
            await wait_readable(self._socket)
            try:
                return self._socket.recv(limit)
            except BlockingIOError:
                continue

    def has_unread(self) -> bool:
        """Whether bytes have come that nobody received; the end does not count. Raises OSError."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def without_delay(self) -> None:
        """Send small packets at once, instead of waiting for the peer to acknowledge others."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close. No task waits on it then: there is only the one that closes it."""
        self._socket.close()
