"""Answers as schemas: the keys of the documented shapes, in their order, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.fields import NUMBER, UUID
from api.openapi import configs, names
from api.openapi.vocabulary import COUNT, COUNTRY_CODES, STRING, TIME, closed, nullable, ref
from domain import values
from domain.kinds import KINDS
from projections.shapes import monitor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.http.fields import Schema


MONITOR_SCHEMAS: Final[Mapping[str, Schema]] = {
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


def monitor_components() -> Schema:
    """Return every schema that the endpoints of monitors answer with."""
    found: Schema = {}
    for kind in KINDS.values():
        found[names.config(kind)] = configs.shown(kind)
    for (name, form), keys in monitor.KEYS.items():
        kind = KINDS[name]
        config = ref(names.config(kind))
        schemas = {**MONITOR_SCHEMAS, "config": config, kind.config_key: config}
        shape = {key: schemas[key] for key in keys}
        found[names.monitor(kind, form)] = closed(shape)
    for kind in KINDS.values():
        found[names.page(kind)] = page_of(names.monitor(kind, "listed"))
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
