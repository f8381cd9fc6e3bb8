"""Dovecot, probed by IMAP, POP3 and ManageSieve."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.check import Category, Phase
from mail.protocols import PROTOCOLS
from mail.protocols.target import ProbeTarget
from tests.mailservers.dovecot import (
    HASHED_USER,
    PASSWORD,
    UNICODE_PASSWORD,
    UNICODE_USER,
    USER,
    Dovecot,
    dovecot,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.kinds import TlsMode
    from mail.prober import Prober
    from mail.protocols.target import ProtocolName
    from tests.mailservers.certificates import CertificateShop


pytestmark = pytest.mark.mailserver

DOVECOT_PROTOCOLS = ("imap", "pop3", "managesieve")
MODES = [
    (protocol, tls)
    for protocol in DOVECOT_PROTOCOLS
    for tls in ("never", "auto", "require", "implicit")
]


@pytest.fixture(scope="module")
def server(certificates: CertificateShop) -> Iterator[Dovecot]:
    with dovecot(certificates.good) as running:
        yield running


def _target(server: Dovecot, protocol: ProtocolName, tls: TlsMode) -> ProbeTarget:
    port: int = getattr(server, f"{protocol}{'s' if tls == 'implicit' else ''}_port")
    return ProbeTarget(
        protocol=protocol, hostname="localhost", port=port, tls=tls, timeout_seconds=10
    )


@pytest.mark.parametrize(("protocol", "tls"), MODES)
async def test_the_right_password_lets_in_and_opens_the_mailbox(
    prober: Prober, server: Dovecot, protocol: ProtocolName, tls: TlsMode
) -> None:
    mailbox = "INBOX" if PROTOCOLS[protocol].has_mailbox else None
    outcome = await prober.probe(
        replace(_target(server, protocol, tls), user=USER, password=PASSWORD, mailbox=mailbox)
    )

    assert outcome.category is Category.OK
    assert (outcome.tls is None) == (tls == "never")
    # In clear it logs in by CRAM-MD5, which does not show the password.
    assert outcome.warnings == ()
    assert outcome.login is not None
    assert (outcome.login.used == "CRAM-MD5") == (tls == "never")


@pytest.mark.parametrize(("protocol", "tls"), MODES)
async def test_a_wrong_password_is_a_failed_login(
    prober: Prober, server: Dovecot, protocol: ProtocolName, tls: TlsMode
) -> None:
    outcome = await prober.probe(
        replace(_target(server, protocol, tls), user=USER, password="wrong")
    )

    assert (outcome.category, outcome.phase) == (Category.AUTH_FAILED, Phase.AUTH)


@pytest.mark.parametrize(("protocol", "tls"), MODES)
async def test_a_password_outside_ascii_is_right(
    prober: Prober, server: Dovecot, protocol: ProtocolName, tls: TlsMode
) -> None:
    outcome = await prober.probe(
        replace(_target(server, protocol, tls), user=UNICODE_USER, password=UNICODE_PASSWORD)
    )

    assert outcome.category is Category.OK


@pytest.mark.parametrize(("protocol", "tls"), MODES)
async def test_without_credentials_no_login_is_tried(
    prober: Prober, server: Dovecot, protocol: ProtocolName, tls: TlsMode
) -> None:
    outcome = await prober.probe(_target(server, protocol, tls))

    assert outcome.category is Category.OK
    assert "auth" not in outcome.timings_ms


async def test_a_mailbox_that_is_not_there_is_a_failure(prober: Prober, server: Dovecot) -> None:
    outcome = await prober.probe(
        replace(
            _target(server, "imap", "never"),
            user=USER,
            password=PASSWORD,
            mailbox="Entwürfe & mehr",
        )
    )

    assert (outcome.category, outcome.phase) == (Category.MAILBOX_UNAVAILABLE, Phase.MAILBOX)


@pytest.fixture(scope="module")
def scram_server(certificates: CertificateShop) -> Iterator[Dovecot]:
    mechanisms = "plain login scram-sha-1 scram-sha-256"
    with dovecot(certificates.good, mechanisms=mechanisms) as running:
        yield running


@pytest.mark.parametrize(("protocol", "tls"), MODES)
async def test_scram_lets_in_with_and_without_tls(
    prober: Prober, scram_server: Dovecot, protocol: ProtocolName, tls: TlsMode
) -> None:
    outcome = await prober.probe(
        replace(_target(scram_server, protocol, tls), user=USER, password=PASSWORD)
    )

    assert (outcome.category, outcome.warnings) == (Category.OK, ())
    assert outcome.login is not None
    assert outcome.login.used == "SCRAM-SHA-256"
    assert {"SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN", "LOGIN"} <= set(outcome.login.offered)


@pytest.mark.parametrize("protocol", DOVECOT_PROTOCOLS)
async def test_scram_takes_a_password_outside_ascii(
    prober: Prober, scram_server: Dovecot, protocol: ProtocolName
) -> None:
    outcome = await prober.probe(
        replace(
            _target(scram_server, protocol, "implicit"),
            user=UNICODE_USER,
            password=UNICODE_PASSWORD,
        )
    )

    assert outcome.category is Category.OK
    assert outcome.login is not None
    assert outcome.login.used == "SCRAM-SHA-256"


@pytest.mark.parametrize("protocol", DOVECOT_PROTOCOLS)
async def test_scram_refuses_a_wrong_password(
    prober: Prober, scram_server: Dovecot, protocol: ProtocolName
) -> None:
    outcome = await prober.probe(
        replace(_target(scram_server, protocol, "implicit"), user=USER, password="wrong")
    )

    assert (outcome.category, outcome.phase) == (Category.AUTH_FAILED, Phase.AUTH)
    assert "SCRAM-SHA-256" in outcome.message


@pytest.mark.parametrize("protocol", DOVECOT_PROTOCOLS)
async def test_a_user_whose_password_is_no_good_for_scram_is_let_in_all_the_same(
    prober: Prober, scram_server: Dovecot, protocol: ProtocolName
) -> None:
    target = replace(
        _target(scram_server, protocol, "implicit"), user=HASHED_USER, password=PASSWORD
    )

    first = await prober.probe(target)
    second = await prober.probe(target)

    # Dovecot refuses SCRAM before it sees a proof, so the same check goes on.
    assert first.category is Category.OK
    assert first.login is not None
    assert first.login.refused == ("SCRAM-SHA-256", "SCRAM-SHA-1")
    # The next one does not ask again.
    assert second.category is Category.OK
    assert second.login is not None
    assert second.login.refused == ()


@pytest.fixture(scope="module")
def strict_server(certificates: CertificateShop) -> Iterator[Dovecot]:
    with dovecot(certificates.good, plaintext_logins=False) as running:
        yield running


@pytest.fixture(scope="module")
def plain_server(certificates: CertificateShop) -> Iterator[Dovecot]:
    with dovecot(certificates.good, plaintext_logins=False, mechanisms="plain login") as running:
        yield running


@pytest.mark.parametrize("protocol", DOVECOT_PROTOCOLS)
async def test_a_login_that_is_disabled_without_tls(
    prober: Prober, plain_server: Dovecot, protocol: ProtocolName
) -> None:
    target = replace(
        _target(plain_server, protocol, "never"),
        hostname=plain_server.host,
        user=USER,
        password=PASSWORD,
    )
    outcome = await prober.probe(target)

    assert (outcome.category, outcome.phase) == (Category.AUTH_DISABLED, Phase.AUTH)
    assert outcome.warnings == ()


async def test_without_tls_managesieve_logs_in_by_the_mechanism_that_hides_the_password(
    prober: Prober, strict_server: Dovecot
) -> None:
    # Dovecot takes PLAIN and LOGIN off its list, and leaves CRAM-MD5 on it.
    target = replace(
        _target(strict_server, "managesieve", "never"),
        hostname=strict_server.host,
        user=USER,
        password=PASSWORD,
    )
    outcome = await prober.probe(target)

    assert outcome.category is Category.OK
    assert outcome.warnings == ()


@pytest.mark.parametrize("protocol", DOVECOT_PROTOCOLS)
async def test_starttls_lifts_what_is_disabled_without_it(
    prober: Prober, strict_server: Dovecot, protocol: ProtocolName
) -> None:
    target = replace(
        _target(strict_server, protocol, "auto"),
        hostname=strict_server.host,
        verify_certificate=False,
        user=USER,
        password=PASSWORD,
    )
    outcome = await prober.probe(target)

    assert outcome.category is Category.OK
    assert [each.code for each in outcome.warnings] == ["cert_hostname_mismatch"]
