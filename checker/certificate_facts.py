"""Reads one certificate: what it says of itself, fit to be stored and shown.

A certificate is an attacker's text like any other: cut, cleaned, and allowed to be broken.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from checker.redaction import Redactor

if TYPE_CHECKING:
    from datetime import datetime

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
