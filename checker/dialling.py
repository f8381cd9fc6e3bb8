"""Connects to the first of several addresses that answers (RFC 8305, Happy Eyeballs).

It gets addresses that were judged already, and never sees a name: what is connected to is
exactly what the network policy allowed.
"""

from __future__ import annotations

import socket
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import trio

from checker import faults
from checker.failure import ProbeFailed
from checker.sockets import ClientSocket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checker.addresses import Address

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
    return faults.from_network(error) or error
