"""The bodies of POST and PATCH of a monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.http.errors import invalid
from api.http.fields import (
    COUNTRY_CODES,
    EMAIL,
    HOSTNAME,
    NAME,
    PHONE_NUMBER,
    Body,
    Field,
    Fields,
    add_defaults,
    parse_identifier,
    read_known,
)
from domain import values
from domain.config_secrets import mask_secrets
from domain.errors import InvalidInputError, Problem
from domain.kinds import KINDS
from domain.mail_config import check_credentials, parse_config
from domain.values import parse_country_codes, parse_hostname

if TYPE_CHECKING:
    from domain.kinds import Config, Kind
    from projections.readers.monitors import MonitorRecords


FIELDS: Final[Fields] = {
    "name": Field("name", values.parse_name, NAME, required=True),
    "hostname": Field(
        "hostname",
        parse_hostname,
        HOSTNAME,
        required=True,
    ),
    "port": Field(
        "port",
        values.parse_port,
        {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": values.MAX_PORT,
            "description": "null: the default of the protocol.",
        },
    ),
    "status": Field(
        "status",
        values.parse_status,
        {
            "type": "string",
            "enum": list(values.STATUSES),
            "description": "`paused` and `inactive` are stored and shown as `disabled`.",
        },
        default="active",
    ),
    "checkInterval": Field(
        "check_interval",
        values.parse_check_interval,
        {
            "type": "number",
            "minimum": values.MIN_INTERVAL_MINUTES,
            "maximum": values.MAX_INTERVAL_MINUTES,
            "description": "Minutes between two checks; 0.5 is every 30 seconds.",
        },
        default=values.DEFAULT_INTERVAL_MINUTES,
    ),
    "timeoutSeconds": Field(
        "timeout_seconds",
        values.parse_timeout_seconds,
        {
            "type": "number",
            "minimum": values.MIN_TIMEOUT_SECONDS,
            "maximum": values.MAX_TIMEOUT_SECONDS,
            "description": "Seconds that bound a whole check.",
        },
        default=values.DEFAULT_TIMEOUT_SECONDS,
    ),
    "notificationEmail": Field("notification_email", values.parse_email, EMAIL),
    "notificationPhoneNumber": Field(
        "notification_phone_number", values.parse_phone_number, PHONE_NUMBER
    ),
    "allowedCheckCountryCodes": Field(
        "allowed_check_country_codes", parse_country_codes, COUNTRY_CODES
    ),
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
    add_defaults(FIELDS, body, parsed, problems)
    parsed.setdefault("config", {})
    problems += _credential_problems(kind, parsed["config"])
    parsed["customer"] = _customer(body, problems)
    if problems:
        raise invalid(problems)
    return parsed


def parse_update(kind: Kind, body: Body, now: MonitorRecords) -> dict[str, Any]:
    """Return the changes that a PATCH asks for; absent is unchanged, null is cleared.

    `now` is the monitor before them: its customer and its config, sent back as an answer shows
    them, are accepted; another customer is refused. Raises InvalidInputError with every problem
    of the body.
    """
    problems: list[Problem] = []
    shown = mask_secrets(now.monitor["config"])
    changes = _parse_known(kind, body, problems, shown)
    same = (now.customer["number"], now.customer["public_id"])
    if "customerId" in body and _customer(body, problems) not in (None, *same):
        problems.append(Problem("customerId", "immutable", "cannot be changed"))
    if problems:
        raise invalid(problems)
    return changes


def touches_more_than_status(body: Body) -> bool:
    """Return whether a PATCH asks for anything that `readonly` may not change."""
    return not body.keys() <= {"status"}


def _parse_known(
    kind: Kind, body: Body, problems: list[Problem], shown: Config | None = None
) -> dict[str, Any]:
    config_keys = (KINDS[kind].config_key, "config")
    parsed = read_known(FIELDS, body, problems, also={*READ_ONLY, *config_keys, "customerId"})
    sent = [key for key in config_keys if key in body]
    if sent:
        parsed["config"] = _parse_config(kind, body, sent, shown, problems)
    return parsed


def _parse_config(
    kind: Kind, body: Body, sent: list[str], shown: Config | None, problems: list[Problem]
) -> Config:
    if len(sent) > 1 and body[sent[0]] != body[sent[1]]:
        problems.append(Problem("config", "contradiction", f"differs from {sent[0]}"))
    try:
        return parse_config(kind, body[sent[0]], shown)
    except InvalidInputError as error:
        problems += below(sent[0], error.problems)
        return {}


def _credential_problems(kind: Kind, config: dict[str, Any]) -> list[Problem]:
    """Return the problems of an incomplete login, to be reported with the others."""
    try:
        check_credentials(kind, config)
    except InvalidInputError as error:
        return below(KINDS[kind].config_key, error.problems)
    return []


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
