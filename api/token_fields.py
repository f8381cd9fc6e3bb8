"""The body that issues a token (contract part B, 6.1 and 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.errors import invalid
from api.fields import Body, Field, Fields, add_defaults, parse_identifier, read_known
from api.schemas import IDENTIFIER, NAME
from domain import values
from domain.errors import InvalidValueError, Problem

if TYPE_CHECKING:
    from api.permissions import Principal
    from domain.roles import Role

MAX_DAYS: Final = 365
RANKS: Final[tuple[Role, ...]] = ("readonly", "user", "admin")
"""The roles that the API gives out, from the least to the most."""


def _days(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise InvalidValueError("type", "must be a whole number of days or null")
    if not 1 <= value <= MAX_DAYS:
        raise InvalidValueError("range", f"must be from 1 to {MAX_DAYS} days")
    return value


def _role(value: object) -> str:
    if not isinstance(value, str) or value not in RANKS:
        raise InvalidValueError("invalid", f"must be one of {', '.join(RANKS)}")
    return value


def _customer(value: object) -> int | str | None:
    identifier = None if value is None else parse_identifier(value)
    if value is not None and identifier is None:
        raise InvalidValueError("invalid", "Invalid customer ID: must be a number or a UUID")
    return identifier


FIELDS: Final[Fields] = {
    "name": Field("name", values.parse_name, NAME, required=True),
    "expiresInDays": Field(
        "days",
        _days,
        {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": MAX_DAYS,
            "description": "Days until the token expires; null: never.",
        },
    ),
    "customerId": Field(
        "customer",
        _customer,
        {
            "anyOf": [*IDENTIFIER, {"type": "null"}],
            "description": "Number or UUID: the token is for this customer only.",
        },
    ),
    "role": Field(
        "role",
        _role,
        {
            "type": "string",
            "enum": list(RANKS),
            "description": "Never above the caller's own.",
        },
        default="user",
    ),
}


def is_above(role: Role, own: Role) -> bool:
    """Return whether a role may more than one's own; a global supporter's always does."""
    return role not in RANKS or RANKS.index(role) > RANKS.index(own)


def parse_create(body: Body, principal: Principal, *, needs_customer: bool) -> dict[str, Any]:
    """Return the fields of a new token, with `customer` still an identifier or None.

    With `needs_customer` a caller of one customer means that one. Raises
    InvalidInputError with every problem of the body.
    """
    problems: list[Problem] = []
    fields = read_known(FIELDS, body, problems)
    add_defaults(FIELDS, body, fields, problems)
    role = fields.get("role")
    if role and is_above(role, principal.role):
        problems.append(Problem("role", "forbidden", "must not be above the caller's own"))
    if needs_customer and fields.get("customer", 0) is None:
        fields["customer"] = principal.customer_id
        if principal.customer_id is None:
            problems.append(Problem("customerId", "required", "customerId is required"))
    if problems:
        raise invalid(problems)
    return fields
