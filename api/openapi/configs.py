"""The config objects as schemas: what is sent and what comes back.

Keys and descriptions are those of the domain's table of kinds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from api.openapi.vocabulary import described
from domain.kinds import Choice, Flag, ServerName, Text
from domain.mail_config import MAX_BYTES, MAX_DEPTH
from domain.values import MAX_HOSTNAME_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.http.fields import Schema
    from domain.kinds import ConfigField, ConfigFields, MonitorKind


_BOOLEAN: Final[Schema] = {
    "anyOf": [
        {"type": ["boolean", "null"]},
        {"enum": [0, 1]},
        {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"},
    ]
}
_TEXT: Final[Schema] = {"type": ["string", "null"], "pattern": "^[^\\r\\n\\u0000]*$"}
_NAME: Final[Schema] = {
    "type": ["string", "null"],
    "maxLength": MAX_HOSTNAME_LENGTH + 1,
    "pattern": "^[^\\s/?#@:\\[\\]\\\\]+$",
    "examples": ["mx1.example.com"],
}


def _choice(*values: str) -> Schema:
    """Return the schema of words that are read in any case, and stored as given here."""
    in_any_case = "|".join("".join(map(_any_case, value)) for value in values)
    return {
        "anyOf": [
            {"type": ["string", "null"], "enum": [*values, None]},
            {"type": "string", "pattern": f"^({in_any_case})$"},
        ],
    }


def _any_case(char: str) -> str:
    return f"[{char.upper()}{char.lower()}]" if char.isalpha() else re.escape(char)


def sent(kind: MonitorKind) -> Schema:
    """Return what a body may hold."""
    return {
        **_object(kind.config, _leaf),
        "description": f"At most {MAX_BYTES} bytes of JSON and {MAX_DEPTH} levels. Unknown keys "
        "are stored and returned as sent, unless they look like a known one: those are refused. A "
        "key that is called like a secret (`token`, `apiKey`) is stored and shown like a password. "
        "On an update it replaces the stored config as a whole.",
    }


def shown(kind: MonitorKind) -> Schema:
    """Return what an answer holds: as `sent`, with known keys in their normal form."""
    shape = _object(kind.config, lambda field: _normal(_leaf(field)))
    return {**shape, "description": "As it was sent; secrets masked."}


def _object(fields: ConfigFields, leaf: Callable[[ConfigField], Schema]) -> Schema:
    """Return the object that a table of fields describes."""
    properties: Schema = {}
    for key, field in fields.items():
        if isinstance(field, Mapping):
            properties[key] = {**_object(field, leaf), "type": ["object", "null"]}
        else:
            properties[key] = leaf(field)
    return {"type": "object", "properties": properties, "additionalProperties": True}


def _leaf(field: ConfigField) -> Schema:
    match field:
        case Flag():
            return described(_BOOLEAN, field.description)
        case Choice():
            return described(_choice(*field.words), field.description)
        case Text():
            return described(_TEXT, field.description, maxLength=field.max_length)
        case ServerName():
            return described(_NAME, field.description)


def _normal(leaf: Schema) -> Schema:
    """Return the schema of a stored value: the first form of several that may be sent."""
    if "anyOf" not in leaf:
        return {key: value for key, value in leaf.items() if key != "description"}
    first: Schema = leaf["anyOf"][0]
    return first
