"""The name and the versions of TLS that a target asks for, against real handshakes."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.check import Category
from mail.protocols.target import ProbeTarget
from tests.mail.fault_cases import SHOP, old_tls
from tests.mailservers.scripted import recorded, scripted, steps

if TYPE_CHECKING:
    from mail.prober import Prober
    from tests.mailservers.scripted import Peer, Script


TARGET = ProbeTarget(
    protocol="smtp", hostname="127.0.0.1", port=25, tls="implicit", timeout_seconds=20
)
TALK = (b"220 mx ESMTP\r\n", "EHLO", b"250 mx\r\n", "QUIT", b"221 bye\r\n")


class Backend:
    """A server that is called `elsewhere.example`, and keeps the names that clients ask for."""

    def __init__(self, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        self.asked: list[str | None] = []
        self._context = SHOP.other_name.context()
        self._context.maximum_version = newest
        self._context.sni_callback = lambda _socket, name, _context: self.asked.append(name)

    @property
    def script(self) -> Script:
        return steps(self._shake_hands, *TALK)

    def _shake_hands(self, peer: Peer) -> None:
        peer.start_tls(self._context)


async def test_one_backend_is_watched_by_its_address_under_the_name_of_the_service(
    prober: Prober,
) -> None:
    backend = Backend()
    with recorded(backend.script) as (port, _):
        target = replace(TARGET, port=port)
        by_address = await prober.probe(target)
        by_name = await prober.probe(replace(target, server_name="elsewhere.example"))

    assert by_address.category is Category.CERT_HOSTNAME_MISMATCH
    assert by_name.category is Category.OK, by_name
    assert backend.asked == [None, "elsewhere.example"]


@pytest.mark.parametrize(
    ("oldest", "newest", "version"),
    [
        (None, None, "TLSv1.3"),
        ("TLSv1.3", None, "TLSv1.3"),
        (None, "TLSv1.2", "TLSv1.2"),
        ("TLSv1.2", "TLSv1.2", "TLSv1.2"),
    ],
)
async def test_a_session_has_a_version_that_the_target_allows(
    prober: Prober, oldest: str | None, newest: str | None, version: str
) -> None:
    target = replace(TARGET, server_name="elsewhere.example", oldest_tls=oldest, newest_tls=newest)
    with scripted(Backend().script) as port:
        outcome = await prober.probe(replace(target, port=port))

    assert outcome.category is Category.OK, outcome
    assert outcome.tls is not None
    assert outcome.tls.version == version


async def test_a_server_without_a_version_that_the_target_wants_is_down(prober: Prober) -> None:
    with scripted(Backend(ssl.TLSVersion.TLSv1_2).script) as port:
        outcome = await prober.probe(replace(TARGET, port=port, oldest_tls="TLSv1.3"))

    assert outcome.category is Category.TLS_VERSION_UNSUPPORTED, outcome


@pytest.mark.parametrize(("oldest", "newest"), [("TLSv1", None), (None, "TLSv1")])
async def test_an_old_server_is_talked_to_where_people_ask_for_it(
    prober: Prober, oldest: str | None, newest: str | None
) -> None:
    target = replace(TARGET, server_name="localhost", oldest_tls=oldest, newest_tls=newest)
    with scripted(steps(old_tls, *TALK)) as port:
        outcome = await prober.probe(replace(target, port=port))

    assert outcome.category is Category.OK, outcome
    assert outcome.tls is not None
    assert outcome.tls.version == "TLSv1"
