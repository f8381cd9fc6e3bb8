"""aiosmtpd, Twisted and our stub: servers that need no package of the system."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.check import Category
from mail.protocols.target import ProbeTarget
from tests.mailservers import aiosmtp, twisted_server
from tests.mailservers.stub import smtp_stub
from tests.mailservers.twisted_server import Twisted, twisted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.kinds import TlsMode
    from mail.prober import Prober
    from mail.protocols.target import ProtocolName
    from tests.mailservers.certificates import CertificateShop


@pytest.fixture(scope="module")
def twisted_servers(certificates: CertificateShop) -> Iterator[Twisted]:
    with twisted(certificates.good) as running:
        yield running


def _smtp(port: int, tls: TlsMode) -> ProbeTarget:
    return ProbeTarget(
        protocol="smtp", hostname="localhost", port=port, tls=tls, timeout_seconds=10
    )


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(
    ("password", "category"), [(aiosmtp.PASSWORD, "ok"), ("wrong", "auth_failed")]
)
async def test_aiosmtpd_judges_a_login(
    prober: Prober, certificates: CertificateShop, mechanism: str, password: str, category: str
) -> None:
    with aiosmtp.aiosmtpd(certificates.good, mechanism=mechanism) as port:
        outcome = await prober.probe(
            replace(_smtp(port, "require"), user=aiosmtp.USER, password=password)
        )

    assert outcome.category == category


@pytest.mark.parametrize(
    ("protocol", "tls", "category"),
    [
        ("imap", "never", "auth_disabled"),
        ("imap", "auto", "ok"),
        ("imap", "require", "ok"),
        ("imap", "implicit", "ok"),
        ("pop3", "never", "ok"),
        ("pop3", "auto", "ok"),
        ("pop3", "require", "starttls_unavailable"),
        ("pop3", "implicit", "ok"),
    ],
)
async def test_twisted_takes_the_right_password(
    prober: Prober, twisted_servers: Twisted, protocol: ProtocolName, tls: TlsMode, category: str
) -> None:
    target = _mailbox(twisted_servers, protocol, tls, twisted_server.PASSWORD)
    outcome = await prober.probe(target)
    if outcome.login is not None and outcome.login.used == "APOP":
        # It shows a timestamp, and its users' passwords are not stored for APOP. Each check
        # makes one login, so the next one uses USER and PASS.
        assert outcome.category is Category.AUTH_FAILED
        outcome = await prober.probe(target)

    assert outcome.category == category


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
async def test_twisted_refuses_a_wrong_password(
    prober: Prober, twisted_servers: Twisted, protocol: ProtocolName
) -> None:
    outcome = await prober.probe(_mailbox(twisted_servers, protocol, "implicit", "wrong"))

    assert outcome.category is Category.AUTH_FAILED


def _mailbox(servers: Twisted, protocol: ProtocolName, tls: TlsMode, password: str) -> ProbeTarget:
    port: int = getattr(servers, f"{protocol}{'s' if tls == 'implicit' else ''}_port")
    return ProbeTarget(
        protocol=protocol,
        hostname="localhost",
        port=port,
        tls=tls,
        timeout_seconds=10,
        user=twisted_server.USER,
        password=password,
    )


async def test_the_stub_is_up_in_every_way(prober: Prober, certificates: CertificateShop) -> None:
    with smtp_stub(certificates.good) as stub:
        outcomes = [
            await prober.probe(_smtp(stub.port, "never")),
            await prober.probe(
                replace(_smtp(stub.port, "require"), user="anybody", password="anything")
            ),
            await prober.probe(_smtp(stub.tls_port, "implicit")),
        ]

    assert [each.category for each in outcomes] == [Category.OK] * 3
    assert stub.connections == 3


async def test_the_stub_fails_when_it_is_told_to(prober: Prober) -> None:
    with smtp_stub() as stub:
        stub.greeting = "421 busy"
        refused = await prober.probe(_smtp(stub.port, "auto"))
        stub.silent = True
        silent = await prober.probe(replace(_smtp(stub.port, "auto"), timeout_seconds=0.1))

    assert refused.category is Category.GREETING_TEMPORARY
    assert silent.category is Category.TIMEOUT
