"""Answers as schemas: the keys of the documented shapes, in their order, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.fields import NUMBER, UUID
from api.openapi import configs, names
from api.openapi.vocabulary import (
    COUNT,
    COUNTRY_CODES,
    STRING,
    TIME,
    closed,
    nullable,
    nullable_ref,
    ref,
)
from domain import values
from domain.check import Category, Phase
from domain.kinds import KINDS
from domain.monitor_state import STATES
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


_ERROR: Final = {
    "category": {"type": "string", "enum": [each.value for each in Category if each != "ok"]},
    "phase": {"type": ["string", "null"], "enum": [*(each.value for each in Phase), None]},
    "message": STRING,
    "serverReply": {**nullable(STRING), "description": "The server's own words."},
    "locationCode": STRING,
    "firstSeenAt": {**TIME, "description": "The end of the first check with this very error."},
}
STATE_SCHEMAS: Final[Schema] = {
    "state": {"type": "string", "enum": list(STATES)},
    "stateSince": {
        **nullable(TIME),
        "description": "null while not known.",
    },
    "lastError": {
        **nullable_ref("LastError"),
        "description": "The newest failing check, while one fails; else null.",
    },
    "openIncidentId": {
        "type": ["string", "null"],
        "format": "uuid",
        "description": "The incident that is open: the downtime, if there is one.",
    },
}
"""The keys that say what is known now."""


def monitor_components() -> Schema:
    """Return every schema that the endpoints of monitors answer with."""
    found: Schema = {"LastError": closed(_ERROR)}
    for kind in KINDS.values():
        found[names.config(kind)] = configs.shown(kind)
    for (name, form), keys in monitor.KEYS.items():
        kind = KINDS[name]
        config = ref(names.config(kind))
        schemas = {**MONITOR_SCHEMAS, "config": config, kind.config_key: config}
        shape = {key: schemas[key] for key in keys}
        if form != "written":
            # The past (`asOf`) does not say them.
            shape |= STATE_SCHEMAS
        found[names.monitor(kind, form)] = closed(shape, optional=frozenset(STATE_SCHEMAS))
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
