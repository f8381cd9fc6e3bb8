"""JSON Schemas that several bodies share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.fields import MAX_NUMBER
from domain.hostname import MAX_LENGTH
from domain.values import MAX_NAME_LENGTH

if TYPE_CHECKING:
    from api.fields import Schema

UUID: Final[Schema] = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
}
NUMBER: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER}
IDENTIFIER: Final = (NUMBER, UUID)
"""A thing is named by its number or by its public id."""

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
            "maxLength": MAX_LENGTH + 1,
            "pattern": "^([0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?\\.)*"
            "[0-9]*[A-Za-z-][0-9A-Za-z-]*\\.?$",
        },
        {"type": "string", "pattern": "^[0-9A-Fa-f:.]{2,45}$"},
        {
            "type": "string",
            "maxLength": MAX_LENGTH + 1,
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
