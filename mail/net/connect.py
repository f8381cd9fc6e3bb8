"""Connects to the first of several addresses that answers (RFC 8305, Happy Eyeballs).

It gets addresses that were judged already, and never sees a name: what is connected to is
exactly what the network policy allowed.

One TCP socket of one task: connect, send, receive, close.

`trio.socket` serves any number of tasks and promises a checkpoint in every call, which
gives the processor away and takes it back even when the kernel did at once what it was asked.
A dialogue sends one line and waits for the answer, so waiting is checkpoint enough. It also
asks the kernel for an answer that cannot be there yet; here it waits first.
"""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import wait_readable, wait_writable

from mail.net import errors
from mail.protocols.dialogue import ProbeFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mail.net.addresses import Address


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


# RFC 8305 section 5: how long an attempt may be silent before the next one begins.
ATTEMPT_DELAY_SECONDS = 0.25


async def dial(addresses: Sequence[Address], port: int) -> tuple[ClientSocket, Address]:
    """Return a connected socket, which is the caller's to close, and whom it reached.

    Raises:
        ProbeFailed: No address takes the connection; it says why the first one does not.
    """
    if len(addresses) == 1:
        return await _connect(addresses[0], port), addresses[0]
    race = _Race(port)
    await race.run(addresses)
    if race.winner is None:
        raise race.failures[min(race.failures)]
    return race.winner


class _Race:
    """Attempts that overlap: the next begins when one fails or is silent for too long."""

    def __init__(self, port: int) -> None:
        self.winner: tuple[ClientSocket, Address] | None = None
        self.failures: dict[int, ProbeFailed] = {}
        self._port = port

    async def run(self, addresses: Sequence[Address]) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for position, address in enumerate(addresses):
                    failed = trio.Event()
                    nursery.start_soon(self._attempt, position, address, failed, nursery)
                    with trio.move_on_after(ATTEMPT_DELAY_SECONDS):
                        await failed.wait()
        except BaseException:
            if self.winner is not None:
                self.winner[0].close()
            raise

    async def _attempt(
        self, position: int, address: Address, failed: trio.Event, nursery: trio.Nursery
    ) -> None:
        try:
            connected = await _connect(address, self._port)
        except ProbeFailed as failure:
            self.failures[position] = failure
            failed.set()
            return
        # Between the end of the connect and here lies no checkpoint, so two attempts can
        # both have succeeded only if they ended in the same step of the loop.
        if self.winner is None:
            self.winner = (connected, address)
            nursery.cancel_scope.cancel()
        else:
            connected.close()


async def _connect(address: Address, port: int) -> ClientSocket:
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    try:
        opened = ClientSocket(family)
    except OSError as error:
        raise _finding(error) from error
    try:
        await opened.connect(str(address), port)
    except OSError as error:
        opened.close()
        raise _finding(error) from error
    except BaseException:
        opened.close()
        raise
    return opened


def _finding(error: OSError) -> BaseException:
    return errors.from_network(error) or error
