"""The name that probes say in EHLO."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from mail.net.certificates import CertificateJudge, load_trust_store
from mail.net.own_name import find_own_name, parse_ehlo_name
from mail.net.policy import NetworkPolicy
from mail.net.resolver import DnsClient, Resolver
from mail.prober import Prober
from mail.protocols.target import ProbeTarget
from tests.mailservers.scripted import scripted

if TYPE_CHECKING:
    from tests.mailservers.scripted import Peer


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Monitor.Example.com", "monitor.example.com"),
        ("monitor.example.com.", "monitor.example.com"),
        ("192.0.2.1", "[192.0.2.1]"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("2001:db8::1", "[IPv6:2001:db8::1]"),
        ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
    ],
)
def test_names_and_addresses_have_a_normal_form(text: str, name: str) -> None:
    assert parse_ehlo_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["monitor", "a b.example.com", "mx.example.com\r\nMAIL", "-a.example.com", "a..b", "x" * 300],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fully qualified domain name"):
        parse_ehlo_name(text)


def no_lookup() -> str:
    raise AssertionError


def test_host_whose_name_is_qualified_needs_no_lookup() -> None:
    assert find_own_name(lambda: "Monitor.Example.COM", no_lookup) == "monitor.example.com"


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ("monitor.example.com", "monitor.example.com"),
        ("monitor", None),
        ("localhost.localdomain", None),
        ("monitor.lan", None),
        ("ip-10-0-0-1.ec2.internal", None),
        ("192.0.2.1", None),
        ("not_a_name.example.com", None),
    ],
)
def test_other_hosts_are_looked_up(found: str, name: str | None) -> None:
    assert find_own_name(lambda: "monitor", lambda: found) == name


def test_silent_dns_is_not_waited_for() -> None:
    never = threading.Event()

    def lookup() -> str:
        never.wait()
        return "monitor.example.com"

    try:
        assert find_own_name(lambda: "monitor", lookup, seconds=0.05) is None
    finally:
        never.set()


@pytest.mark.parametrize(
    ("name", "said"),
    [(None, b"EHLO [127.0.0.1]"), ("monitor.example.com", b"EHLO monitor.example.com")],
)
async def test_probe_says_its_name(name: str | None, said: bytes) -> None:
    heard: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.send(b"220 mx\r\n")
        heard.append(peer.read_line().rstrip())
        peer.send(b"250 mx\r\n")
        peer.expect("QUIT")
        peer.send(b"221 bye\r\n")

    prober = Prober(
        Resolver(DnsClient(("127.0.0.1",))),
        NetworkPolicy.parse(("127.0.0.0/8",)),
        CertificateJudge(load_trust_store(None)),
        ehlo_name=name,
    )
    with scripted(script) as port:
        await prober.probe(
            ProbeTarget(
                protocol="smtp", hostname="127.0.0.1", port=port, tls="never", timeout_seconds=5
            )
        )

    assert heard == [said]
