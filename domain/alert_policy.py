"""The alert policy of a monitor: what opens an incident, what ends it, and who hears how soon.

A package sets the policy of the customers that have it; a monitor can override any part of it
(contract D-6).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from domain.errors import InvalidInputError, InvalidValueError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LocationThreshold = Literal["any", "majority", "all", "count"]
"""How many locations must see a failure: one, more than half, all, or a given count."""

THRESHOLDS: Final[tuple[LocationThreshold, ...]] = ("any", "majority", "all", "count")

MAX_CONSECUTIVE_CHECKS: Final = 20
MAX_LOCATION_COUNT: Final = 100
MAX_DELAY_MINUTES: Final = 7 * 24 * 60
MIN_REMINDER_MINUTES: Final = 5
MAX_THRESHOLD_MS: Final = 60_000
MAX_CERTIFICATE_DAYS: Final = 365
MAX_CERTIFICATE_LEVELS: Final = 10
MAX_GROUP_WAIT_SECONDS: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPolicy:
    """When a monitor alerts.

    `consecutive_checks`: failing checks in a row at a location that confirm a failure.
    `location_count` counts only with the threshold `count`. `recovery_checks`: good checks in a
    row that end it. The first reminder comes `reminder_delay_minutes` after the alert, further
    ones every `reminder_interval_minutes`; 0 switches them off. `performance_threshold_ms`:
    slower good checks open a `performance` incident; None switches that off.
    `certificate_days`: days before the end of a certificate at which people hear of it.
    `group_wait_seconds`: how long a message to people waits for others of the same server.
    """

    consecutive_checks: int = 3
    location_threshold: LocationThreshold = "majority"
    location_count: int = 2
    recovery_checks: int = 1
    notification_delay_minutes: int = 0
    reminder_delay_minutes: int = 0
    reminder_interval_minutes: int = 60
    performance_threshold_ms: int | None = None
    certificate_days: tuple[int, ...] = (30, 14, 7, 3, 1)
    group_wait_seconds: int = 30
    channels_off: frozenset[str] = field(default_factory=frozenset)
    """Classes of channels that hear nothing: `email`, `sms`, `webhook`, `integration`."""


DEFAULT: Final = AlertPolicy()
"""The policy without a package."""


def _whole(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if type(value) is not int:
            raise InvalidValueError("type", "must be a whole number")
        if not low <= value <= high:
            raise InvalidValueError("range", f"must be from {low} to {high}")
        return value

    return parse


def _threshold(value: object) -> str:
    if not isinstance(value, str) or value not in THRESHOLDS:
        raise InvalidValueError("invalid", f"must be one of {', '.join(THRESHOLDS)}")
    return value


def _milliseconds(value: object) -> int | None:
    return None if value is None else _whole(1, MAX_THRESHOLD_MS)(value)


def _reminder_interval(value: object) -> int:
    is_off = type(value) is int and value == 0
    return 0 if is_off else _whole(MIN_REMINDER_MINUTES, MAX_DELAY_MINUTES)(value)


def _days(value: object) -> list[int]:
    if not isinstance(value, list):
        raise InvalidValueError("type", "must be a list of whole numbers of days")
    if len(value) > MAX_CERTIFICATE_LEVELS:
        raise InvalidValueError("too_long", f"must have at most {MAX_CERTIFICATE_LEVELS} levels")
    return sorted({_whole(1, MAX_CERTIFICATE_DAYS)(each) for each in value}, reverse=True)


class PolicyKey(NamedTuple):
    """A documented key of a policy: the field of `AlertPolicy`, and what checks a value."""

    field: str
    parse: Callable[[object], Any]

    @property
    def default(self) -> Any:  # noqa: ANN401 - a JSON-native value
        """The JSON-native value of the field without a package."""
        value = getattr(DEFAULT, self.field)
        return list(value) if isinstance(value, tuple) else value


POLICY_KEYS: Final[Mapping[str, PolicyKey]] = {
    "alertConsecutiveChecks": PolicyKey("consecutive_checks", _whole(1, MAX_CONSECUTIVE_CHECKS)),
    "alertLocationThreshold": PolicyKey("location_threshold", _threshold),
    "alertLocationThresholdCount": PolicyKey("location_count", _whole(1, MAX_LOCATION_COUNT)),
    "alertRecoveryChecks": PolicyKey("recovery_checks", _whole(1, MAX_CONSECUTIVE_CHECKS)),
    "notificationDelayMinutes": PolicyKey(
        "notification_delay_minutes", _whole(0, MAX_DELAY_MINUTES)
    ),
    "reminderDelayMinutes": PolicyKey("reminder_delay_minutes", _whole(0, MAX_DELAY_MINUTES)),
    "alertReminderInterval": PolicyKey("reminder_interval_minutes", _reminder_interval),
    "alertPerformanceThresholdMs": PolicyKey("performance_threshold_ms", _milliseconds),
    "alertCertificateDays": PolicyKey("certificate_days", _days),
    "alertGroupWaitSeconds": PolicyKey("group_wait_seconds", _whole(0, MAX_GROUP_WAIT_SECONDS)),
}

CHANNEL_SWITCHES: Final[Mapping[str, str]] = {
    "enableEmailAlerts": "email",
    "enableSmsAlerts": "sms",
    "enableWebhookAlerts": "webhook",
    "enableIntegrationAlerts": "integration",
}
"""The documented switches of a package, each with the class of channels that it switches."""


def parse_alert_policy(value: object) -> dict[str, Any] | None:
    """Return what a monitor overrides, under the documented keys; None for nothing.

    Raises InvalidInputError whose paths are relative to the object.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidInputError((Problem("", "type", "must be an object or null"),))
    parsed: dict[str, Any] = {}
    problems = []
    for key, each in value.items():
        if key not in POLICY_KEYS:
            known = ", ".join(POLICY_KEYS)
            problems.append(Problem(key, "unknown", f"is not known; known are {known}"))
            continue
        try:
            parsed[key] = POLICY_KEYS[key].parse(each)
        except InvalidValueError as error:
            problems.append(Problem(key, error.code, error.message))
    if problems:
        raise InvalidInputError(tuple(problems))
    return parsed or None


def policy_of(
    package: Mapping[str, Any] | None,
    customer_location_count: int = 1,
    override: Mapping[str, Any] | None = None,
) -> AlertPolicy:
    """Return the policy of a monitor from stored values under the documented keys.

    `package` is that of its customer. A customer's own location count counts before that of the
    package when it is above 1, its default. `override` is the monitor's own policy.
    """
    policy = _with(DEFAULT, package or {})
    if customer_location_count > 1:
        policy = replace(policy, location_count=customer_location_count)
    off = {
        channel for key, channel in CHANNEL_SWITCHES.items() if not (package or {}).get(key, True)
    }
    return replace(_with(policy, override or {}), channels_off=frozenset(off))


def _with(policy: AlertPolicy, values: Mapping[str, Any]) -> AlertPolicy:
    known = {POLICY_KEYS[key].field: each for key, each in values.items() if key in POLICY_KEYS}
    if "certificate_days" in known:
        known["certificate_days"] = tuple(known["certificate_days"])
    return replace(policy, **known)
