"""Notification channels: the ways by which people and machines hear of incidents (contract D-5).

The stored config of a channel holds its secrets sealed with a data key of the channel. Deleting
the channel destroys that key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from domain.channel_types import CHANNEL_TYPES, require_complete, secret_keys
from domain.errors import InvalidInputError, InvalidValueError, Problem
from domain.fields import FieldSpec, FieldSpecs
from domain.resource import Fields, Resource

if TYPE_CHECKING:
    from collections.abc import Callable


MAX_CHANNELS: Final = 500
"""The most channels of an organization."""

MAX_PRIORITY: Final = 100
MAX_DELAY_SECONDS: Final = 7 * 24 * 3600
CONDITION_KEYS: Final = ("onlyFullService", "minIncidentDuration")
_SEALED: Final = "sealed"


_FIELDS: Final[FieldSpecs] = {
    each.name: each
    for each in (
        FieldSpec(name="type", key="type", is_required=True),
        FieldSpec(name="name", key="name", is_required=True),
        FieldSpec(name="config", key="config", is_required=True),
        FieldSpec(name="customer_id", key="customerId"),
        FieldSpec(name="category", key="category", default="direct"),
        FieldSpec(name="priority", key="priority", default=1),
        FieldSpec(name="delay_seconds", key="delaySeconds", default=0),
        FieldSpec(name="conditions", key="conditions"),
        FieldSpec(name="is_active", key="isActive", default=True),
        FieldSpec(name="allowed_package_types", key="allowedPackageTypes"),
    )
}


class NotificationChannel(Resource):
    """A channel of an organization, or of one of its customers.

    `config` is as `parse_channel_config` returns it, each secret replaced by
    `{"sealed": text}`. `priority`: lower is tried first. `delay_seconds` after an incident
    opened the channel hears of it, if it is still open.
    """

    TOPIC = "NotificationChannel"
    KIND = "notification_channel"
    LABEL = "Notification channel"
    if TYPE_CHECKING:
        type: str
        config: Fields
    FIELDS = _FIELDS

    class Event(Resource.Event):
        """Base of a channel's events."""

        TOPIC = "NotificationChannelEvent"

    class Created(Event, Resource.Created):
        """A channel was created."""

        TOPIC = "NotificationChannelCreated"

    class Updated(Event, Resource.Updated):
        """Some fields of a channel changed."""

        TOPIC = "NotificationChannelUpdated"

    class Deleted(Event, Resource.Deleted):
        """A channel was deleted."""

        TOPIC = "NotificationChannelDeleted"

    @classmethod
    def check(cls, fields: Fields) -> None:
        """Refuse a config or a category that does not fit the type. Raises InvalidInputError."""
        require_complete(fields["type"], fields["config"])
        expected = CHANNEL_TYPES[fields["type"]].category
        if fields["category"] != expected:
            message = f"must be {expected} for a channel of this type"
            raise InvalidInputError((Problem("category", "invalid", message),))


def seal_config(type_name: str, config: Fields, seal: Callable[[str], str]) -> Fields:
    """Return a config whose secrets in clear are sealed; sealed ones stay as they are."""
    sealed = dict(config)
    for key in secret_keys(type_name):
        value = sealed.get(key)
        if value is not None and not _is_sealed(value):
            sealed[key] = {_SEALED: seal(orjson.dumps(value).decode())}
    return sealed


def unseal_config(type_name: str, config: Fields, unseal: Callable[[str], str]) -> Fields:
    """Return a stored config with its secrets in clear, for sending.

    Raises SecretUnreadableError when the key of the channel was destroyed.
    """
    opened = dict(config)
    for key in secret_keys(type_name):
        if _is_sealed(opened.get(key)):
            opened[key] = orjson.loads(unseal(opened[key][_SEALED]))
    return opened


def shown_config(type_name: str, config: Fields) -> Fields:
    """Return a stored config as answers show it: secrets null, `hasSecret` says of them."""
    secrets = [key for key in secret_keys(type_name) if config.get(key) is not None]
    shown = {key: None if key in secrets else value for key, value in config.items()}
    return {**shown, "hasSecret": bool(secrets)}


def merge_config(type_name: str, stored: Fields, sent: Fields) -> Fields:
    """Return the stored config changed by a sent one: null clears, what was not sent stays."""
    known = CHANNEL_TYPES[type_name].keys
    merged = {**stored, **sent}
    return {key: each for key, each in merged.items() if key in known and each is not None}


def parse_conditions(value: object) -> dict[str, Any] | None:
    """Return the conditions of a channel; a JSON text of an object is accepted, as documented.

    Raises InvalidInputError whose paths are relative to the conditions.
    """
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except ValueError:
            raise InvalidInputError((Problem("", "type", "must be an object"),)) from None
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidInputError((Problem("", "type", "must be an object or null"),))
    problems: list[Problem] = []
    for key, each in value.items():
        problem = _problem_of_condition(key, each)
        if problem is not None:
            problems.append(problem)
    if problems:
        raise InvalidInputError(tuple(problems))
    return value or None


def parse_channel_type(value: object) -> str:
    """Return the name of a type of channels. Raises InvalidValueError for an unknown one."""
    if not isinstance(value, str) or value not in CHANNEL_TYPES:
        raise InvalidValueError("invalid", f"must be one of {', '.join(CHANNEL_TYPES)}")
    return value


def _problem_of_condition(key: str, value: object) -> Problem | None:
    if key == "onlyFullService" and not isinstance(value, bool):
        return Problem(key, "type", "must be true or false")
    if key == "minIncidentDuration" and (
        type(value) is not int or not 0 <= value <= MAX_DELAY_SECONDS
    ):
        return Problem(key, "range", f"must be a whole number of seconds, 0 to {MAX_DELAY_SECONDS}")
    if key not in CONDITION_KEYS:
        return Problem(key, "unknown", f"is not known; known are {', '.join(CONDITION_KEYS)}")
    return None


def _is_sealed(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get(_SEALED), str)
