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
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from domain.check import Category, ChainEnd, TlsFacts
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


SECONDS_PER_DAY = 86_400
_SECONDS_PER_HOUR = 3_600
_MIN_KEY_BITS = 2048

MAX_NAMES = 50
MAX_NAME_CHARACTERS = 255

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)

_cleaner = Redactor()


def duration_words(seconds: float) -> str:
    """Return a time in whole days, below two days in whole hours."""
    if seconds >= 2 * SECONDS_PER_DAY:
        return f"{int(seconds // SECONDS_PER_DAY)} days"
    hours = int(seconds // _SECONDS_PER_HOUR)
    if hours == 0:
        return "less than an hour"
    return "1 hour" if hours == 1 else f"{hours} hours"


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
_ERR_LEAF_KEY_TOO_SMALL = 66
_ERR_CA_KEY_TOO_SMALL = 67
_ERR_SIGNATURE_TOO_WEAK = 68
# The issuer of a certificate is not at hand, or is at hand and not trusted.
_ERR_NO_ISSUER = frozenset({2, 20, 21})
_ERR_UNTRUSTED_ROOT = 19


@dataclass(frozen=True, slots=True)
class _Verification:
    """The result of verifying a chain: the category, and OpenSSL's code and words."""

    category: Category = Category.OK
    code: int = 0
    message: str = "ok"
    expired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _CachedFacts:
    """Facts and verdict of a chain, valid from `since` to `until`.

    `ending` is the certificate of the verified chain that expires first; `expired_at` is when
    the certificate at fault expired.
    """

    facts: TlsFacts
    not_after: datetime | None
    since: datetime
    until: datetime
    ending: x509.Certificate | None = None
    ending_name: str = ""
    expired_at: datetime | None = None


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
            days_left=_whole_days(cached.not_after - now) if cached.not_after else 0,
            verify_message=_verify_message(cached, now),
            chain_end=_chain_end(cached, now),
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
            verified, fault = self._verify_chain(certificates)
            verdict = (
                fault
                or _verify_strength(verified)
                or _verify_purpose(facts)
                or _verify_name(certificates[0], hostname)
                or _Verification()
            )
        except _FORMAT_ERRORS as error:
            return _unreadable(error, now)
        # A chain that is not verified may become so when one that was sent becomes valid.
        lasting = verified or certificates
        moments = [each.not_valid_before_utc for each in lasting]
        moments += [each.not_valid_after_utc for each in lasting]
        until = min((each for each in moments if each > now), default=now)
        ending = min(verified, key=lambda each: each.not_valid_after_utc, default=None)
        return _CachedFacts(
            _tls_facts(facts, verdict),
            facts.not_after,
            now,
            min(until, now + MAX_CACHE_AGE),
            ending,
            "" if ending is None or ending == certificates[0] else _subject(ending),
            verdict.expired_at,
        )

    def _verify_chain(
        self, chain: list[x509.Certificate]
    ) -> tuple[list[x509.Certificate], _Verification | None]:
        """Return the verified chain, leaf first, or no certificate and what is wrong."""
        # OpenSSL judges by the time of the system: a store that is given a time keeps it for
        # ever.
        leaf, *others = map(crypto.X509.from_cryptography, chain)
        try:
            verified = crypto.X509StoreContext(self._store, leaf, others).get_verified_chain()
        except crypto.X509StoreContextError as error:
            return [], _chain_fault(error, chain)
        return _from_openssl(*verified), None


def _from_openssl(*certificates: crypto.X509) -> list[x509.Certificate]:
    return _parse([crypto.dump_certificate(crypto.FILETYPE_ASN1, each) for each in certificates])


def _chain_fault(
    error: crypto.X509StoreContextError, sent: list[x509.Certificate]
) -> _Verification:
    """Return what OpenSSL found, in a sentence that names the certificate at fault."""
    code, depth, message = error.errors
    (at_fault,) = _from_openssl(error.certificate)
    category = _CATEGORIES.get(code, Category.CERT_UNTRUSTED)
    which = "the certificate" if depth == 0 else f"the intermediate {_subject(at_fault)}"
    if at_fault.subject == at_fault.issuer and depth > 0:
        which = f"the root {_subject(at_fault)}"
    if category is Category.CERT_EXPIRED:
        expired_at = at_fault.not_valid_after_utc
        return _Verification(
            category, code, f"{which} expired on {expired_at:%Y-%m-%d}", expired_at
        )
    if category is Category.CERT_NOT_YET_VALID:
        message = f"{which} is not valid before {at_fault.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    elif category is Category.CERT_SELF_SIGNED:
        message = "the certificate is signed by itself and is not trusted here"
    elif code in _ERR_NO_ISSUER or code == _ERR_UNTRUSTED_ROOT:
        issuer = _clean(at_fault.issuer.rfc4514_string())
        message = f"the chain ends at {issuer}, which is not trusted here"
        if len(sent) == 1:
            message = f"the server sends only its own certificate; that of {issuer} is missing"
    return _Verification(category, code, message)


def _subject(certificate: x509.Certificate) -> str:
    return _clean(certificate.subject.rfc4514_string())


def _verify_strength(verified: list[x509.Certificate]) -> _Verification | None:
    """Refuse what OpenSSL refuses at its security level 2: short keys, SHA-1 and MD5.

    The last certificate is trusted by itself, whatever its signature.
    """
    for depth, each in enumerate(verified):
        key = each.public_key()
        which = "the certificate" if depth == 0 else f"the certificate {_subject(each)}"
        if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey) and key.key_size < _MIN_KEY_BITS:
            code = _ERR_CA_KEY_TOO_SMALL if depth else _ERR_LEAF_KEY_TOO_SMALL
            message = f"{which} has a key of only {key.key_size} bits"
            return _Verification(Category.CERT_WEAK, code, message)
        used = each.signature_hash_algorithm
        if depth < len(verified) - 1 and isinstance(used, hashes.SHA1 | hashes.MD5):
            message = f"{which} is signed with {used.name.upper()}"
            return _Verification(Category.CERT_WEAK, _ERR_SIGNATURE_TOO_WEAK, message)
    return None


def _whole_days(left: timedelta) -> int:
    return int(left.total_seconds() / SECONDS_PER_DAY)


def _verify_message(cached: _CachedFacts, now: datetime) -> str:
    message = cached.facts.verify_message
    if cached.expired_at is None:
        return message
    return f"{message}, {duration_words((now - cached.expired_at).total_seconds())} ago"


def _chain_end(cached: _CachedFacts, now: datetime) -> ChainEnd | None:
    if cached.ending is None:
        return None
    not_after = cached.ending.not_valid_after_utc
    return ChainEnd(
        cached.ending_name,
        cached.ending.not_valid_before_utc,
        not_after,
        (not_after - now).total_seconds(),
    )


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
    if _extension(leaf, x509.SubjectAlternativeName) is None:
        message = "the certificate has no subjectAltName, so it is valid for no name"
        return _Verification(Category.CERT_HOSTNAME_MISMATCH, _ERR_HOSTNAME_MISMATCH, message)
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
