"""Connects to the first of several addresses that answers (RFC 8305, Happy Eyeballs).

It connects to addresses that the network policy has judged, and never sees a name.

`ClientSocket` belongs to one task. `trio.socket` serves any number of tasks, runs a
checkpoint in every call also where the kernel answers at once, and tries to receive before
it waits. A dialogue sends one line and waits for the answer, so here each receive waits
first, and that wait is the only checkpoint.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final, TypeAlias

import trio
from trio.lowlevel import wait_readable, wait_writable

from mail.guard import OPEN_GUARD, AddressBusyError
from mail.net import errors
from mail.net.addresses import Address
from mail.protocols.dialogue import ProbeFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mail.guard import ProbeGuard


_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
"""Linux has it."""


class ClientSocket:
    """A TCP socket that one task at a time uses. The caller that makes it must `close` it."""

    __slots__ = ("_socket",)

    def __init__(self, family: socket.AddressFamily) -> None:
        """Open a socket. Raises OSError."""
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)

    @property
    def is_open(self) -> bool:
        """Whether `close` was not called yet."""
        return self._socket.fileno() >= 0

    @property
    def local_address(self) -> str:
        """The local address, once connected."""
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

    def send_at_once(self, data: bytes) -> None:
        """Send what the kernel takes now; for last words, whose loss does not matter."""
        with suppress(OSError):
            self._socket.send(data)

    async def recv(self, limit: int) -> bytes:
        """Wait for some bytes and return them; b"" at the end. Raises OSError."""
        if _QUICK_ACK is not None:
            # Delayed, our acknowledgement can hold back the rest of an answer for 40 ms, and the
            # timings would show that as the server's. The kernel forgets it, so each time.
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        while True:
            await wait_readable(self._socket)
            try:
                return self._socket.recv(limit)
            except BlockingIOError:
                continue

    def has_unread(self) -> bool:
        """Return whether the kernel holds bytes that were not received yet. Raises OSError."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def without_delay(self) -> None:
        """Send small packets at once (TCP_NODELAY), without waiting for acknowledgements."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close. The task that closes it is the only one, so none waits on it."""
        self._socket.close()


ATTEMPT_DELAY_SECONDS = 0.25
"""How long an attempt may be silent before the next one begins (RFC 8305 section 5)."""

MAX_ADDRESSES = 8
"""How many addresses of a name one probe tries at most. A name may have thousands."""

Connect: TypeAlias = Callable[[Address, int], Awaitable[ClientSocket]]


async def connect_to(address: Address, port: int) -> ClientSocket:
    """Return a socket that is connected to one address; the caller closes it.

    Raises:
        ProbeFailed: The address does not take the connection.
        OSError: This machine lacks something, such as a free file descriptor.
    """
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


def _ignore(address: Address, why: str) -> None:
    del address, why


async def dial(
    addresses: Sequence[Address],
    port: int,
    *,
    guard: ProbeGuard = OPEN_GUARD,
    attempt_delay_seconds: float = ATTEMPT_DELAY_SECONDS,
    connect: Connect = connect_to,
    on_failed_address: Callable[[Address, str], None] = _ignore,
) -> tuple[ClientSocket, Address]:
    """Return a connected socket, which the caller closes, and the address that it reached.

    Tries the first `MAX_ADDRESSES` addresses, without those that `guard` does not allow. It
    tells the guard about each connection that ends here; the caller does so for the returned
    one. `on_failed_address` is told of the addresses that did not answer before the one that
    is returned, and why.

    Raises:
        ProbeFailed: No address takes the connection; the failure is that of the first one, and
            its message names them all.
        AddressBusyError: The guard allows none of the addresses now.
    """
    race = _Race(port, attempt_delay_seconds, connect, guard)
    await race.run(addresses[:MAX_ADDRESSES])
    if race.winner is not None:
        for address, why in race.losers():
            on_failed_address(address, why)
        return race.winner
    if race.failures:
        raise race.first_failure()
    raise AddressBusyError(addresses[0])


class _Race:
    """Overlapping attempts: the next begins when one fails or is silent for too long."""

    def __init__(
        self, port: int, delay_seconds: float, connect: Connect, guard: ProbeGuard
    ) -> None:
        self.winner: tuple[ClientSocket, Address] | None = None
        self.failures: dict[int, ProbeFailed] = {}
        self._begun: dict[int, tuple[Address, float]] = {}
        self._port = port
        self._delay_seconds = delay_seconds
        self._connect = connect
        self._guard = guard

    def first_failure(self) -> ProbeFailed:
        """Return why the first of the addresses failed; of several, the message names each."""
        failures = [(self._begun[each][0], self.failures[each]) for each in sorted(self.failures)]
        first = failures[0][1]
        if len(failures) > 1:
            named = "; ".join(f"{address}: {each.message}" for address, each in failures)
            first.message = f"no address takes the connection: {named}"
        return first

    def losers(self) -> Iterator[tuple[Address, str]]:
        """Yield the addresses that came before the winner, and why they lost."""
        for position, (address, began) in self._begun.items():
            if self.winner is not None and address == self.winner[1]:
                return
            failure = self.failures.get(position)
            silent_seconds = trio.current_time() - began
            yield address, failure.message if failure else f"no answer in {silent_seconds:.1f} s"

    async def run(self, addresses: Sequence[Address]) -> None:
        if len(addresses) == 1:
            # The usual case. A nursery would cost as much as the rest of a connection.
            if self._guard.may_connect(addresses[0]):
                self.winner = await self._open(addresses[0])
            return
        try:
            async with trio.open_nursery() as nursery:
                for position, address in enumerate(addresses):
                    if not self._guard.may_connect(address):
                        continue
                    self._begun[position] = address, trio.current_time()
                    failed = trio.Event()
                    nursery.start_soon(self._attempt, position, address, failed, nursery)
                    with trio.move_on_after(self._delay_seconds):
                        await failed.wait()
        except BaseException:
            if self.winner is not None:
                self._close(*self.winner)
            raise

    async def _attempt(
        self, position: int, address: Address, failed: trio.Event, nursery: trio.Nursery
    ) -> None:
        try:
            connected = await self._open(address)
        except ProbeFailed as failure:
            self.failures[position] = failure
            failed.set()
            return
        # There is no checkpoint between the end of the connect and here, so two attempts both
        # succeed only when they end in the same step of the loop.
        if self.winner is None:
            self.winner = connected
            nursery.cancel_scope.cancel()
        else:
            self._close(*connected)

    async def _open(self, address: Address) -> tuple[ClientSocket, Address]:
        try:
            return await self._connect(address, self._port), address
        except BaseException:
            self._guard.disconnected(address)
            raise

    def _close(self, connected: ClientSocket, address: Address) -> None:
        connected.close()
        self._guard.disconnected(address)
