"""Checks: the outcome of a probe, and the events that record a check and its archiving.

The names of verdicts, phases, categories and warnings are stored in `CheckPerformed` events,
so a name that was used once keeps its meaning for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import DomainEvent
from eventsourcing.utils import register_topic

from domain.actor import Actor  # noqa: TC001 - part of the stored event's definition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:check-log")


def check_log_id(monitor_id: UUID, location: str) -> UUID:
    """Return the id of the check log of a monitor at a location."""
    return uuid5(_NAMESPACE, f"{monitor_id}/{location}")


@dataclass(frozen=True)
class CheckPerformed(DomainEvent):
    """A mail server was contacted and judged.

    `due_at` and `started_at` are ISO 8601 UTC: when the check should and did begin.
    `outcome` is `Outcome.as_json()`: verdict, category, phase, message, timings in
    milliseconds, TLS facts, warnings. `monitor_version` says which version of the
    monitor's configuration was checked.
    """

    TOPIC = "CheckPerformed"

    monitor_id: str
    monitor_version: int
    kind: str
    location: str
    due_at: str
    started_at: str
    outcome: dict[str, Any]
    actor: Actor


register_topic(CheckPerformed.TOPIC, CheckPerformed)


class Verdict(StrEnum):
    """Whether a mail client could have used the server."""

    UP = "up"
    DOWN = "down"


class Phase(StrEnum):
    """The step of a probe in which something happened, in the order of the steps."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    GREETING = "greeting"
    EHLO = "ehlo"
    CAPABILITY = "capability"
    STARTTLS = "starttls"
    AUTH = "auth"
    SERVICE = "service"
    MAILBOX = "mailbox"
    QUIT = "quit"


class Category(StrEnum):
    """Why a server is down, or `ok`. Stable strings, made to be counted and filtered."""

    OK = "ok"
    TIMEOUT = "timeout"
    DNS_NXDOMAIN = "dns_nxdomain"
    DNS_NO_ADDRESS = "dns_no_address"
    DNS_SERVFAIL = "dns_servfail"
    DNS_TIMEOUT = "dns_timeout"
    ADDRESS_BLOCKED = "address_blocked"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_UNREACHABLE = "connect_unreachable"
    CONNECTION_CLOSED = "connection_closed"
    CONNECTION_RESET = "connection_reset"
    LINE_TOO_LONG = "line_too_long"
    TOO_MANY_LINES = "too_many_lines"
    RESPONSE_TOO_LARGE = "response_too_large"
    NOT_SMTP = "not_smtp"
    NOT_IMAP = "not_imap"
    NOT_POP3 = "not_pop3"
    NOT_MANAGESIEVE = "not_managesieve"
    CODE_CHANGED = "code_changed"
    GREETING_TEMPORARY = "greeting_temporary"
    GREETING_REJECTED = "greeting_rejected"
    EHLO_REJECTED = "ehlo_rejected"
    EHLO_TEMPORARY = "ehlo_temporary"
    SERVICE_UNAVAILABLE = "service_unavailable"
    TLS_CLOSED = "tls_closed"
    TLS_NOT_TLS = "tls_not_tls"
    TLS_VERSION_UNSUPPORTED = "tls_version_unsupported"
    TLS_HANDSHAKE_FAILED = "tls_handshake_failed"
    CERT_EXPIRED = "cert_expired"
    CERT_NOT_YET_VALID = "cert_not_yet_valid"
    CERT_HOSTNAME_MISMATCH = "cert_hostname_mismatch"
    CERT_UNTRUSTED = "cert_untrusted"
    CERT_SELF_SIGNED = "cert_self_signed"
    CERT_WEAK = "cert_weak"
    STARTTLS_UNAVAILABLE = "starttls_unavailable"
    STARTTLS_REJECTED = "starttls_rejected"
    STARTTLS_INJECTION = "starttls_injection"
    AUTH_UNAVAILABLE = "auth_unavailable"
    AUTH_FAILED = "auth_failed"
    AUTH_TEMPORARY = "auth_temporary"
    AUTH_REQUIRES_TLS = "auth_requires_tls"
    AUTH_DISABLED = "auth_disabled"
    AUTH_SERVER_UNPROVEN = "auth_server_unproven"
    RATE_LIMITED = "rate_limited"
    MAILBOX_UNAVAILABLE = "mailbox_unavailable"
    PROTOCOL_ERROR = "protocol_error"
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 - a category, not a secret
    CONFIG_INVALID = "config_invalid"


@dataclass(frozen=True, slots=True)
class Finding:
    """A warning: something notable that is not a failure, such as `cert_expires_soon`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """What a check learned about the logins of a server.

    `offered` are the names of the ways to log in that the server offers, `used` is the last
    one that was tried, None when none was; `refused` are those that the server refused
    before it could judge the password. `secret_was_sent` says that it could judge it.
    `is_known_refusal` is false when the words of a refusal could mean anything.
    `min_interval_seconds` is the time that the server wants between two logins (LOGIN-DELAY,
    RFC 2449 6.5).
    """

    offered: tuple[str, ...] = ()
    used: str | None = None
    refused: tuple[str, ...] = ()
    secret_was_sent: bool = False
    is_known_refusal: bool = True
    min_interval_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """The certificate of a verified chain that expires first: its name and its times.

    `name` is empty for the certificate of the server itself.
    """

    name: str
    not_before: datetime
    not_after: datetime
    seconds_left: float


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the TLS handshake and the certificate say, also when the certificate is bad.

    Times are ISO 8601 UTC. `verdict` is `ok` or the certificate category that applies;
    `verify_code` is OpenSSL's own number (X509_V_ERR_*), 0 when the chain is good. `chain_end`
    is known of a verified chain only, and is not stored.
    """

    version: str
    cipher: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: str
    not_after: str
    days_left: int
    fingerprint_sha256: str
    verdict: Category
    verify_code: int
    verify_message: str
    chain_end: ChainEnd | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one probe. A failed probe is a value, never an exception.

    `phase` is the step that failed, None when the server is up. `message` is for
    people. `server_reply` holds the server's own words at the failure: cut, control
    characters removed, credentials removed. `timings_ms` maps phases that took place
    (and `total`) to milliseconds. `login` is None when no login was wanted.
    """

    verdict: Verdict
    category: Category
    phase: Phase | None
    message: str
    timings_ms: Mapping[str, float]
    address: str | None = None
    port: int | None = None
    server_reply: str | None = None
    tls: TlsFacts | None = None
    warnings: tuple[Finding, ...] = field(default=())
    login: LoginFacts | None = None

    @property
    def is_up(self) -> bool:
        """Whether the server can be used."""
        return self.verdict is Verdict.UP

    def as_json(self) -> dict[str, Any]:
        """Return JSON-native values only: the form that is stored and printed."""
        found: dict[str, Any] = {
            "verdict": self.verdict.value,
            "category": self.category.value,
            "phase": self.phase.value if self.phase else None,
            "message": self.message,
            "server_reply": self.server_reply,
            "address": self.address,
            "port": self.port,
            "timings": dict(self.timings_ms),
            "tls": _tls_json(self.tls),
            "warnings": [{"code": each.code, "message": each.message} for each in self.warnings],
        }
        if self.login is not None:
            found["login"] = {"offered": list(self.login.offered), "used": self.login.used}
        return found


def _tls_json(facts: TlsFacts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    return {
        "version": facts.version,
        "cipher": facts.cipher,
        "subject": facts.subject,
        "issuer": facts.issuer,
        "names": list(facts.names),
        "not_before": facts.not_before,
        "not_after": facts.not_after,
        "days_left": facts.days_left,
        "fingerprint_sha256": facts.fingerprint_sha256,
        "verdict": facts.verdict.value,
        "verify_code": facts.verify_code,
        "verify_message": facts.verify_message,
    }


ARCHIVE_ID: Final = uuid5(NAMESPACE_URL, "urn:postwatch:check-archive")
"""The stream of these events, in the `monitoring` log: one event for each segment."""


@dataclass(frozen=True)
class ChecksArchived(DomainEvent):
    """The events of the `checks` log between two positions were copied to an archive segment.

    They may be deleted from the log from then on. `digest` is SHA-256, in hexadecimal, over the
    concatenated leaves of the events (docs/proof.md): it does not depend on the compression.
    """

    TOPIC = "ChecksArchived"

    first_position: int
    last_position: int
    count: int
    digest: str
    actor: Actor


register_topic(ChecksArchived.TOPIC, ChecksArchived)
