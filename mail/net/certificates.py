"""Judges the certificate chain of a server as a mail client would, and reads its facts.

OpenSSL judges the chain, because people know its answers and error codes from elsewhere;
`service-identity` judges the name (RFC 6125). The text of a certificate may come from an
attacker: it is cut and cleaned, and a certificate that breaks its own format is untrusted, not
an error. Only `load_trust_store` reads files.
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


# Where distributions keep their bundle, for an OpenSSL that was built on another system.
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def load_trust_store(ca_file: Path | None) -> crypto.X509Store:
    """Return the trust store from a PEM file, else the system's, else certifi's.

    Every certificate in it is trusted, also one that is no root: an intermediate CA, or the
    certificate of one server, can be listed alone. Loading a system's store costs as much as
    twenty probes, so a process loads it once.

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


MAX_CACHED_CHAINS = 20_000
MAX_CACHE_AGE = timedelta(hours=1)

# The errors of OpenSSL (X509_V_ERR_*) that have a category of their own. 18 is a leaf that
# signed itself. Every other error means that the chain leads to no trusted root.
_CATEGORIES = {
    9: Category.CERT_NOT_YET_VALID,
    10: Category.CERT_EXPIRED,
    18: Category.CERT_SELF_SIGNED,
}
_ERR_UNSPECIFIED = 1

# What the libraries raise for a certificate that breaks the rules of its own format.
_FORMAT_ERRORS = (
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
class _Verification:
    """The result of verifying a chain: the category, and OpenSSL's code and words."""

    category: Category = Category.OK
    code: int = 0
    message: str = "ok"


@dataclass(frozen=True, slots=True)
class _CachedFacts:
    """Facts and verdict of a chain, valid from `since` to `until`."""

    facts: TlsFacts
    not_after: datetime | None
    since: datetime
    until: datetime


class CertificateJudge:
    """Judges chains against one trust store. `clock` returns the wall time in UTC.

    The facts of a chain and a host are cached; only the days left are counted anew. An entry
    is valid for an hour, but not beyond the moment at which a certificate of the chain
    becomes valid or expires. The cache holds `max_cached` entries, the oldest goes first.
    """

    def __init__(
        self,
        store: crypto.X509Store,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        max_cached: int = MAX_CACHED_CHAINS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._max_cached = max_cached
        self._cache: dict[tuple[bytes, str], _CachedFacts] = {}

    def judge(self, session: TlsSession, hostname: str) -> TlsFacts:
        """Return the facts of a session, with the verdict on its certificate.

        Whatever a server sends is judged; nothing that it sends raises.
        """
        now = self._clock()
        key = (_digest(session.chain), hostname)
        cached = self._cache.get(key)
        if cached is None or not cached.since <= now < cached.until:
            cached = self._judge(session.chain, hostname, now)
            self._keep(key, cached)
        return replace(
            cached.facts,
            version=session.version,
            cipher=session.cipher,
            days_left=(cached.not_after - now).days if cached.not_after else 0,
        )

    def _keep(self, key: tuple[bytes, str], facts: _CachedFacts) -> None:
        self._cache.pop(key, None)
        while len(self._cache) >= self._max_cached:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = facts

    def _judge(self, chain: Sequence[bytes], hostname: str, now: datetime) -> _CachedFacts:
        try:
            certificates = _parse(chain)
            facts = read_facts(certificates[0], chain[0])
            verdict = (
                self._verify_chain(certificates)
                or _verify_purpose(facts)
                or _verify_name(certificates[0], hostname)
                or _Verification()
            )
        except _FORMAT_ERRORS as error:
            return _unreadable(error, now)
        moments = [each.not_valid_before_utc for each in certificates]
        moments += [each.not_valid_after_utc for each in certificates]
        until = min((each for each in moments if each > now), default=now)
        return _CachedFacts(
            _tls_facts(facts, verdict), facts.not_after, now, min(until, now + MAX_CACHE_AGE)
        )

    def _verify_chain(self, chain: list[x509.Certificate]) -> _Verification | None:
        # OpenSSL judges by the time of the system: a store that is given a time keeps it for
        # ever.
        leaf, *others = map(crypto.X509.from_cryptography, chain)
        try:
            crypto.X509StoreContext(self._store, leaf, others).verify_certificate()
        except crypto.X509StoreContextError as error:
            code, _depth, message = error.errors
            return _Verification(_CATEGORIES.get(code, Category.CERT_UNTRUSTED), code, message)
        return None


def _parse(chain: Sequence[bytes]) -> list[x509.Certificate]:
    """Read a chain, without cryptography's warnings: OpenSSL judges odd certificates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return [x509.load_der_x509_certificate(each) for each in chain]


def _verify_purpose(facts: CertificateFacts) -> _Verification | None:
    if facts.is_for_servers:
        return None
    return _Verification(Category.CERT_UNTRUSTED, _ERR_INVALID_PURPOSE, "not meant for TLS servers")


def _verify_name(leaf: x509.Certificate, hostname: str) -> _Verification | None:
    address = parse_literal(hostname)
    try:
        if address is not None:
            verify_certificate_ip_address(leaf, str(address))
        else:
            verify_certificate_hostname(leaf, ascii_name(hostname))
    except (service_identity.VerificationError, service_identity.CertificateError, ValueError):
        return _Verification(
            Category.CERT_HOSTNAME_MISMATCH,
            _ERR_HOSTNAME_MISMATCH,
            f"not valid for {hostname}",
        )
    return None


# What is known of a chain that cannot be read, and of no session.
_NO_FACTS = TlsFacts(
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
    verify_message="",
)


def _tls_facts(facts: CertificateFacts, verdict: _Verification) -> TlsFacts:
    """Return the facts of a chain; those of a session, and the days left, are added later."""
    return replace(
        _NO_FACTS,
        subject=facts.subject,
        issuer=facts.issuer,
        names=facts.names,
        not_before=facts.not_before.isoformat(),
        not_after=facts.not_after.isoformat(),
        fingerprint_sha256=facts.fingerprint_sha256,
        verdict=verdict.category,
        verify_code=verdict.code,
        verify_message=verdict.message,
    )


def _unreadable(error: Exception, now: datetime) -> _CachedFacts:
    """Return that a chain is untrusted because it cannot be read."""
    message = f"the certificate cannot be read ({type(error).__name__})"
    facts = replace(_NO_FACTS, verify_message=message)
    return _CachedFacts(facts, None, now, now + MAX_CACHE_AGE)


def _digest(chain: Sequence[bytes]) -> bytes:
    digest = hashlib.sha256()
    for each in chain:
        digest.update(len(each).to_bytes(4))
        digest.update(each)
    return digest.digest()
