"""JSON Schemas that several bodies share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from api.fields import Schema

EMAIL: Final[Schema] = {
    "type": ["string", "null"],
    "format": "email",
    "description": "null clears it.",
}
PHONE_NUMBER: Final[Schema] = {
    "type": ["string", "null"],
    "description": "With or without separators; null clears it.",
    "examples": ["+49 170 1234567"],
}
COUNTRY_CODES: Final[Schema] = {
    "type": ["array", "null"],
    "items": {"type": "string", "minLength": 2, "maxLength": 2},
    "description": "ISO 3166-1 alpha-2; upper-cased, repeats dropped, an empty list is null.",
    "examples": [["DE", "US"]],
}
