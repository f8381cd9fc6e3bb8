"""The fields of a body: a pydantic model for each body, and the types that its fields have.

One model for each body, beside its resource, serves twice: it reads the body, finds every problem
in one pass and repeats no value; `/openapi.json` describes the body with it. The parsers of values
are those of the domain, so codes and sentences of errors are ours. Names in camelCase are used up
to here, not in the domain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator  # noqa: TC003 - pydantic reads annotations
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, core_schema
from typing_extensions import override

from domain import values
from domain.errors import InvalidValueError, Problem
from domain.suggestions import unknown_name
from domain.values import MAX_HOSTNAME_LENGTH, MAX_NAME_LENGTH

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler


Body = dict[str, Any]
Schema = dict[str, Any]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IGNORED: Final[Schema] = {
    "description": "Ignored: accepted so that a client may send back what it got."
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """Annotates a field with the parser of its value, and with what the value may be.

    `parse` raises InvalidValueError; `schema` documents what it accepts, with unit and meaning.
    """

    parse: Callable[[Any], object]
    schema: Schema

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(
        self, _core_schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> Schema:
        return dict(self.schema)

    def _validate(self, value: object) -> object:
        try:
            return self.parse(value)
        except InvalidValueError as error:
            raise _problem(error) from None


MAX_COMPARED: Final = 50
"""How many unknown fields of a body are compared with the known ones, which takes time."""


class RequestBody(BaseModel):
    """Base of the models of bodies. A field without a default is required."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, hide_input_in_errors=True, validate_default=False
    )

    READ_ONLY: ClassVar[frozenset[str]] = frozenset()
    """Keys of answers: accepted and ignored, so that a client may send back what it got."""

    @classmethod
    def read(cls, body: Body, problems: list[Problem]) -> dict[str, Any]:
        """Return the fields of a body by their names; of a change only those that it holds.

        Every problem is added to `problems`; then the fields are not to be used.
        """
        try:
            found = cls.model_validate({k: v for k, v in body.items() if k not in cls.READ_ONLY})
        except ValidationError as error:
            problems += cls._problems(error)
            return {}
        return {name: getattr(found, name) for name in cls._names(found)}

    @classmethod
    def _names(cls, _found: RequestBody) -> Iterable[str]:
        return cls.model_fields

    @classmethod
    def schema_of_body(cls) -> Schema:
        """Return the JSON Schema of the body."""
        found = cls.model_json_schema()
        properties = {
            key: {word: value for word, value in each.items() if word != "title"}
            for key, each in found["properties"].items()
        }
        for each in properties.values():
            if each.get("default", 0) is None:
                del each["default"]
        properties |= dict.fromkeys(sorted(cls.READ_ONLY), _IGNORED)
        needed = {"required": found["required"]} if found.get("required") else {}
        return {
            "type": "object",
            "properties": properties,
            **needed,
            "additionalProperties": False,
        }

    @classmethod
    def _problems(cls, error: ValidationError) -> Iterator[Problem]:
        """Yield what is wrong, in our words. No problem holds the value."""
        known = [field.alias or name for name, field in cls.model_fields.items()]
        compared = 0
        for each in error.errors(include_url=False, include_context=False, include_input=False):
            path = ".".join(map(str, each["loc"]))
            match each["type"]:
                case "missing":
                    yield Problem(path, "required", "is required")
                case "extra_forbidden":
                    compared += 1
                    alike = known if compared <= MAX_COMPARED else ()
                    yield Problem(path, "unknown", unknown_name(path, alike, "field"))
                case code:
                    yield Problem(path, code, each["msg"])


class ChangingBody(RequestBody):
    """Base of the models of PATCH bodies: absent is unchanged, null clears."""

    @classmethod
    @override
    def _names(cls, found: RequestBody) -> Iterable[str]:
        return found.model_fields_set


def change_of(model: type[RequestBody], *without: str) -> type[ChangingBody]:
    """Return the model of a PATCH: the fields of a create, none of which is required.

    `without` are fields that cannot be changed.
    """
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if name not in without:
            field = copy(info)
            field.default = None
            fields[name] = (info.annotation, field)
    found = create_model(
        model.__name__.replace("Create", "Update"), __base__=ChangingBody, **fields
    )
    found.READ_ONLY = model.READ_ONLY
    return found


def _problem(error: InvalidValueError) -> PydanticCustomError:
    return PydanticCustomError(error.code, error.message)


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


def choice(*choices: str) -> Callable[[object], str]:
    """Return the parser of a field that holds one of some words."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise InvalidValueError("invalid", f"must be one of {', '.join(choices)}")
        return value

    return parse


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValueError("type", "must be true or false")
    return value


def _identifier(value: object) -> int | str | None:
    if value is None:
        return None
    found = parse_identifier(value)
    if found is None:
        raise InvalidValueError("type", "must be a number, a UUID or null")
    return found


ID_OR_NULL: Final[Schema] = {
    "type": ["integer", "string", "null"],
    "description": "A number or a `publicId`.",
}

Switch = Annotated[bool, Parsed(_boolean, {"type": "boolean"})]
IdentifierOrNull = Annotated[int | str | None, Parsed(_identifier, ID_OR_NULL)]
Name = Annotated[str, Parsed(values.parse_name, NAME)]
Hostname = Annotated[str, Parsed(values.parse_hostname, HOSTNAME)]
Email = Annotated[str | None, Parsed(values.parse_email, EMAIL)]
PhoneNumber = Annotated[str | None, Parsed(values.parse_phone_number, PHONE_NUMBER)]
CountryCodes = Annotated[list[str] | None, Parsed(values.parse_country_codes, COUNTRY_CODES)]
