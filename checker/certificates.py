"""Judges the certificate chain of a server as a mail client would, and keeps its facts.

OpenSSL judges the chain, because its answer and its error codes are what people see
elsewhere; `service-identity` judges the name (RFC 6125). Does no I/O.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import service_identity
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from OpenSSL import crypto
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)

from checker.addresses import ascii_name, parse_literal
from checker.certificate_facts import CertificateFacts, read_facts
from domain.outcome import Category, TlsFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from checker.tls import TlsSession

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
