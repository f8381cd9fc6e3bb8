"""Exim, probed as a mail client that submits; its TLS is GnuTLS's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.check import Category, Phase
from mail.protocols.target import ProbeTarget
from tests.mailservers.exim import PASSWORD, USER, Exim, exim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.kinds import TlsMode
    from mail.prober import Prober
    from tests.mailservers.certificates import CertificateShop


pytestmark = pytest.mark.mailserver


@pytest.fixture(scope="module")
def server(certificates: CertificateShop) -> Iterator[Exim]:
    with exim(certificates.good) as running:
        yield running


def _target(server: Exim, tls: TlsMode) -> ProbeTarget:
    port = server.smtps_port if tls == "implicit" else server.smtp_port
    return ProbeTarget(
        protocol="smtp", hostname="localhost", port=port, tls=tls, timeout_seconds=10
    )


@pytest.mark.parametrize("tls", ["auto", "require", "implicit"])
async def test_the_right_password_is_let_in(prober: Prober, server: Exim, tls: TlsMode) -> None:
    outcome = await prober.probe(replace(_target(server, tls), user=USER, password=PASSWORD))

    assert outcome.category is Category.OK
    assert outcome.tls is not None
    assert outcome.warnings == ()


@pytest.mark.parametrize("tls", ["auto", "require", "implicit"])
async def test_a_wrong_password_is_a_failed_login(
    prober: Prober, server: Exim, tls: TlsMode
) -> None:
    outcome = await prober.probe(replace(_target(server, tls), user=USER, password="wrong"))

    assert (outcome.category, outcome.phase) == (Category.AUTH_FAILED, Phase.AUTH)


@pytest.mark.parametrize("tls", ["never", "auto", "require", "implicit"])
async def test_without_credentials_no_login_is_tried(
    prober: Prober, server: Exim, tls: TlsMode
) -> None:
    outcome = await prober.probe(_target(server, tls))

    assert outcome.category is Category.OK
    assert "auth" not in outcome.timings_ms


async def test_no_login_is_offered_before_tls(prober: Prober, server: Exim) -> None:
    outcome = await prober.probe(replace(_target(server, "never"), user=USER, password=PASSWORD))

    assert outcome.category is Category.AUTH_UNAVAILABLE


async def test_login_is_used_where_plain_is_missing(
    prober: Prober, certificates: CertificateShop
) -> None:
    with exim(certificates.good, mechanisms="LOGIN") as server:
        outcome = await prober.probe(
            replace(_target(server, "require"), user=USER, password=PASSWORD)
        )

    assert outcome.category is Category.OK
