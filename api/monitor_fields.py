"""The body of create and PATCH as one table: key, field of the domain, check.

camelCase ends here. Every wrong field is found in one pass, and no value is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from api.errors import invalid
from domain import values
from domain.countries import parse_country_codes
from domain.errors import InvalidInputError, InvalidValueError, Problem
from domain.hostname import parse_hostname
from domain.mail_config import parse_config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.mail_config import Kind

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A documented key of a body. `default` holds when a create leaves the key out."""

    name: str
    parse: Callable[[object], object]
    required: bool = False
    default: object = None


FIELDS: Final[Mapping[str, Field]] = {
    "name": Field("name", values.parse_name, required=True),
    "hostname": Field("hostname", parse_hostname, required=True),
    "port": Field("port", values.parse_port),
    "status": Field("status", values.parse_status, default="active"),
    "checkInterval": Field(
        "check_interval", values.parse_check_interval, default=values.DEFAULT_INTERVAL_MINUTES
    ),
    "timeoutSeconds": Field(
        "timeout_seconds", values.parse_timeout_seconds, default=values.DEFAULT_TIMEOUT_SECONDS
    ),
    "notificationEmail": Field("notification_email", values.parse_email),
    "notificationPhoneNumber": Field("notification_phone_number", values.parse_phone_number),
    "allowedCheckCountryCodes": Field("allowed_check_country_codes", parse_country_codes),
}
CONFIG_KEYS: Final[Mapping[Kind, tuple[str, str]]] = {
    "smtp": ("smtpConfig", "config"),
    "imap_pop": ("imapPopConfig", "config"),
}
READ_ONLY: Final = frozenset(
    {
        "id",
        "publicId",
        "organizationId",
        "createdAt",
        "updatedAt",
        "lastCheckedAt",
        "customer",
        "customerName",
    }
)
"""Keys of responses: accepted and ignored, so that a client may send back what it got."""


def parse_create(kind: Kind, body: Body) -> dict[str, Any]:
    """Return the fields of a new monitor, with `customer` still an identifier.

    Raises InvalidInputError with every problem of the body.
    """
    problems: list[Problem] = []
    parsed = _parse_known(kind, body, problems)
    for key, field in FIELDS.items():
        if key not in body:
            if field.required:
                problems.append(Problem(key, "required", "is required"))
            parsed[field.name] = field.default
    parsed.setdefault("config", {})
    parsed["customer"] = _customer(body, problems)
    if problems:
        raise invalid(problems)
    return parsed


def parse_update(kind: Kind, body: Body, customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes that a PATCH asks for; absent is unchanged, null is cleared.

    `customer` is the monitor's own: sent back it is ignored, another one is refused.
    Raises InvalidInputError with every problem of the body.
    """
    problems: list[Problem] = []
    changes = _parse_known(kind, body, problems)
    same = (customer["number"], customer["public_id"])
    if "customerId" in body and _customer(body, problems) not in (None, *same):
        problems.append(Problem("customerId", "immutable", "cannot be changed"))
    if problems:
        raise invalid(problems)
    return changes


def touches_more_than_status(body: Body) -> bool:
    """Return whether a PATCH asks for anything that `readonly` may not change."""
    return not body.keys() <= {"status"}


def _parse_known(kind: Kind, body: Body, problems: list[Problem]) -> dict[str, Any]:
    config_keys = CONFIG_KEYS[kind]
    parsed: dict[str, Any] = {}
    for key, value in body.items():
        if key in FIELDS:
            try:
                parsed[FIELDS[key].name] = FIELDS[key].parse(value)
            except InvalidValueError as error:
                problems.append(Problem(key, error.code, error.message))
        elif key not in READ_ONLY and key not in config_keys and key != "customerId":
            problems.append(Problem(key, "unknown", "is not a known field"))
    sent = [key for key in config_keys if key in body]
    if sent:
        parsed["config"] = _parse_config(kind, body, sent, problems)
    return parsed


def _parse_config(
    kind: Kind, body: Body, sent: list[str], problems: list[Problem]
) -> dict[str, Any]:
    if len(sent) > 1 and body[sent[0]] != body[sent[1]]:
        problems.append(Problem("config", "contradiction", f"differs from {sent[0]}"))
    try:
        return parse_config(kind, body[sent[0]])
    except InvalidInputError as error:
        problems += below(sent[0], error.problems)
        return {}


def below(key: str, problems: tuple[Problem, ...]) -> list[Problem]:
    """Return problems of a config with the path from the top of the body."""
    return [
        Problem(f"{key}.{each.path}" if each.path else key, each.code, each.message)
        for each in problems
    ]


def _customer(body: Body, problems: list[Problem]) -> int | str | None:
    if "customerId" not in body:
        problems.append(Problem("customerId", "required", "is required"))
        return None
    identifier = parse_identifier(body["customerId"])
    if identifier is None:
        message = "Invalid customer identifier: must be a number or a UUID"
        problems.append(Problem("customerId", "invalid", message))
    return identifier


def parse_identifier(value: object) -> int | str | None:
    """Return a numeric id, or a UUID in its normal form; None for anything else."""
    if type(value) is int and value > 0:
        return value
    return parse_uuid(value) if isinstance(value, str) else None


def parse_uuid(text: str) -> str | None:
    """Return a UUID in its normal form; None for anything but the 36 character form."""
    try:
        normal = str(UUID(text))
    except ValueError:
        return None
    return normal if normal == text.lower() else None
