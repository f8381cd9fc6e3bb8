"""The bodies of customers (contract part B, 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from api.errors import invalid
from api.fields import Body, Field, Fields, add_defaults, read_known
from api.schemas import COUNTRY_CODES, EMAIL, NAME, PHONE_NUMBER
from domain import values
from domain.countries import parse_country_codes
from domain.errors import InvalidValueError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

STATUSES: Final = ("active", "inactive", "marked_for_cancellation")
MAX_CUSTOM_FIELDS_BYTES: Final = 16 * 1024
MAX_THRESHOLD: Final = 100


def _choice(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise InvalidValueError("invalid", f"must be one of {', '.join(choices)}")
        return value

    return parse


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValueError("type", "must be true or false")
    return value


def _threshold(value: object) -> int:
    if type(value) is not int:
        raise InvalidValueError("type", "must be a whole number")
    if not 1 <= value <= MAX_THRESHOLD:
        raise InvalidValueError("range", f"must be from 1 to {MAX_THRESHOLD}")
    return value


def _custom_fields(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidValueError("type", "must be an object or null")
    if len(orjson.dumps(value)) > MAX_CUSTOM_FIELDS_BYTES:
        raise InvalidValueError(
            "too_large", f"must have at most {MAX_CUSTOM_FIELDS_BYTES} bytes as JSON"
        )
    return value


def _package_type(value: object) -> str | None:
    return None if value is None else values.parse_name(value)


FIELDS: Final[Fields] = {
    "name": Field("name", values.parse_name, NAME, required=True),
    "email": Field("email", values.parse_email, EMAIL),
    "packageType": Field(
        "package_type",
        _package_type,
        {
            **NAME,
            "type": ["string", "null"],
            "description": "A name of your own; nothing depends on it.",
        },
    ),
    "status": Field(
        "status",
        _choice(*STATUSES),
        {
            "type": "string",
            "enum": list(STATUSES),
            "description": "For people; monitors are paused one by one.",
        },
        default="active",
    ),
    "notificationEmail": Field("notification_email", values.parse_email, EMAIL),
    "notificationPhoneNumber": Field(
        "notification_phone_number", values.parse_phone_number, PHONE_NUMBER
    ),
    "monthlyReportsEnabled": Field(
        "monthly_reports_enabled", _boolean, {"type": "boolean"}, default=True
    ),
    "customFields": Field(
        "custom_fields",
        _custom_fields,
        {"type": ["object", "null"], "description": "Anything; at most 16 KiB as JSON."},
    ),
    "allowedCheckCountryCodes": Field(
        "allowed_check_country_codes", parse_country_codes, COUNTRY_CODES
    ),
    "alertLocationThresholdCount": Field(
        "alert_location_threshold_count",
        _threshold,
        {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_THRESHOLD,
            "description": "From how many locations a server must fail before it counts.",
        },
        default=1,
    ),
}
READ_ONLY: Final = frozenset(
    {
        "id",
        "publicId",
        "organizationId",
        "packageId",
        "packageDisplayName",
        "cancellationDate",
        "cancelledAt",
        "notificationChannels",
        "notificationTargets",
        "notificationRules",
        "smsUsageCurrentMonth",
        "createdAt",
        "updatedAt",
    }
)
"""Keys of responses: accepted and ignored, so that a client may send back what it got."""


def parse_create(body: Body) -> dict[str, Any]:
    """Return the fields of a new customer. Raises InvalidInputError with every problem."""
    problems: list[Problem] = []
    parsed = read_known(FIELDS, body, problems, also=READ_ONLY)
    add_defaults(FIELDS, body, parsed, problems)
    if problems:
        raise invalid(problems)
    return parsed


def parse_update(body: Body) -> dict[str, Any]:
    """Return the changes that a PATCH asks for. Raises InvalidInputError."""
    problems: list[Problem] = []
    changes = read_known(FIELDS, body, problems, also=READ_ONLY)
    if problems:
        raise invalid(problems)
    return changes
