"""The fields of monitors and customers that people can change: one table for each.

The changes that a command may contain, the folds, the documented shapes and the audit log
follow from these tables. `api.resources` describes the bodies of requests; a test checks that
both name the same fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.values import DEFAULT_INTERVAL_MINUTES, DEFAULT_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One changeable field.

    `name` is the field in commands, events and records, `key` the documented key of the API.
    `default` is the value when a create leaves the key out, unless the key `is_required`.
    `concerns_checker`: the checker works differently when the field changes.
    """

    name: str
    key: str
    default: object = None
    is_required: bool = False
    concerns_checker: bool = False


FieldSpecs = Mapping[str, FieldSpec]
"""Fields by name, in the order in which the audit log lists changes."""


def _table(*specs: FieldSpec) -> FieldSpecs:
    return {each.name: each for each in specs}


MONITOR_FIELDS: Final = _table(
    FieldSpec(name="name", key="name", is_required=True),
    FieldSpec(name="hostname", key="hostname", is_required=True, concerns_checker=True),
    FieldSpec(name="port", key="port", concerns_checker=True),
    FieldSpec(name="status", key="status", default="active", concerns_checker=True),
    FieldSpec(
        name="check_interval",
        key="checkInterval",
        default=DEFAULT_INTERVAL_MINUTES,
        concerns_checker=True,
    ),
    FieldSpec(
        name="timeout_seconds",
        key="timeoutSeconds",
        default=DEFAULT_TIMEOUT_SECONDS,
        concerns_checker=True,
    ),
    FieldSpec(name="notification_email", key="notificationEmail"),
    FieldSpec(name="notification_phone_number", key="notificationPhoneNumber"),
    FieldSpec(
        name="allowed_check_country_codes", key="allowedCheckCountryCodes", concerns_checker=True
    ),
    FieldSpec(name="config", key="config", concerns_checker=True),
)

CUSTOMER_FIELDS: Final = _table(
    FieldSpec(name="name", key="name", is_required=True),
    FieldSpec(name="email", key="email"),
    FieldSpec(name="notification_email", key="notificationEmail"),
    FieldSpec(name="notification_phone_number", key="notificationPhoneNumber"),
    FieldSpec(name="package_type", key="packageType"),
    FieldSpec(name="status", key="status", default="active"),
    FieldSpec(
        name="allowed_check_country_codes", key="allowedCheckCountryCodes", concerns_checker=True
    ),
    FieldSpec(name="custom_fields", key="customFields"),
    FieldSpec(name="monthly_reports_enabled", key="monthlyReportsEnabled", default=True),
    FieldSpec(name="alert_location_threshold_count", key="alertLocationThresholdCount", default=1),
)

CUSTOMER_DEFAULTS: Final[Mapping[str, Any]] = {
    each.name: each.default
    for each in CUSTOMER_FIELDS.values()
    if each.name not in ("name", "email")
}
"""The fields that a customer's first event leaves out while they have their default."""


def keys_of(specs: FieldSpecs) -> dict[str, str]:
    """Return the documented keys, each with the name of its field."""
    return {each.key: each.name for each in specs.values()}


def current_values(thing: object, specs: FieldSpecs) -> dict[str, Any]:
    """Return the fields of an aggregate as they are now."""
    return {name: getattr(thing, name) for name in specs}


def assign(thing: object, values: Mapping[str, Any]) -> None:
    """Set fields of an aggregate."""
    for name, value in values.items():
        setattr(thing, name, value)
