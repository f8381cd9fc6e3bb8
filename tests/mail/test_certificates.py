"""Judging certificates: verdicts, names, dates, and the cache of verdicts."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import crypto

from domain.check import Category
from mail.net.certificates import MAX_CACHE_AGE, CertificateJudge, load_trust_store
from mail.net.tls import TlsSession
from mail.prober import Prober
from tests.mail.fault_cases import SHOP
from tests.mailservers.certificates import self_signed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mail.net.certificates import _CachedFacts
    from tests.mailservers.certificates import ServerCertificate


NOW = datetime.now(UTC)


class _Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class _CountingJudge(CertificateJudge):
    judgements = 0

    def _judge(self, chain: Sequence[bytes], hostname: str, now: datetime) -> _CachedFacts:
        self.judgements += 1
        return super()._judge(chain, hostname, now)


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def judge(ca_file: Path, clock: _Clock) -> CertificateJudge:
    return CertificateJudge(load_trust_store(ca_file), clock)


def _session(certificate: ServerCertificate) -> TlsSession:
    return _session_of_pem(certificate.chain)


def _session_of_pem(chain: bytes) -> TlsSession:
    end = "-----END CERTIFICATE-----\n"
    pems = [each + end for each in chain.decode("ascii").split(end) if each.strip()]
    return TlsSession("TLSv1.3", "AES", tuple(map(ssl.PEM_cert_to_DER_cert, pems)))


@pytest.mark.parametrize(
    ("hostname", "category"),
    [
        ("localhost", Category.OK),
        ("LOCALHOST.", Category.OK),
        ("127.0.0.1", Category.OK),
        ("127.0.0.2", Category.CERT_HOSTNAME_MISMATCH),
        ("mx.example", Category.CERT_HOSTNAME_MISMATCH),
        ("not a name", Category.CERT_HOSTNAME_MISMATCH),
    ],
)
def test_a_certificate_is_for_its_names_only(
    judge: CertificateJudge, hostname: str, category: Category
) -> None:
    assert judge.judge(_session(SHOP.good), hostname).verdict is category


def test_names_outside_ascii_are_compared_in_ascii(tmp_path: Path) -> None:
    ca = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(ca.cert_pem.bytes())
    leaf = ca.issue_cert("bücher.example")
    chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)

    facts = CertificateJudge(load_trust_store(tmp_path / "ca.pem")).judge(
        _session_of_pem(chain), "bücher.example"
    )

    assert facts.verdict is Category.OK


def test_a_verdict_is_reached_once(
    judge: CertificateJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = judge.judge(_session(SHOP.good), "localhost")
    monkeypatch.setattr(judge, "_judge", None)

    assert judge.judge(_session(SHOP.good), "localhost") == first


def test_a_kept_verdict_still_counts_the_days(judge: CertificateJudge, clock: _Clock) -> None:
    before = judge.judge(_session(SHOP.good), "localhost").days_left
    clock.now += timedelta(days=1)

    assert judge.judge(_session(SHOP.good), "localhost").days_left == before - 1


@pytest.mark.parametrize(
    ("certificate", "moment", "judgements"),
    [
        ("good", NOW + MAX_CACHE_AGE - timedelta(seconds=1), 1),
        ("good", NOW + MAX_CACHE_AGE, 2),
        ("good", NOW - timedelta(days=400), 2),
        ("not_yet_valid", NOW + timedelta(days=1), 2),
    ],
)
def test_a_verdict_is_not_kept_for_longer_than_it_holds(
    ca_file: Path, clock: _Clock, certificate: str, moment: datetime, judgements: int
) -> None:
    judge = _CountingJudge(load_trust_store(ca_file), clock)
    session = _session(getattr(SHOP, certificate))
    judge.judge(session, "localhost")

    clock.now = moment
    judge.judge(session, "localhost")

    assert judge.judgements == judgements


def test_a_verdict_is_not_kept_beyond_the_expiry(ca_file: Path, clock: _Clock) -> None:
    judge = _CountingJudge(load_trust_store(ca_file), clock)
    session = _session(SHOP.expires_soon)
    expiry = datetime.fromisoformat(judge.judge(session, "localhost").not_after)
    clock.now = expiry - timedelta(minutes=10)
    judge.judge(session, "localhost")

    clock.now = expiry
    judge.judge(session, "localhost")

    assert judge.judgements == 3


def test_a_certificate_for_clients_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "pinned.pem").write_bytes(SHOP.for_clients.chain)
    judge = CertificateJudge(load_trust_store(tmp_path / "pinned.pem"))

    facts = judge.judge(_session(SHOP.for_clients), "localhost")

    assert (facts.verdict, facts.verify_code) == (Category.CERT_UNTRUSTED, 26)


def test_a_certificate_without_extensions_is_for_no_name(tmp_path: Path) -> None:
    bare = self_signed("localhost", with_extensions=False)
    (tmp_path / "bare.pem").write_bytes(bare.chain)

    facts = CertificateJudge(load_trust_store(tmp_path / "bare.pem")).judge(
        _session(bare), "localhost"
    )

    assert (facts.verdict, facts.names) == (Category.CERT_HOSTNAME_MISMATCH, ())


def test_the_cache_has_an_end(ca_file: Path) -> None:
    judge = CertificateJudge(load_trust_store(ca_file), max_cached=2)
    for host in ("a.example", "b.example", "c.example"):
        judge.judge(_session(SHOP.good), host)

    assert [host for _, host in judge._cache] == ["b.example", "c.example"]


def test_one_certificate_alone_can_be_trusted(tmp_path: Path) -> None:
    (tmp_path / "pinned.pem").write_bytes(SHOP.self_signed.chain)
    judge = CertificateJudge(load_trust_store(tmp_path / "pinned.pem"))

    assert judge.judge(_session(SHOP.self_signed), "localhost").verdict is Category.OK
    assert judge.judge(_session(SHOP.good), "localhost").verdict is Category.CERT_UNTRUSTED


@given(st.lists(st.binary(max_size=200), max_size=3), st.data())
def test_nothing_that_a_server_sends_raises(chain: list[bytes], data: st.DataObject) -> None:
    judge = CertificateJudge(crypto.X509Store())
    good = bytearray(_session(SHOP.good).chain[0])
    position = data.draw(st.integers(0, len(good) - 1))
    good[position] ^= data.draw(st.integers(1, 255))
    for sent in (tuple(chain), (bytes(good),), (bytes(good), *chain)):
        session = replace(_session(SHOP.good), chain=sent)
        assert judge.judge(session, "localhost").verdict is not Category.OK


def test_a_serial_number_that_no_certificate_may_have_is_judged_without_a_warning() -> None:
    good = _session(SHOP.good).chain[0]
    serial = x509.load_der_x509_certificate(good).serial_number
    written = serial.to_bytes(serial.bit_length() // 8 + 1)
    negative = good.replace(written, bytes([written[0] | 0x80]) + written[1:])
    assert negative != good

    facts = CertificateJudge(load_trust_store(None)).judge(
        replace(_session(SHOP.good), chain=(negative,)), "localhost"
    )

    assert facts.verdict is Category.CERT_UNTRUSTED


def test_the_systems_store_does_not_know_the_test_ca() -> None:
    judge = CertificateJudge(load_trust_store(None))

    assert judge.judge(_session(SHOP.good), "localhost").verdict is Category.CERT_UNTRUSTED


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_wrong_ca_file_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ValueError, match=r"CA file .*ca\.pem"):
        Prober.from_settings(ca_file=path, resolvers=("127.0.0.1",))
