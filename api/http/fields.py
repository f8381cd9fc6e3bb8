"""The fields of a body as a table: key, name in the domain, parser, and JSON Schema.

One table for each body serves twice. `read_known` reads the body with it, finds every problem
in one pass and repeats no value; `/openapi.json` describes the body with it. Names in camelCase
are used up to here, not in the domain. Schemas that several bodies share follow below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from domain.errors import InvalidValueError, Problem
from domain.values import MAX_HOSTNAME_LENGTH, MAX_NAME_LENGTH

if TYPE_CHECKING:
    from collections.abc import Collection


Body = dict[str, Any]
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A documented key of a body. A create without the key takes `default`.

    `parse` raises InvalidValueError; `schema` documents what it accepts, with unit and meaning.
    """

    name: str
    parse: Callable[[object], object]
    schema: Schema = field(default_factory=dict)
    required: bool = False
    default: object = None


Fields = Mapping[str, Field]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_known(
    fields: Fields, body: Body, problems: list[Problem], *, also: Collection[str] = ()
) -> dict[str, Any]:
    """Return the fields of a body by their names in the domain.

    Keys in `also` are accepted and left out; any other unknown key is a problem.
    """
    parsed: dict[str, Any] = {}
    for key, value in body.items():
        if key in fields:
            try:
                parsed[fields[key].name] = fields[key].parse(value)
            except InvalidValueError as error:
                problems.append(Problem(key, error.code, error.message))
        elif key not in also:
            problems.append(Problem(key, "unknown", "is not a known field"))
    return parsed


def add_defaults(
    fields: Fields, body: Body, parsed: dict[str, Any], problems: list[Problem]
) -> None:
    """Complete the fields of a create; a missing required one is a problem."""
    for key, each in fields.items():
        if key not in body:
            if each.required:
                problems.append(Problem(key, "required", "is required"))
            parsed[each.name] = each.default


def parse_identifier(value: object) -> int | str | None:
    """Return a numeric id, or a UUID in its normal form; None for anything else."""
    if type(value) is int:
        return value if 0 < value <= MAX_NUMBER else None
    return parse_uuid(value) if isinstance(value, str) else None


def parse_uuid(text: str) -> str | None:
    """Return a UUID in its normal form; None for anything but the 36 character form."""
    normal = text.lower()
    return normal if _UUID.fullmatch(normal) else None


MAX_NUMBER = 2**63 - 1
"""The largest numeric id that a store can hold."""


UUID: Final[Schema] = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
}
NUMBER: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER}
IDENTIFIER: Final = (NUMBER, UUID)
"""The schemas of an identifier: a number or a public id."""

NAME: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_NAME_LENGTH,
    "pattern": "\\S",
    "description": "Printable characters; blanks at both ends are dropped.",
}
HOSTNAME: Final[Schema] = {
    "anyOf": [
        {
            "type": "string",
            "maxLength": MAX_HOSTNAME_LENGTH + 1,
            "pattern": "^([0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?\\.)*"
            "[0-9]*[A-Za-z-][0-9A-Za-z-]*\\.?$",
        },
        {"type": "string", "pattern": "^[0-9A-Fa-f:.]{2,45}$"},
        {
            "type": "string",
            "maxLength": MAX_HOSTNAME_LENGTH + 1,
            "pattern": "^[0-9A-Za-z.-]*([^\\u0000-\\u007f][0-9A-Za-z.-]*)+$",
        },
    ],
    "description": "A hostname (also an internationalized one) or an IP address; no protocol, "
    "path, port, user or blank. Lower-cased, one trailing dot dropped.",
    "examples": ["mail.example.com"],
}
EMAIL: Final[Schema] = {
    "type": ["string", "null"],
    "pattern": "^[^@\\s]{1,64}@[^@\\s]{1,253}$",
    "description": "An email address; null clears it.",
    "examples": ["ops@example.com"],
}
PHONE_NUMBER: Final[Schema] = {
    "type": ["string", "null"],
    "pattern": "^\\+?[0-9][0-9 ()/.-]{2,31}$",
    "description": "With or without separators; null clears it.",
    "examples": ["+49 170 1234567"],
}
COUNTRY_CODES: Final[Schema] = {
    "type": ["array", "null"],
    "items": {"type": "string", "pattern": "^ *[A-Za-z]{2} *$"},
    "description": "ISO 3166-1 alpha-2; upper-cased, repeats dropped, an empty list is null.",
    "examples": [["DE", "US"]],
}
