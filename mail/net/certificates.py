"""Judges the certificate chain of a server as a mail client would, and keeps its facts.

OpenSSL judges the chain, because its answer and its error codes are what people see
elsewhere; `service-identity` judges the name (RFC 6125). Does no I/O.

Reads one certificate: what it says of itself, fit to be stored and shown.

A certificate is an attacker's text like any other: cut, cleaned, and allowed to be broken.

The roots that certificates are judged against: a CA file, the system's, or certifi's.

Read once per process: loading a system's store costs twenty times as much as a probe.
"""

from __future__ import annotations

import hashlib
import ssl
import warnings
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import certifi
import service_identity
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from domain.check import Category, TlsFacts
from mail.net.addresses import ascii_name, parse_literal
from mail.protocols.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mail.net.tls import TlsSession


MAX_NAMES = 50
MAX_NAME_CHARACTERS = 255

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)

_cleaner = Redactor()


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says of itself. `names` are its DNS names and addresses."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint_sha256: str
    is_for_servers: bool


def read_facts(certificate: x509.Certificate, der: bytes) -> CertificateFacts:
    """Return the facts of a certificate.

    Raises:
        ValueError: It breaks the rules of its own format.
    """
    return CertificateFacts(
        subject=_clean(certificate.subject.rfc4514_string()),
        issuer=_clean(certificate.issuer.rfc4514_string()),
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint_sha256=hashlib.sha256(der).hexdigest(),
        is_for_servers=_is_for_servers(certificate),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    extension = _extension(certificate, x509.SubjectAlternativeName)
    if extension is None:
        return ()
    names = [*extension.get_values_for_type(x509.DNSName)]
    names += map(str, extension.get_values_for_type(x509.IPAddress))
    return tuple(_clean(each) for each in names[:MAX_NAMES])


def _is_for_servers(certificate: x509.Certificate) -> bool:
    """Whether a certificate may be a TLS server's (RFC 5280 4.2.1.12)."""
    usage = _extension(certificate, x509.ExtendedKeyUsage)
    return (
        usage is None
        or ExtendedKeyUsageOID.SERVER_AUTH in usage
        or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage
    )


def _extension(certificate: x509.Certificate, kind: type[_Kind]) -> _Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _clean(text: str) -> str:
    return _cleaner.clean(text.encode("utf-8", "replace"))[:MAX_NAME_CHARACTERS]


MAX_CACHED_VERDICTS = 20_000
MAX_CACHE_AGE = timedelta(hours=1)

# X509_V_ERR_… of OpenSSL with a category of their own. 18 is a leaf that signed itself;
# every other error is a chain that leads to no trusted root.
_CATEGORIES = {
    9: Category.CERT_NOT_YET_VALID,
    10: Category.CERT_EXPIRED,
    18: Category.CERT_SELF_SIGNED,
}
_ERR_UNSPECIFIED = 1

# What reading a certificate raises when it breaks the rules of its own format, or is none.
_UNREADABLE = (
    ValueError,
    IndexError,
    UnsupportedAlgorithm,
    crypto.Error,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_ERR_INVALID_PURPOSE = 26
_ERR_HOSTNAME_MISMATCH = 62


@dataclass(frozen=True, slots=True)
class _Verdict:
    category: Category = Category.OK
    code: int = 0
    message: str = "ok"


@dataclass(frozen=True, slots=True)
class _Judged:
    """A judgement that holds from `since` to `until`."""

    facts: TlsFacts
    not_after: datetime | None
    since: datetime
    until: datetime


class CertificateJudge:
    """Judges chains against one trust store. `clock` gives the wall time in UTC, for the days.

    A judgement is kept for the same chain and host: only the days left are counted anew. It
    is kept for an hour at most, and never past a moment at which a certificate of the chain
    becomes valid or expires.
    """

    def __init__(
        self, store: crypto.X509Store, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._clock = clock
        self._cache: dict[tuple[bytes, str], _Judged] = {}

    def judge(self, session: TlsSession, hostname: str) -> TlsFacts:
        """Return the facts of a session, with the verdict on its certificate.

        Never raises for what a server can send.
        """
        now = self._clock()
        key = (_digest(session.chain), hostname)
        judged = self._cache.get(key)
        if judged is None or not judged.since <= now < judged.until:
            judged = self._judge(session.chain, hostname, now)
            self._keep(key, judged)
        return replace(
            judged.facts,
            version=session.version,
            cipher=session.cipher,
            days_left=(judged.not_after - now).days if judged.not_after else 0,
        )

    def _keep(self, key: tuple[bytes, str], judged: _Judged) -> None:
        self._cache.pop(key, None)
        while len(self._cache) >= MAX_CACHED_VERDICTS:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = judged

    def _judge(self, chain: Sequence[bytes], hostname: str, now: datetime) -> _Judged:
        try:
            certificates = _parse(chain)
            facts = read_facts(certificates[0], chain[0])
            verdict = (
                self._chain_verdict(certificates)
                or _purpose_verdict(facts)
                or _name_verdict(certificates[0], hostname)
                or _Verdict()
            )
        except _UNREADABLE as error:
            return _unreadable(error, now)
        moments = [each.not_valid_before_utc for each in certificates]
        moments += [each.not_valid_after_utc for each in certificates]
        until = min((each for each in moments if each > now), default=now)
        return _Judged(
            _tls_facts(facts, verdict), facts.not_after, now, min(until, now + MAX_CACHE_AGE)
        )

    def _chain_verdict(self, chain: list[x509.Certificate]) -> _Verdict | None:
        # OpenSSL takes the time of the system here. A store can be given another one, but
        # keeps the first that it is given for ever.
        leaf, *others = map(crypto.X509.from_cryptography, chain)
        try:
            crypto.X509StoreContext(self._store, leaf, others).verify_certificate()
        except crypto.X509StoreContextError as error:
            code, _depth, message = error.errors
            return _Verdict(_CATEGORIES.get(code, Category.CERT_UNTRUSTED), code, message)
        return None


def _parse(chain: Sequence[bytes]) -> list[x509.Certificate]:
    """Read a chain. Odd certificates are for OpenSSL to judge, not for warnings to the operator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return [x509.load_der_x509_certificate(each) for each in chain]


def _purpose_verdict(facts: CertificateFacts) -> _Verdict | None:
    if facts.is_for_servers:
        return None
    return _Verdict(Category.CERT_UNTRUSTED, _ERR_INVALID_PURPOSE, "not meant for TLS servers")


def _name_verdict(leaf: x509.Certificate, hostname: str) -> _Verdict | None:
    address = parse_literal(hostname)
    try:
        if address is not None:
            verify_certificate_ip_address(leaf, str(address))
        else:
            verify_certificate_hostname(leaf, ascii_name(hostname))
    except (service_identity.VerificationError, service_identity.CertificateError, ValueError):
        return _Verdict(
            Category.CERT_HOSTNAME_MISMATCH,
            _ERR_HOSTNAME_MISMATCH,
            f"not valid for {hostname}",
        )
    return None


def _tls_facts(facts: CertificateFacts, verdict: _Verdict) -> TlsFacts:
    return TlsFacts(
        version="",
        cipher="",
        subject=facts.subject,
        issuer=facts.issuer,
        names=facts.names,
        not_before=facts.not_before.isoformat(),
        not_after=facts.not_after.isoformat(),
        days_left=0,
        fingerprint_sha256=facts.fingerprint_sha256,
        verdict=verdict.category,
        verify_code=verdict.code,
        verify_message=verdict.message,
    )


def _unreadable(error: Exception, now: datetime) -> _Judged:
    """A server may send anything as its certificate; what cannot be read is not trusted."""
    facts = TlsFacts(
        version="",
        cipher="",
        subject="",
        issuer="",
        names=(),
        not_before="",
        not_after="",
        days_left=0,
        fingerprint_sha256="",
        verdict=Category.CERT_UNTRUSTED,
        verify_code=_ERR_UNSPECIFIED,
        verify_message=f"the certificate cannot be read ({type(error).__name__})",
    )
    return _Judged(facts, None, now, now + MAX_CACHE_AGE)


def _digest(chain: Sequence[bytes]) -> bytes:
    digest = hashlib.sha256()
    for each in chain:
        digest.update(len(each).to_bytes(4))
        digest.update(each)
    return digest.digest()


# Where distributions keep their bundle, should OpenSSL have been built elsewhere.
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def load_trust_store(ca_file: Path | None) -> crypto.X509Store:
    """Return the trust store from a PEM file, or the system's when there is none.

    A certificate in it is trusted whether it is a root or not, so an inner CA, or the one
    certificate of a server, can be listed alone.

    Raises:
        ValueError: The file cannot be read, or holds no certificate.
    """
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    chosen = ca_file or _system_bundle()
    try:
        store.load_locations(str(chosen))
    except crypto.Error:
        reason = "it holds no PEM certificate" if chosen.is_file() else "there is no such file"
        raise ValueError(f"CA file {chosen}: {reason}") from None
    return store


def _system_bundle() -> Path:
    candidates = (ssl.get_default_verify_paths().cafile, *_SYSTEM_BUNDLES)
    found = (Path(each) for each in candidates if each and Path(each).is_file())
    return next(found, Path(certifi.where()))
