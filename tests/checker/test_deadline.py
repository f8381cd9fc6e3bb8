"""One deadline bounds a probe, wherever the server stalls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from checker.probe import Prober
from checker.target import ProbeTarget
from domain.outcome import Category, Phase
from tests.checker.fault_cases import PASSWORD, USER, await_hello, tls
from tests.checker.faults_smtp import AUTH_EHLO, GO, HI, STARTTLS_EHLO
from tests.mailservers.dns_server import dns_server
from tests.mailservers.scripted import Peer, deaf, scripted, steps

if TYPE_CHECKING:
    from pathlib import Path

    from checker.target import TlsMode
    from tests.mailservers.scripted import Script

TIMEOUT_SECONDS = 0.5

# The promise is 50 ms; a busy machine that runs the tests wakes up later than that.
TOLERANCE_SECONDS = 0.25


def _drip(peer: Peer) -> None:
    """Send a byte whenever the client could begin to hope."""
    peer.send(b"220-")
    while True:
        peer.pause(TIMEOUT_SECONDS / 10)
        peer.send(b"x")


def _drip_lines(peer: Peer) -> None:
    while True:
        peer.send(b"220-more\r\n")
        peer.pause(TIMEOUT_SECONDS / 10)


STALLS: dict[str, tuple[TlsMode, Script, Phase]] = {
    "after the connect": ("auto", steps(), Phase.GREETING),
    "within the banner": ("auto", steps(b"220-mx\r\n220 "), Phase.GREETING),
    "dripping bytes": ("auto", _drip, Phase.GREETING),
    "dripping lines": ("auto", _drip_lines, Phase.GREETING),
    "at EHLO": ("auto", steps(HI, "EHLO"), Phase.EHLO),
    "at STARTTLS": ("auto", steps(HI, "EHLO", STARTTLS_EHLO, "STARTTLS"), Phase.STARTTLS),
    "before the handshake": (
        "auto",
        steps(HI, "EHLO", STARTTLS_EHLO, "STARTTLS", GO),
        Phase.TLS,
    ),
    "in the handshake": ("implicit", steps(await_hello, b"\x16\x03\x03"), Phase.TLS),
    "after the handshake": ("implicit", steps(tls()), Phase.GREETING),
    "in AUTH": ("never", steps(HI, "EHLO", AUTH_EHLO, "AUTH"), Phase.AUTH),
}


@pytest.mark.parametrize("where", STALLS)
async def test_a_stall_ends_with_the_deadline(prober: Prober, where: str) -> None:
    mode, script, phase = STALLS[where]
    with scripted(script) as port:
        began = trio.current_time()
        outcome = await prober.probe(_target(port, mode))
        took = trio.current_time() - began

    assert (outcome.category, outcome.phase) == (Category.TIMEOUT, phase)
    assert TIMEOUT_SECONDS <= took <= TIMEOUT_SECONDS + TOLERANCE_SECONDS


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_dropped_syn_ends_with_the_deadline(prober: Prober, host: str) -> None:
    with deaf(host) as port:
        began = trio.current_time()
        outcome = await prober.probe(_target(port, "auto", host))
        took = trio.current_time() - began

    assert (outcome.category, outcome.phase) == (Category.TIMEOUT, Phase.CONNECT)
    assert took <= TIMEOUT_SECONDS + TOLERANCE_SECONDS


async def test_a_silent_name_server_ends_with_the_deadline(ca_file: Path) -> None:
    with dns_server({"mx.example": "silent"}) as dns:
        prober = Prober.from_settings(("127.0.0.0/8",), (dns.address,), ca_file)
        outcome = await prober.probe(_target(25, "auto", "mx.example"))

    assert (outcome.category, outcome.phase) == (Category.DNS_TIMEOUT, Phase.DNS)
    assert outcome.timings_ms["total"] <= (TIMEOUT_SECONDS + TOLERANCE_SECONDS) * 1000


async def test_a_cancellation_from_outside_is_no_outcome(prober: Prober) -> None:
    with scripted(steps()) as port, trio.move_on_after(0.05) as scope:
        await prober.probe(_target(port, "auto"))

    assert scope.cancelled_caught


def _target(port: int, mode: TlsMode, hostname: str = "127.0.0.1") -> ProbeTarget:
    return ProbeTarget(
        protocol="smtp",
        hostname=hostname,
        port=port,
        tls=mode,
        user=USER if mode == "never" else None,
        password=PASSWORD if mode == "never" else None,
        timeout_seconds=TIMEOUT_SECONDS,
    )
