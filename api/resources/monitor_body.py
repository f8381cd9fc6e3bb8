"""The bodies of POST and PATCH of a monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, create_model

from api.http.errors import invalid
from api.http.fields import (
    IDENTIFIER,
    Body,
    CountryCodes,
    Email,
    Hostname,
    Name,
    Parsed,
    PhoneNumber,
    RequestBody,
    Schema,
    change_of,
    parse_identifier,
)
from domain import values
from domain.config_secrets import mask_secrets
from domain.errors import InvalidInputError, InvalidValueError, Problem
from domain.kinds import KINDS
from domain.mail_config import check_credentials, parse_config
from domain.values import is_same

if TYPE_CHECKING:
    from domain.kinds import Config, Kind, MonitorKind
    from projections.readers.monitors import MonitorRecords


_NUMBER_OR_UUID: Final = "Invalid customer identifier: must be a number or a UUID"


def _customer(value: object) -> int | str:
    identifier = parse_identifier(value)
    if identifier is None:
        raise InvalidValueError("invalid", _NUMBER_OR_UUID)
    return identifier


class CreateMonitorBody(RequestBody):
    """The body of a POST of a monitor. Each kind has its own key for the config, besides."""

    READ_ONLY = frozenset(
        {
            "id",
            "publicId",
            "organizationId",
            "createdAt",
            "updatedAt",
            "lastCheckedAt",
            "customer",
            "customerName",
            "state",
            "stateSince",
            "lastError",
            "openIncidentId",
        }
    )

    customer_id: Annotated[
        int | str,
        Parsed(
            _customer,
            {
                "anyOf": list(IDENTIFIER),
                "description": "The customer: its number or its public id. It cannot be changed.",
                "examples": ["11111111-1111-4111-8111-111111111111"],
            },
        ),
    ]
    name: Name
    hostname: Hostname
    port: Annotated[
        int | None,
        Parsed(
            values.parse_port,
            {
                "type": ["integer", "null"],
                "minimum": 1,
                "maximum": values.MAX_PORT,
                "description": "null: the default of the protocol.",
            },
        ),
    ] = None
    status: Annotated[
        str,
        Parsed(
            values.parse_status,
            {
                "type": "string",
                "enum": list(values.STATUSES),
                "description": "`paused` and `inactive` are stored and shown as `disabled`.",
            },
        ),
    ] = "active"
    check_interval: Annotated[
        float,
        Parsed(
            values.parse_check_interval,
            {
                "type": "number",
                "minimum": values.MIN_INTERVAL_MINUTES,
                "maximum": values.MAX_INTERVAL_MINUTES,
                "description": "Minutes between two checks; 0.5 is every 30 seconds.",
            },
        ),
    ] = values.DEFAULT_INTERVAL_MINUTES
    timeout_seconds: Annotated[
        float,
        Parsed(
            values.parse_timeout_seconds,
            {
                "type": "number",
                "minimum": values.MIN_TIMEOUT_SECONDS,
                "maximum": values.MAX_TIMEOUT_SECONDS,
                "description": "Seconds that bound a whole check.",
            },
        ),
    ] = values.DEFAULT_TIMEOUT_SECONDS
    notification_email: Email = None
    notification_phone_number: PhoneNumber = None
    allowed_check_country_codes: CountryCodes = None
    config: Any = None


def _of_kind(base: type[RequestBody], kind: MonitorKind) -> type[RequestBody]:
    """Return a model that has the key of the kind's config, too."""
    own: dict[str, Any] = {"own_config": (Any, Field(default=None, alias=kind.config_key))}
    found = create_model(base.__name__, __base__=base, **own)
    found.READ_ONLY = base.READ_ONLY
    return found


CREATE_BODIES: Final = {name: _of_kind(CreateMonitorBody, kind) for name, kind in KINDS.items()}
UPDATE_BODIES: Final = {name: change_of(body) for name, body in CREATE_BODIES.items()}


def parse_create(kind: Kind, body: Body) -> dict[str, Any]:
    """Return the fields of a new monitor, with `customer_id` still an identifier.

    Raises InvalidInputError with every problem of the body.
    """
    problems: list[Problem] = []
    parsed = CREATE_BODIES[kind].read(body, problems)
    parsed.pop("own_config", None)
    parsed["config"] = _parse_config(kind, body, None, problems)
    problems += _credential_problems(kind, parsed["config"])
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
    changes = UPDATE_BODIES[kind].read(body, problems)
    if changes.keys() & {"config", "own_config"}:
        shown = mask_secrets(now.monitor["config"])
        changes["config"] = _parse_config(kind, body, shown, problems)
    changes.pop("own_config", None)
    same = (now.customer["number"], now.customer["public_id"])
    if changes.pop("customer_id", same[0]) not in same:
        problems.append(Problem("customerId", "immutable", "cannot be changed"))
    if problems:
        raise invalid(problems)
    return changes


def touches_more_than_status(body: Body) -> bool:
    """Return whether a PATCH asks for anything that `readonly` may not change."""
    return not body.keys() <= {"status"}


def _parse_config(kind: Kind, body: Body, shown: Config | None, problems: list[Problem]) -> Config:
    """Return the config of a body, under one of its two keys.

    Generated clients send the other key with null.
    """
    keys = (KINDS[kind].config_key, "config")
    sent = [key for key in keys if body.get(key) is not None] or [
        key for key in keys if key in body
    ]
    if not sent:
        return {}
    try:
        config = parse_config(kind, body[sent[0]], shown)
    except InvalidInputError as error:
        problems += below(sent[0], error.problems)
        config = {}
    else:
        # Now that one of them is known to be flat, the comparison does not go deep.
        if len(sent) > 1 and not is_same(body[sent[0]], body[sent[1]]):
            problems.append(Problem("config", "contradiction", f"differs from {sent[0]}"))
    return config


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


def body_schema(model: type[RequestBody], kind: MonitorKind, config: Schema) -> Schema:
    """Return the JSON Schema of a body of a kind, whose config is described by `config`."""
    found = model.schema_of_body()
    own = kind.config_key
    also = f"Another name of `{own}`; both must be the same, or one of them null."
    found["properties"] |= {own: config, "config": {**config, "description": also}}
    return found
