"""Packages: named sets of defaults for the customers that have them (contract part B, 8.3).

A package is found by its key (`packageType`) within its organization, so its id follows from
both. Postwatch sells nothing: of the documented fields those about alerts have an effect, the
others are kept and shown for clients that use them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.alert_policy import CHANNEL_SWITCHES, POLICY_KEYS
from domain.errors import InvalidValueError
from domain.fields import FieldSpec, FieldSpecs
from domain.resource import Resource
from domain.values import parse_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


MAX_PACKAGES: Final = 100
"""The most packages of an organization."""

MAX_NOTES_LENGTH: Final = 2000
MAX_COUNT: Final = 1_000_000
_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:package")


def _count(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise InvalidValueError("type", "must be a whole number or null")
    if not 0 <= value <= MAX_COUNT:
        raise InvalidValueError("range", f"must be from 0 to {MAX_COUNT}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValueError("type", "must be true or false")
    return value


def _label(value: object) -> str | None:
    return None if value is None else parse_name(value)


def _notes(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidValueError("type", "must be a string or null")
    if len(value) > MAX_NOTES_LENGTH:
        raise InvalidValueError("too_long", f"must have at most {MAX_NOTES_LENGTH} characters")
    return value


class _Key(NamedTuple):
    """A documented key of a package: its default, and what checks a value."""

    default: object
    parse: Callable[[object], Any]


_KEYS: Final[Mapping[str, _Key]] = {
    "displayName": _Key(None, _label),
    "maxUrls": _Key(None, _count),
    "dataRetentionMonths": _Key(None, _count),
    "checkIntervalMinutes": _Key(None, _count),
    "checkLocations": _Key(None, _count),
    **{key: _Key(each.default, each.parse) for key, each in POLICY_KEYS.items()},
    "enableSslCheck": _Key(True, _flag),
    "enableHttpsCheck": _Key(True, _flag),
    "enableStatusCheck": _Key(True, _flag),
    "enableSizeCheck": _Key(True, _flag),
    "enableResponseTimeCheck": _Key(True, _flag),
    "enableKeywordCheck": _Key(False, _flag),
    **{key: _Key(True, _flag) for key in CHANNEL_SWITCHES},
    "enablePostRequestEscalation": _Key(False, _flag),
    "enableMaintenanceWindows": _Key(True, _flag),
    "enablePdfReports": _Key(True, _flag),
    "notes": _Key(None, _notes),
}

PACKAGE_PARSERS: Final[Mapping[str, Callable[[object], Any]]] = {
    key: each.parse for key, each in _KEYS.items()
}
"""The keys of a package that people can change, each with what checks its value."""


def package_id(organization_id: UUID, package_type: str, generation: int) -> UUID:
    """Return the id of an organization's package with a key.

    A package that is made anew after its deletion is of the next generation, counting from 1.
    """
    return uuid5(_NAMESPACE, f"{organization_id}/{generation}/{package_type}")


_FIELDS: Final[FieldSpecs] = {
    "package_type": FieldSpec(name="package_type", key="packageType", is_required=True),
    **{key: FieldSpec(name=key, key=key, default=each.default) for key, each in _KEYS.items()},
}


class PackageConfig(Resource):
    """A package. Its fields have the documented keys as their names."""

    TOPIC = "PackageConfig"
    KIND = "package_config"
    LABEL = "Package"
    FIELDS = _FIELDS

    class Event(Resource.Event):
        """Base of a package's events."""

        TOPIC = "PackageConfigEvent"

    class Created(Event, Resource.Created):
        """A package was created."""

        TOPIC = "PackageConfigCreated"

    class Updated(Event, Resource.Updated):
        """Some fields of a package changed."""

        TOPIC = "PackageConfigUpdated"

    class Deleted(Event, Resource.Deleted):
        """A package was deleted."""

        TOPIC = "PackageConfigDeleted"
