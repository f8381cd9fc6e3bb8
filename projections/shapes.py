"""The documented JSON of monitors: pure functions from what a view holds.

The order of keys is the documented one (contract part B, 4 and 5), then our additions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from projections import customer_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.mail_config import Config, Kind
    from projections.reader import MonitorView

Shape = dict[str, Any]
Form = Literal["written", "read", "listed"]
"""`written` answers POST and PATCH, `read` answers GET one, `listed` is an item of a list."""

_HEAD: Final = ("id", "organizationId", "customerId", "name", "hostname", "port")
_TIMES: Final = ("lastCheckedAt", "createdAt", "updatedAt")
_OURS: Final = ("publicId", "allowedCheckCountryCodes")
_SMTP_SETTINGS: Final = ("status", "checkInterval", "timeoutSeconds")
_SMTP_CONTACTS: Final = ("notificationEmail", "notificationPhoneNumber")
_IMAP_SETTINGS: Final = ("checkInterval", "timeoutSeconds")
_IMAP_CONTACTS: Final = ("status", "notificationPhoneNumber", "notificationEmail")

KEYS: Final[Mapping[tuple[Kind, Form], tuple[str, ...]]] = {
    ("smtp", "written"): (
        *(*_HEAD, *_SMTP_SETTINGS, *_SMTP_CONTACTS, *_TIMES),
        *("config", "smtpConfig", *_OURS),
    ),
    ("smtp", "read"): (
        *(*_HEAD, *_SMTP_SETTINGS, "customerName", *_SMTP_CONTACTS, *_TIMES),
        *("config", "smtpConfig", *_OURS),
    ),
    ("smtp", "listed"): (
        *(*_HEAD, *_SMTP_SETTINGS, "customerName", *_SMTP_CONTACTS, *_TIMES),
        *("config", *_OURS),
    ),
    ("imap_pop", "written"): (
        *(*_HEAD, *_IMAP_SETTINGS, *_IMAP_CONTACTS, *_TIMES),
        *("config", "imapPopConfig", *_OURS),
    ),
    ("imap_pop", "read"): (
        *(*_HEAD, *_IMAP_SETTINGS, "config", "allowedCheckCountryCodes"),
        *(*_IMAP_CONTACTS, *_TIMES, "customer", "imapPopConfig", "publicId"),
    ),
    ("imap_pop", "listed"): (
        *(*_HEAD, *_IMAP_SETTINGS, "customerName", "config", *_IMAP_CONTACTS, *_TIMES),
        *_OURS,
    ),
}


def monitor_shape(view: MonitorView, form: Form, config: Config) -> Shape:
    """Return the documented shape of a monitor.

    `config` is what may be shown to the caller: masked, or with its secret in clear.
    """
    keys = KEYS[view.monitor["kind"], form]
    values = _values(view, config)
    if "customer" in keys:
        values["customer"] = customer_shapes.embedded(view.customer, view.organization)
    return {key: values[key] for key in keys}


def _values(view: MonitorView, config: Config) -> Shape:
    monitor = view.monitor
    return {
        "id": monitor["number"],
        "publicId": monitor["public_id"],
        "organizationId": view.organization["number"],
        "customerId": view.customer["number"],
        "customerName": view.customer["name"],
        "name": monitor["name"],
        "hostname": monitor["hostname"],
        "port": monitor["port"],
        "status": monitor["status"],
        "checkInterval": monitor["check_interval"],
        "timeoutSeconds": monitor["timeout_seconds"],
        "notificationEmail": monitor["notification_email"],
        "notificationPhoneNumber": monitor["notification_phone_number"],
        "allowedCheckCountryCodes": monitor["allowed_check_country_codes"],
        "lastCheckedAt": view.last_checked_at,
        "createdAt": monitor["created_at"],
        "updatedAt": monitor["updated_at"],
        "config": config,
        "smtpConfig": config,
        "imapPopConfig": config,
    }
