"""Bodies as schemas, from the tables that read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.openapi import names
from api.openapi.vocabulary import identifier, ref
from api.resources import monitor_body

if TYPE_CHECKING:
    from collections.abc import Collection

    from api.http.fields import Fields, Schema
    from domain.kinds import MonitorKind


_IGNORED: Final[Schema] = {
    "description": "Ignored: accepted so that a client may send back what it got."
}


def create_body(fields: Fields, *, required: Collection[str] = (), **others: Schema) -> Schema:
    """Return the body of a create: `others` first, then the fields with their defaults."""
    properties = dict(others)
    for key, field in fields.items():
        default = {} if field.default is None else {"default": field.default}
        properties[key] = {**field.schema, **default}
    needed = [*required, *(key for key, field in fields.items() if field.required)]
    return _body(properties, needed)


def update_body(fields: Fields, **others: Schema) -> Schema:
    """Return the body of a PATCH: nothing is required, and nothing has a default."""
    properties = {
        key: {word: value for word, value in field.schema.items() if word != "default"}
        for key, field in fields.items()
    }
    return _body({**properties, **others}, [])


def create_monitor(kind: MonitorKind) -> Schema:
    """Return the body that creates a monitor."""
    customer = identifier("The customer")
    return create_body(
        monitor_body.FIELDS,
        required=["customerId"],
        customerId=customer,
        **_configs(kind),
        **ignored(monitor_body.READ_ONLY),
    )


def update_monitor(kind: MonitorKind) -> Schema:
    """Return the body that changes a monitor."""
    return update_body(
        monitor_body.FIELDS,
        customerId=identifier("The monitor's own customer"),
        **_configs(kind),
        **ignored(monitor_body.READ_ONLY),
    )


def ignored(keys: Collection[str]) -> Schema:
    """Return properties that a body may hold and that are ignored."""
    return dict.fromkeys(sorted(keys), _IGNORED)


def _configs(kind: MonitorKind) -> Schema:
    own = kind.config_key
    config = {"anyOf": [ref(names.sent_config(kind)), {"type": "null"}]}
    return {
        own: config,
        "config": {**config, "description": f"Another name of `{own}`; both must be the same."},
    }


def _body(properties: Schema, required: Collection[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        **({"required": list(required)} if required else {}),
        "additionalProperties": False,
    }
