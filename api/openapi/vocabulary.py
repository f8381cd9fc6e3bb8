"""The words that every part of the document uses: references and small schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.http.fields import NUMBER, UUID

if TYPE_CHECKING:
    from api.http.fields import Schema


_EXAMPLE_UUID: Final = "11111111-1111-4111-8111-111111111111"

STRING: Final[Schema] = {"type": "string"}
COUNTRY_CODES: Final[Schema] = {
    "type": ["array", "null"],
    "items": {"type": "string", "pattern": "^[A-Z]{2}$"},
    "description": "ISO 3166-1 alpha-2; null: every location.",
}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
TIME: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "description": "ISO 8601, UTC, milliseconds.",
    "examples": ["2026-01-01T12:00:00.000Z"],
}
ALWAYS_NULL: Final[Schema] = {"type": ["string", "null"], "description": "Always null here."}
SUCCESS: Final[Schema] = {"success": {"type": "boolean", "description": "Always true."}}


def ref(name: str, section: str = "schemas") -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{section}/{name}"}


def nullable_ref(name: str) -> Schema:
    """Return a reference to an object that may be null."""
    return {"anyOf": [ref(name), {"type": "null"}]}


def identifier(what: str) -> Schema:
    """Return the schema of a number or a UUID."""
    return {
        "anyOf": [NUMBER, UUID],
        "description": f"{what}: its number or its public id.",
        "examples": [_EXAMPLE_UUID],
    }


def identifier_in_text(what: str) -> Schema:
    """Return the same where it is part of a URL: numbers have at most 18 digits there."""
    return {**identifier(what), "anyOf": [{**NUMBER, "maximum": 10**18 - 1}, UUID]}


def described(schema: Schema, description: str, **more: Any) -> Schema:  # noqa: ANN401 - any JSON
    """Return a schema with another description, and more keywords."""
    return {**schema, "description": description, **more}


def nullable(schema: Schema) -> Schema:
    """Return a schema that takes null too."""
    return {**schema, "type": [schema["type"], "null"]}


def closed(properties: Schema, *, optional: frozenset[str] = frozenset()) -> Schema:
    """Return an object with these keys, in this order, and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [key for key in properties if key not in optional],
        "additionalProperties": False,
    }
