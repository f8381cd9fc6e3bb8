"""Connecting to one of several addresses."""

from __future__ import annotations

import contextlib
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from domain.check import Category, Phase
from mail.net import connect as connect_module
from mail.net.connect import ATTEMPT_DELAY_SECONDS, ClientSocket, dial
from mail.protocols.dialogue import ProbeFailed
from mail.protocols.target import ProbeTarget
from tests.mailservers.processes import free_ports
from tests.mailservers.scripted import NEEDS_IPV6, deaf, scripted, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mail.net.addresses import Address
    from mail.prober import Prober


FOUR, SIX, OTHER_FOUR = (ip_address(text) for text in ("127.0.0.1", "::1", "127.0.0.2"))


@contextlib.contextmanager
def _six_is_deaf_and_four_answers() -> Iterator[int]:
    port = free_ports(1)[0]
    with deaf("::1", port=port), scripted(steps(), port=port):
        yield port


async def _dial(*addresses: Address, port: int) -> Address:
    socket, reached = await dial(addresses, port)
    socket.close()
    return reached


async def test_the_first_address_that_answers_is_taken() -> None:
    with scripted(steps()) as port:
        assert await _dial(FOUR, OTHER_FOUR, port=port) == FOUR


async def test_an_address_that_refuses_costs_no_time() -> None:
    with scripted(steps()) as port, trio.fail_after(30):
        socket, reached = await dial((SIX, OTHER_FOUR, FOUR), port, attempt_delay_seconds=3600)
        socket.close()

    assert reached == FOUR


@NEEDS_IPV6
async def test_an_address_that_is_silent_costs_the_delay() -> None:
    with _six_is_deaf_and_four_answers() as port, trio.fail_after(30):
        began = trio.current_time()
        assert await _dial(SIX, FOUR, port=port) == FOUR
        assert trio.current_time() - began >= ATTEMPT_DELAY_SECONDS


async def test_when_all_refuse_the_first_one_says_why() -> None:
    with pytest.raises(ProbeFailed) as caught:
        await dial((FOUR, SIX), free_ports(1)[0])

    assert caught.value.category is Category.CONNECT_REFUSED


async def test_no_way_to_an_address() -> None:
    with pytest.raises(ProbeFailed) as caught:
        await dial((ip_address("255.255.255.255"),), 25)

    assert caught.value.category is Category.CONNECT_UNREACHABLE


async def test_an_error_of_our_own_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(connect_module, "ClientSocket", full)

    with pytest.raises(OSError, match="Too many open files"):
        await dial((FOUR,), 25)


async def test_of_two_that_answer_at_once_one_is_closed() -> None:
    both = trio.Event()
    opened: list[ClientSocket] = []

    async def connect(address: Address, _port: int) -> ClientSocket:
        if address == SIX:
            # FOUR is scheduled now: the cancellation by SIX comes too late for it.
            both.set()
        else:
            await both.wait()
        opened.append(ClientSocket(socket.AF_INET))
        return opened[-1]

    winner, _ = await dial((FOUR, SIX), 25, attempt_delay_seconds=0, connect=connect)

    assert [each.is_open for each in opened] == [True, False]
    winner.close()


async def test_a_winner_that_comes_too_late_is_closed() -> None:
    opened = ClientSocket(socket.AF_INET)

    async def connect(address: Address, _port: int) -> ClientSocket:
        if address == FOUR:
            await trio.sleep_forever()
        scope.cancel()
        return opened

    with trio.CancelScope() as scope:
        await dial((FOUR, SIX), 25, attempt_delay_seconds=0, connect=connect)

    assert scope.cancelled_caught
    assert not opened.is_open


async def test_a_refusal_is_an_outcome(prober: Prober) -> None:
    port = free_ports(1)[0]
    outcome = await prober.probe(
        ProbeTarget(protocol="imap", hostname="localhost", port=port, tls="auto", timeout_seconds=5)
    )

    assert (outcome.category, outcome.phase) == (Category.CONNECT_REFUSED, Phase.CONNECT)
    assert (outcome.address, outcome.port) == ("127.0.0.1", port)


async def test_a_cancelled_race_leaves_no_socket_open() -> None:
    with deaf() as port, trio.move_on_after(0.1) as scope:
        await dial((FOUR, FOUR, FOUR), port)

    # An open socket would be a warning of the interpreter, and fail the test.
    assert scope.cancelled_caught
