"""The plain fields of monitors and customers: checked and brought to their normal form.

Every function takes what a caller sent and returns what an event may store, or raises
InvalidValueError. None of them repeats the value in its text.
"""

from __future__ import annotations

import re
from typing import Final

from domain.errors import InvalidValueError

MIN_INTERVAL_MINUTES: Final = 0.1
MAX_INTERVAL_MINUTES: Final = 1440
DEFAULT_INTERVAL_MINUTES: Final = 5
MIN_TIMEOUT_SECONDS: Final = 1
MAX_TIMEOUT_SECONDS: Final = 60
DEFAULT_TIMEOUT_SECONDS: Final = 30
MAX_NAME_LENGTH: Final = 255
MAX_PORT: Final = 65535

STATUSES: Final = ("active", "maintenance", "disabled", "paused", "inactive")
"""What a caller may send; `paused` and `inactive` are stored as `disabled` (contract Q-21)."""

_STORED_STATUS: Final = {"paused": "disabled", "inactive": "disabled"}
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,253}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()/.-]{2,31}")


def parse_name(value: object) -> str:
    """Return a name of 1 to 255 printable characters, blanks at both ends removed."""
    if not isinstance(value, str):
        raise InvalidValueError("type", "must be a string")
    name = value.strip()
    if not name:
        raise InvalidValueError("required", "must not be empty")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidValueError("too_long", f"must have at most {MAX_NAME_LENGTH} characters")
    if not name.isprintable():
        raise InvalidValueError("invalid", "must not contain control characters")
    return name


def parse_port(value: object) -> int | None:
    """Return a TCP port, or None for the protocol's default (contract Q-10)."""
    if value is None:
        return None
    if type(value) is not int:
        raise InvalidValueError("type", "must be a whole number or null")
    if not 1 <= value <= MAX_PORT:
        raise InvalidValueError("range", f"must be from 1 to {MAX_PORT}")
    return value


def parse_status(value: object) -> str:
    """Return `active`, `maintenance` or `disabled` (contract Q-21)."""
    if not isinstance(value, str) or value not in STATUSES:
        raise InvalidValueError("invalid", f"must be one of {', '.join(STATUSES)}")
    return _STORED_STATUS.get(value, value)


def parse_check_interval(value: object) -> float:
    """Return the minutes between two checks: 0.1 to 1440, fractions allowed (contract Q-6)."""
    return _parse_number(value, MIN_INTERVAL_MINUTES, MAX_INTERVAL_MINUTES, "minutes")


def parse_timeout_seconds(value: object) -> float:
    """Return the seconds that bound a whole check: 1 to 60 (contract Q-6)."""
    return _parse_number(value, MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, "seconds")


def _parse_number(value: object, low: float, high: float, unit: str) -> float:
    if type(value) not in (int, float):
        raise InvalidValueError("type", f"must be a number of {unit}")
    number = float(value)  # type: ignore[arg-type] # the line above admits numbers only
    if not low <= number <= high:
        raise InvalidValueError("range", f"must be from {low} to {high} {unit}")
    return int(number) if number.is_integer() else number


def parse_email(value: object) -> str | None:
    """Return an address of the form local@domain, or None to clear it."""
    return _parse_text(value, _EMAIL, "an email address")


def parse_phone_number(value: object) -> str | None:
    """Return a telephone number with its usual separators, or None to clear it."""
    return _parse_text(value, _PHONE, "a telephone number such as +49 170 1234567")


def _parse_text(value: object, pattern: re.Pattern[str], what: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidValueError("type", "must be a string or null")
    if not value.isprintable() or not pattern.fullmatch(value):
        raise InvalidValueError("invalid", f"must be {what}, or null")
    return value
