"""Connecting to one of several addresses."""

from __future__ import annotations

import contextlib
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from typing_extensions import override

from domain.check import Category, Phase
from mail.guard import AddressBusyError, ProbeGuard
from mail.net import connect as connect_module
from mail.net.connect import ATTEMPT_DELAY_SECONDS, MAX_ADDRESSES, ClientSocket, connect_to, dial
from mail.prober import Prober
from mail.protocols.dialogue import ProbeFailed
from mail.protocols.target import ProbeTarget
from tests.mailservers.dns_server import dns_server
from tests.mailservers.processes import free_ports
from tests.mailservers.scripted import NEEDS_IPV6, deaf, scripted, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mail.net.addresses import Address
    from tests.mailservers.dns_server import Zone
    from tests.mailservers.scripted import Peer


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


async def test_when_all_refuse_the_message_names_each() -> None:
    with pytest.raises(ProbeFailed) as caught:
        await dial((FOUR, OTHER_FOUR), free_ports(1)[0])

    assert caught.value.category is Category.CONNECT_REFUSED
    assert caught.value.message == (
        "no address takes the connection: 127.0.0.1: the connection is refused; "
        f"{OTHER_FOUR}: the connection is refused"
    )


async def test_addresses_that_did_not_answer_before_the_one_that_did_are_told() -> None:
    told: list[tuple[Address, str]] = []

    async def connect(address: Address, port: int) -> ClientSocket:
        if address == SIX:
            await trio.sleep_forever()
        return await connect_to(address, port)

    with scripted(steps()) as port:
        socket, reached = await dial(
            (SIX, OTHER_FOUR, FOUR),
            port,
            attempt_delay_seconds=0.05,
            connect=connect,
            on_failed_address=lambda address, why: told.append((address, why)),
        )
        socket.close()

    assert reached == FOUR
    assert [address for address, _ in told] == [SIX, OTHER_FOUR]
    assert told[0][1].startswith("no answer in 0.")
    assert told[1][1] == "the connection is refused"


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


class CountingGuard(ProbeGuard):
    """Allows all addresses but some; notes which connections are open, and the most at a time."""

    def __init__(self, *refused: Address, may_log_in: bool = True) -> None:
        self._refused = refused
        self._may_log_in = may_log_in
        self.asked: list[Address] = []
        self.open: list[Address] = []
        self.most_open = 0

    @override
    def may_connect(self, address: Address) -> bool:
        self.asked.append(address)
        if address in self._refused:
            return False
        self.open.append(address)
        self.most_open = max(self.most_open, len(self.open))
        return True

    @override
    def disconnected(self, address: Address) -> None:
        self.open.remove(address)

    @override
    def may_log_in(self, address: Address) -> bool:
        assert address in self.open
        return self._may_log_in


async def test_of_2000_addresses_the_first_8_are_tried() -> None:
    addresses = [ip_address(f"127.1.{number // 250}.{number % 250 + 1}") for number in range(2000)]
    guard = CountingGuard()
    tried: list[Address] = []

    async def connect(address: Address, port: int) -> ClientSocket:
        tried.append(address)
        return await connect_to(address, port)

    with pytest.raises(ProbeFailed) as caught:
        await dial(addresses, free_ports(1)[0], guard=guard, connect=connect)

    assert caught.value.category is Category.CONNECT_REFUSED
    assert tried == guard.asked == addresses[:MAX_ADDRESSES]
    assert guard.open == []


async def test_addresses_that_are_not_allowed_are_left_out() -> None:
    guard = CountingGuard(OTHER_FOUR)
    with scripted(steps()) as port:
        socket, reached = await dial((OTHER_FOUR, FOUR), port, guard=guard)
        socket.close()

    assert reached == FOUR
    assert guard.open == [FOUR]


@pytest.mark.parametrize("addresses", [(FOUR,), (FOUR, OTHER_FOUR)])
async def test_without_an_allowed_address_nothing_is_contacted(
    addresses: tuple[Address, ...],
) -> None:
    guard = CountingGuard(*addresses)
    with pytest.raises(AddressBusyError):
        await dial(addresses, free_ports(1)[0], guard=guard)

    assert guard.open == []


async def test_every_ended_attempt_is_reported() -> None:
    with deaf() as port, trio.move_on_after(1):
        guard = CountingGuard()
        await dial((FOUR, FOUR, FOUR), port, guard=guard, attempt_delay_seconds=0.01)

    assert (guard.most_open, guard.open) == (3, [])


async def test_probe_reports_the_end_of_its_connection(prober: Prober) -> None:
    guard = CountingGuard()
    with scripted(steps()) as port:
        await prober.probe(
            ProbeTarget(
                protocol="smtp", hostname="127.0.0.1", port=port, tls="never", timeout_seconds=5
            ),
            guard,
        )

    assert (guard.asked, guard.open) == ([FOUR], [])


@pytest.mark.parametrize("may_log_in", [True, False])
async def test_probe_logs_in_only_where_it_may(prober: Prober, *, may_log_in: bool) -> None:
    said: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.send(b"220 mx\r\n")
        peer.expect("EHLO")
        peer.send(b"250-mx\r\n250 AUTH PLAIN\r\n")
        said.append(peer.read_line().rstrip())

    with scripted(script) as port:
        await prober.probe(
            ProbeTarget(
                protocol="smtp",
                hostname="127.0.0.1",
                port=port,
                tls="never",
                timeout_seconds=5,
                user="u",
                password="p",
            ),
            CountingGuard(may_log_in=may_log_in),
        )

    assert said[0].split()[0] == (b"AUTH" if may_log_in else b"QUIT")


async def test_an_address_that_is_dead_beside_one_that_works_is_a_warning(ca_file: Path) -> None:
    greeting = steps(b"220 mx ESMTP\r\n", "EHLO", b"250 mx\r\n", "QUIT", b"221 bye\r\n")
    zone: Zone = {"mx.example": ["127.0.0.8", "127.0.0.9"]}
    warnings: list[str] = []
    with scripted(greeting, host="127.0.0.9") as port, dns_server(zone) as dns:
        target = ProbeTarget(
            protocol="smtp", hostname="mx.example", port=port, tls="never", timeout_seconds=20
        )
        # The name server changes the order of its answer by chance, and each prober asks anew.
        for _ in range(60):
            prober = Prober.from_settings(("127.0.0.0/8",), (dns.address,), ca_file)
            outcome = await prober.probe(target)
            assert (outcome.is_up, outcome.address) == (True, "127.0.0.9")
            warnings = [each.message for each in outcome.warnings if each.code == "address_failed"]
            if warnings:
                break

    (said,) = warnings
    assert said.startswith("127.0.0.8 was tried first and could not be used: the connection is ref")
