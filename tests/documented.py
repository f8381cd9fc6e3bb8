"""The five documents that the API is compatible with, as data: what they send and answer.

Key order counts. Two of them are the German editions of the pages; their bodies are the
same, and are kept apart because each page is a promise of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

ASSIGNED: Final = frozenset({"id", "organizationId", "customerId", "createdAt", "updatedAt"})
"""Keys whose values the service assigns: the documented ones show a form, not a value."""


@dataclass(frozen=True, slots=True)
class Document:
    """A page: the body under "Request Body", the body in its cURL line, and the response."""

    page: str
    method: str
    path: str
    body: Json
    curl: Json
    response: Json


_SMTP_BODY: Final[Json] = {
    "customerId": "11111111-1111-4111-8111-111111111111",
    "name": "Outbound SMTP",
    "hostname": "smtp.example.com",
    "port": 587,
    "status": "active",
    "checkInterval": 60,
    "timeoutSeconds": 30,
    "smtpConfig": {
        "secure": False,
        "ignoreTls": False,
        "requireTls": False,
        "auth": {"user": "username", "pass": "password"},
    },
}
_SMTP_RESPONSE: Final[Json] = {
    "id": 200,
    "organizationId": 1,
    "customerId": 10,
    "name": "Outbound SMTP",
    "hostname": "smtp.example.com",
    "port": 587,
    "status": "active",
    "checkInterval": 60,
    "timeoutSeconds": 30,
    "notificationEmail": None,
    "notificationPhoneNumber": None,
    "lastCheckedAt": None,
    "createdAt": "2026-01-01T12:00:00.000Z",
    "updatedAt": "2026-01-01T12:00:00.000Z",
    "config": {
        "secure": False,
        "ignoreTls": False,
        "requireTls": False,
        "auth": {"user": "username", "pass": "password"},
    },
    "smtpConfig": {
        "secure": False,
        "ignoreTls": False,
        "requireTls": False,
        "auth": {"user": "username", "pass": "password"},
    },
}
_IMAP_BODY: Final[Json] = {
    "customerId": "11111111-1111-4111-8111-111111111111",
    "name": "Mailbox Access",
    "hostname": "mail.example.com",
    "port": 993,
    "status": "active",
    "checkInterval": 30,
    "timeoutSeconds": 30,
    "imapPopConfig": {
        "protocol": "imap",
        "user": "monitor@example.com",
        "password": "password",
        "tls": True,
        "tlsOptions": {"rejectUnauthorized": True},
    },
}
_IMAP_CURL: Final[Json] = {
    "customerId": "11111111-1111-4111-8111-111111111111",
    "name": "Mailbox Access",
    "hostname": "mail.example.com",
    "port": 993,
    "status": "active",
    "checkInterval": 30,
    "timeoutSeconds": 30,
    "imapPopConfig": {
        "protocol": "imap",
        "user": "monitor@example.com",
        "password": "password",
        "tls": True,
    },
}
_IMAP_RESPONSE: Final[Json] = {
    "id": 500,
    "organizationId": 1,
    "customerId": 10,
    "name": "Mailbox Access",
    "hostname": "mail.example.com",
    "port": 993,
    "checkInterval": 30,
    "timeoutSeconds": 30,
    "status": "active",
    "notificationPhoneNumber": None,
    "notificationEmail": None,
    "lastCheckedAt": None,
    "createdAt": "2026-02-26T12:00:00.000Z",
    "updatedAt": "2026-02-26T12:00:00.000Z",
    "config": {
        "protocol": "imap",
        "user": "monitor@example.com",
        "password": "password",
        "tls": True,
    },
    "imapPopConfig": {
        "protocol": "imap",
        "user": "monitor@example.com",
        "password": "password",
        "tls": True,
    },
}
"""Answers the cURL line. The body above sends `tlsOptions` too, and gets them back."""

CREATE_SMTP_DE: Final = Document(
    page="https://docs.uptimeify.io/de/api/monitors/smtp-monitors/create-smtp-monitor",
    method="POST",
    path="/api/smtp-monitors",
    body=_SMTP_BODY,
    curl=_SMTP_BODY,
    response=_SMTP_RESPONSE,
)
CREATE_SMTP_EN: Final = Document(
    page="https://docs.uptimeify.io/api/monitors/smtp-monitors/create-smtp-monitor",
    method="POST",
    path="/api/smtp-monitors",
    body=_SMTP_BODY,
    curl=_SMTP_BODY,
    response=_SMTP_RESPONSE,
)
CREATE_IMAP_DE: Final = Document(
    page="https://docs.uptimeify.io/de/api/monitors/imap-pop-monitors/create-imap-pop-monitor",
    method="POST",
    path="/api/imap-pop-monitors",
    body=_IMAP_BODY,
    curl=_IMAP_CURL,
    response=_IMAP_RESPONSE,
)
CREATE_IMAP_EN: Final = Document(
    page="https://docs.uptimeify.io/api/monitors/imap-pop-monitors/create-imap-pop-monitor",
    method="POST",
    path="/api/imap-pop-monitors",
    body=_IMAP_BODY,
    curl=_IMAP_CURL,
    response=_IMAP_RESPONSE,
)
UPDATE_SMTP_DE: Final = Document(
    page="https://docs.uptimeify.io/de/api/monitors/smtp-monitors/update-smtp-monitor",
    method="PATCH",
    path="/api/smtp-monitors/:smtpMonitorPublicId",
    body={
        "name": "Outbound SMTP (Primary)",
        "hostname": "smtp.example.com",
        "port": 587,
        "status": "paused",
        "checkInterval": 60,
        "timeoutSeconds": 30,
        "allowedCheckCountryCodes": ["de", "us"],
        "smtpConfig": {
            "secure": False,
            "requireTls": True,
            "auth": {"user": "username", "pass": "password"},
        },
    },
    curl={"status": "disabled"},
    response={
        "id": 200,
        "organizationId": 1,
        "customerId": 10,
        "name": "Outbound SMTP (Primary)",
        "hostname": "smtp.example.com",
        "port": 587,
        "status": "disabled",
        "checkInterval": 60,
        "timeoutSeconds": 30,
        "notificationEmail": None,
        "notificationPhoneNumber": None,
        "lastCheckedAt": "2026-01-01T12:00:00.000Z",
        "createdAt": "2026-01-01T12:00:00.000Z",
        "updatedAt": "2026-01-01T12:01:00.000Z",
        "config": {
            "secure": False,
            "requireTls": True,
            "auth": {"user": "username", "pass": "password"},
        },
        "smtpConfig": {
            "secure": False,
            "requireTls": True,
            "auth": {"user": "username", "pass": "password"},
        },
    },
)

CREATES: Final = (CREATE_SMTP_DE, CREATE_SMTP_EN, CREATE_IMAP_DE, CREATE_IMAP_EN)
