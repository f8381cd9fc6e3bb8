"""What is said of a chain: which certificate is at fault, and which expires first."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from OpenSSL import crypto

from domain.check import Category
from mail.net import errors
from mail.net.certificates import CertificateJudge, duration_words
from mail.net.tls import TlsSession, probing_context
from tests.mail.fault_cases import SHOP

if TYPE_CHECKING:
    from domain.check import TlsFacts


NOW = datetime.now(UTC)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
HOST = "mail.example"


@dataclass(frozen=True)
class _Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def _issue(
    name: str,
    issuer: _Issued | None = None,
    *,
    left: timedelta = 300 * _DAY,
    rsa_bits: int | None = None,
    digest: str | None = None,
    with_names: bool = True,
) -> _Issued:
    key = (
        rsa.generate_private_key(65537, rsa_bits)
        if rsa_bits
        else ec.generate_private_key(ec.SECP256R1())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 400 * _DAY)
        .not_valid_after(NOW + left)
        .add_extension(x509.BasicConstraints(ca=name != HOST, path_length=None), critical=True)
    )
    if name == HOST and with_names:
        names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
        builder = builder.add_extension(names, critical=False)
    signing_key = issuer.key if issuer else key
    signed = builder.sign(signing_key, hashes.SHA256())
    if digest is not None:
        # `cryptography` signs with no weak digest any more.
        again = crypto.X509.from_cryptography(signed)
        with pytest.warns(DeprecationWarning, match="X509.sign"):
            again.sign(crypto.PKey.from_cryptography_key(signing_key), digest)
        signed = again.to_cryptography()
    return _Issued(signed, key)


def _judge(root: _Issued, *sent: _Issued) -> TlsFacts:
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.add_cert(crypto.X509.from_cryptography(root.certificate))
    chain = tuple(each.certificate.public_bytes(serialization.Encoding.DER) for each in sent)
    judge = CertificateJudge(store, lambda: NOW)
    return judge.judge(TlsSession("TLSv1.3", "AES", chain), HOST)


ROOT = _issue("Root", left=3000 * _DAY)


def test_the_certificate_that_expires_first_is_named() -> None:
    middle = _issue("Soon", ROOT, left=3 * _DAY)

    end = _judge(ROOT, _issue(HOST, middle), middle).chain_end

    assert end is not None
    assert (end.name, duration_words(end.seconds_left + 1)) == ("CN=Soon", "3 days")


def test_a_certificate_that_is_sent_and_not_used_does_not_count() -> None:
    unused = _issue("Unused", ROOT, left=3 * _DAY)

    end = _judge(ROOT, _issue(HOST, ROOT), unused).chain_end

    assert end is not None
    assert end.name == ""


def test_an_expired_intermediate_is_named() -> None:
    middle = _issue("Old", ROOT, left=-2.5 * _HOUR)
    ended = middle.certificate.not_valid_after_utc

    facts = _judge(ROOT, _issue(HOST, middle), middle)

    assert facts.verdict is Category.CERT_EXPIRED
    assert (
        facts.verify_message == f"the intermediate CN=Old expired on {ended:%Y-%m-%d}, 2 hours ago"
    )


def test_a_missing_intermediate_is_named() -> None:
    facts = _judge(ROOT, _issue(HOST, _issue("Middle", ROOT)))

    assert facts.verdict is Category.CERT_UNTRUSTED
    assert facts.verify_message == (
        "the server sends only its own certificate; that of CN=Middle is missing"
    )


@pytest.mark.parametrize("sends_root", [True, False])
def test_an_untrusted_root_is_named(*, sends_root: bool) -> None:
    private = _issue("Private Root")
    middle = _issue("Middle", private)
    sent = (_issue(HOST, middle), middle, private)

    facts = _judge(ROOT, *(sent if sends_root else sent[:2]))

    assert facts.verdict is Category.CERT_UNTRUSTED
    assert facts.verify_message == "the chain ends at CN=Private Root, which is not trusted here"


def test_a_certificate_without_names_says_so() -> None:
    facts = _judge(ROOT, _issue(HOST, ROOT, with_names=False))

    assert facts.verdict is Category.CERT_HOSTNAME_MISMATCH
    assert (
        facts.verify_message == "the certificate has no subjectAltName, so it is valid for no name"
    )


def test_a_short_key_is_weak() -> None:
    facts = _judge(ROOT, _issue(HOST, ROOT, rsa_bits=1024))

    assert (facts.verdict, facts.verify_code) == (Category.CERT_WEAK, 66)
    assert facts.verify_message == "the certificate has a key of only 1024 bits"


def test_a_short_key_of_an_issuer_is_weak() -> None:
    middle = _issue("Short", ROOT, rsa_bits=1024)

    facts = _judge(ROOT, _issue(HOST, middle), middle)

    assert (facts.verdict, facts.verify_code) == (Category.CERT_WEAK, 67)
    assert facts.verify_message == "the certificate CN=Short has a key of only 1024 bits"


def test_a_good_rsa_key_is_not_weak() -> None:
    assert _judge(ROOT, _issue(HOST, ROOT, rsa_bits=2048)).verdict is Category.OK


def test_a_signature_with_sha1_is_weak() -> None:
    middle = _issue("Middle", ROOT, digest="sha1")

    facts = _judge(ROOT, _issue(HOST, middle), middle)

    assert (facts.verdict, facts.verify_code) == (Category.CERT_WEAK, 68)
    assert facts.verify_message == "the certificate CN=Middle is signed with SHA1"


def test_the_signature_of_a_root_does_not_matter() -> None:
    root = _issue("Old Root", digest="sha1")

    assert _judge(root, _issue(HOST, root), root).verdict is Category.OK


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3 * 86_400, "3 days"),
        (2 * 86_400, "2 days"),
        (2 * 86_400 - 1, "47 hours"),
        (3_600, "1 hour"),
        (3_599, "less than an hour"),
    ],
)
def test_below_two_days_hours_are_counted(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLError:
    """Return the error that the client sees, in the handshake or at its first read."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for number in range(5):
        try:
            if number == 4:
                near.read(1)
            else:
                (far if number % 2 else near).do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            if number % 2 == 0:
                return error
    raise AssertionError("the client sees no error")


@pytest.mark.parametrize(
    ("version", "fault", "words"),
    [
        ("TLSv1_3", "client", "the server wants a certificate of the client"),
        ("TLSv1_2", "client", "it wants a certificate of the client, or has no cipher in common"),
        ("TLSv1_2", "cipher", "it wants a certificate of the client, or has no cipher in common"),
    ],
)
def test_a_failed_handshake_is_explained(version: str, fault: str, words: str) -> None:
    server = SHOP.good.context()
    server.maximum_version = server.minimum_version = ssl.TLSVersion[version]
    if fault == "client":
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(cadata=SHOP.ca_pem.decode())
    else:
        server.set_ciphers("ECDHE-RSA-AES128-SHA256")

    failure = errors.from_network(_shake_hands(server, probing_context()))

    assert failure is not None
    assert failure.category is Category.TLS_HANDSHAKE_FAILED
    assert words in failure.message
