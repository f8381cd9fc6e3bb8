"""Answers as schemas: the keys of the documented shapes, in their order, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.fields import NUMBER, UUID
from api.openapi import configs
from api.openapi.vocabulary import COUNT, COUNTRY_CODES, STRING, TIME, closed, nullable, ref
from domain import values
from projections.shapes import monitor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.http.fields import Schema
    from domain.mail_config import Kind
    from projections.shapes.monitor import ShapeForm


_MONITOR: Final[Mapping[str, Schema]] = {
    "id": NUMBER,
    "organizationId": NUMBER,
    "customerId": NUMBER,
    "customerName": STRING,
    "customer": ref("MonitorCustomer"),
    "name": STRING,
    "hostname": STRING,
    "port": {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": values.MAX_PORT,
        "description": "null: the default of the protocol.",
    },
    "status": {"type": "string", "enum": ["active", "maintenance", "disabled"]},
    "checkInterval": {
        "type": "number",
        "minimum": values.MIN_INTERVAL_MINUTES,
        "maximum": values.MAX_INTERVAL_MINUTES,
        "description": "Minutes between two checks.",
    },
    "timeoutSeconds": {
        "type": "number",
        "minimum": values.MIN_TIMEOUT_SECONDS,
        "maximum": values.MAX_TIMEOUT_SECONDS,
        "description": "Seconds that bound a whole check.",
    },
    "notificationEmail": nullable(STRING),
    "notificationPhoneNumber": nullable(STRING),
    "lastCheckedAt": {**nullable(TIME), "description": "null before the first check."},
    "createdAt": TIME,
    "updatedAt": TIME,
    "publicId": UUID,
    "allowedCheckCountryCodes": COUNTRY_CODES,
}
_KIND_NAMES: Final[Mapping[Kind, str]] = {"smtp": "SmtpMonitor", "imap_pop": "ImapPopMonitor"}
_FORM_NAMES: Final[Mapping[ShapeForm, str]] = {"written": "Written", "read": "", "listed": "Item"}


def monitor_name(kind: Kind, form: ShapeForm) -> str:
    """Return the component's name of a monitor in one of its forms."""
    return _KIND_NAMES[kind] + _FORM_NAMES[form]


def list_name(kind: Kind) -> str:
    """Return the component's name of a page of monitors."""
    return _KIND_NAMES[kind] + "List"


def monitor_components() -> Schema:
    """Return every schema that the endpoints of monitors answer with."""
    found: Schema = {}
    for kind, name in configs.COMPONENTS.items():
        found[name] = configs.shown(kind)
    for (kind, form), keys in monitor.KEYS.items():
        found[monitor_name(kind, form)] = closed({key: _monitor_key(kind, key) for key in keys})
    for kind in configs.COMPONENTS:
        found[list_name(kind)] = page_of(monitor_name(kind, "listed"))
    return found


def page_of(item: str) -> Schema:
    """Return the envelope of a list with pages."""
    return closed(
        {
            "items": {"type": "array", "items": ref(item)},
            "total": {**COUNT, "description": "How many there are on all pages."},
            "page": NUMBER,
            "perPage": {**NUMBER, "maximum": 200},
        }
    )


def _monitor_key(kind: Kind, key: str) -> Schema:
    return _MONITOR.get(key) or ref(configs.COMPONENTS[kind])
