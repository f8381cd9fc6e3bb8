"""Maintenance windows: times at which alerts of some monitors are held back (contract D-4).

A window covers the monitors that it names and those with one of its tags; without either, every
monitor of its customer. A window of a customer never covers monitors of another one.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.errors import InvalidInputError, InvalidValueError, Problem
from domain.fields import FieldSpec, FieldSpecs
from domain.recurrence import MAX_LENGTH, Pattern, Recurrence
from domain.resource import Fields, Resource

MAX_WINDOWS: Final = 500
"""The most windows of an organization."""

MAX_DESCRIPTION_LENGTH: Final = 2000
MIN_YEAR: Final = 1970
MAX_YEAR: Final = 9990
MAX_INTERVAL: Final = 1000
_FREQUENCIES: Final = ("daily", "weekly", "monthly")
_PATTERN_KEYS: Final = ("frequency", "interval", "daysOfWeek", "dayOfMonth", "endRecurrenceDate")
_DAYS_OF_WEEK: Final = 7
_LONGEST_MONTH: Final = 31
_FROM_START: Final = datetime.min.replace(year=1970, tzinfo=UTC)


_FIELDS: Final[FieldSpecs] = {
    each.name: each
    for each in (
        FieldSpec(name="name", key="name", is_required=True),
        FieldSpec(name="description", key="description"),
        FieldSpec(name="start_time", key="startTime", is_required=True),
        FieldSpec(name="end_time", key="endTime", is_required=True),
        FieldSpec(name="time_zone", key="timeZone", default="UTC"),
        FieldSpec(name="is_recurring", key="isRecurring", default=False),
        FieldSpec(name="recurrence_pattern", key="recurrencePattern"),
        FieldSpec(name="is_active", key="isActive", default=True),
        FieldSpec(name="customer_id", key="customerId"),
        FieldSpec(name="targets", key="targets", default=[]),
        FieldSpec(name="tag_ids", key="tagIds", default=[]),
    )
}


class MaintenanceWindow(Resource):
    """A maintenance window.

    `start_time` and `end_time` are those of the first occurrence, as the API shows times.
    `time_zone` is an IANA name. `targets` and `tag_ids` hold public ids.
    """

    TOPIC = "MaintenanceWindow"
    KIND = "maintenance_window"
    LABEL = "Maintenance window"
    FIELDS = _FIELDS

    class Event(Resource.Event):
        """Base of a window's events."""

        TOPIC = "MaintenanceWindowEvent"

    class Created(Event, Resource.Created):
        """A window was planned."""

        TOPIC = "MaintenanceWindowCreated"

    class Updated(Event, Resource.Updated):
        """Some fields of a window changed."""

        TOPIC = "MaintenanceWindowUpdated"

    class Deleted(Event, Resource.Deleted):
        """A window was deleted."""

        TOPIC = "MaintenanceWindowDeleted"

    @classmethod
    def check(cls, fields: Fields) -> None:
        """Refuse times, patterns and targets that make no sense. Raises InvalidInputError."""
        problems = [*_problems_of_times(fields), *_problems_of_targets(fields)]
        if not problems and fields["is_recurring"]:
            recurrence = recurrence_of(fields)
            if not recurrence.occurrences(_FROM_START, 1):
                problems.append(
                    Problem("recurrencePattern", "never", "must have at least one occurrence")
                )
        if problems:
            raise InvalidInputError(tuple(problems))


def recurrence_of(fields: Fields) -> Recurrence:
    """Return when a window with these fields is open."""
    pattern = fields["recurrence_pattern"] if fields["is_recurring"] else None
    return Recurrence(
        datetime.fromisoformat(fields["start_time"]),
        datetime.fromisoformat(fields["end_time"]),
        ZoneInfo(fields["time_zone"]),
        _pattern(pattern) if pattern else None,
    )


def covers(window: Fields, *, monitor_id: str, customer_id: str, tag_ids: frozenset[str]) -> bool:
    """Return whether a window, by its fields, is about a monitor of its organization."""
    if window["customer_id"] not in (None, customer_id):
        return False
    if window["targets"] or window["tag_ids"]:
        return monitor_id in window["targets"] or not tag_ids.isdisjoint(window["tag_ids"])
    return True


def parse_time_zone(value: object) -> str:
    """Return the IANA name of a time zone. Raises InvalidValueError for an unknown one."""
    if not isinstance(value, str):
        raise InvalidValueError("type", "must be the IANA name of a time zone")
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidValueError(
            "invalid", "must be the IANA name of a time zone, such as Europe/Berlin"
        ) from None
    return value


def parse_pattern(value: object) -> dict[str, Any] | None:
    """Return a recurrence pattern as documented (contract part B, 12.5), or None.

    Raises InvalidInputError whose paths are relative to the pattern.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidInputError((Problem("", "type", "must be an object or null"),))
    problems = [
        Problem(key, "unknown", f"is not known; known are {', '.join(_PATTERN_KEYS)}")
        for key in value
        if key not in _PATTERN_KEYS
    ]
    pattern: dict[str, Any] = {}
    for key, parse in _PARSERS.items():
        if key in value or key == "frequency":
            try:
                pattern[key] = parse(value.get(key))
            except InvalidValueError as error:
                problems.append(Problem(key, error.code, error.message))
    if problems:
        raise InvalidInputError(tuple(problems))
    return {key: each for key, each in pattern.items() if each is not None}


def _pattern(fields: dict[str, Any]) -> Pattern:
    last_day = fields.get("endRecurrenceDate")
    return Pattern(
        fields["frequency"],
        fields.get("interval", 1),
        # Documented: 0 is Sunday. Python: 0 is Monday.
        frozenset((day - 1) % _DAYS_OF_WEEK for day in fields.get("daysOfWeek", ())),
        fields.get("dayOfMonth"),
        date.fromisoformat(last_day) if last_day else None,
    )


def _problems_of_times(fields: Fields) -> list[Problem]:
    start, end = (datetime.fromisoformat(fields[each]) for each in ("start_time", "end_time"))
    problems = [
        Problem(key, "range", f"must be in the years {MIN_YEAR} to {MAX_YEAR}")
        for key, moment in (("startTime", start), ("endTime", end))
        if not MIN_YEAR <= moment.year <= MAX_YEAR
    ]
    if problems:
        return problems
    if end <= start:
        problems.append(Problem("endTime", "order", "End time must be after start time"))
    elif end - start >= MAX_LENGTH:
        problems.append(Problem("endTime", "range", "must be less than 31 days after startTime"))
    if fields["is_recurring"] and not fields["recurrence_pattern"]:
        problems.append(
            Problem("recurrencePattern", "required", "is needed when isRecurring is true")
        )
    return problems


def _problems_of_targets(fields: Fields) -> list[Problem]:
    if fields["customer_id"] is None and not fields["targets"] and not fields["tag_ids"]:
        return [Problem("targets", "required", "name targets, tagIds or a customerId")]
    return []


def _frequency(value: object) -> str:
    if value not in _FREQUENCIES:
        raise InvalidValueError("invalid", f"must be one of {', '.join(_FREQUENCIES)}")
    return str(value)


def _interval(value: object) -> int | None:
    return None if value is None else _whole_number(value, 1, MAX_INTERVAL)


def _month_day(value: object) -> int | None:
    return None if value is None else _whole_number(value, 1, _LONGEST_MONTH)


def _days_of_week(value: object) -> list[int] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise InvalidValueError("type", "must be a list of days, 0 (Sunday) to 6, or null")
    days = {_whole_number(each, 0, _DAYS_OF_WEEK - 1) for each in value}
    return sorted(days) or None


def _last_day(value: object) -> str | None:
    if value is None:
        return None
    message = "must be a date such as 2027-01-31, or null"
    if not isinstance(value, str):
        raise InvalidValueError("type", message)
    try:
        # A time is accepted, too, and only its date counts: pages of the documented API send one.
        return datetime.fromisoformat(value).date().isoformat()
    except ValueError:
        raise InvalidValueError("invalid", message) from None


def _whole_number(value: object, low: int, high: int) -> int:
    if type(value) is not int:
        raise InvalidValueError("type", "must be a whole number")
    if not low <= value <= high:
        raise InvalidValueError("range", f"must be from {low} to {high}")
    return value


_PARSERS: Final = {
    "frequency": _frequency,
    "interval": _interval,
    "daysOfWeek": _days_of_week,
    "dayOfMonth": _month_day,
    "endRecurrenceDate": _last_day,
}
