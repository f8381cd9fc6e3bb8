"""Times: the wall clock that is passed to commands, and times as the API reads and shows them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from domain.errors import InvalidValueError

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(tz=UTC)


def iso_milliseconds(moment: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds and `Z`, as the API shows times."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE
)
_MAX_DIGITS: Final = 18
_EXAMPLE: Final = "2026-01-31T12:00:00Z"

Point = int | str
"""A point in the history of a log: a position, or a time in ISO 8601, UTC, with milliseconds.

A time means the end of its millisecond: events recorded within it belong to it, so a client
can ask for a time that an answer showed.
"""


def parse_time(value: object) -> str:
    """Return a time in its normal form: ISO 8601, UTC, milliseconds, `Z`.

    Raises InvalidValueError for anything else, also for a time without an offset from UTC.
    """
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise InvalidValueError(
            "time", f"must be a time in ISO 8601 with an offset from UTC, such as {_EXAMPLE}"
        )
    try:
        return iso_milliseconds(datetime.fromisoformat(value.upper()).astimezone(UTC))
    except (ValueError, OverflowError):
        raise InvalidValueError("time", "is not a time that there is") from None


def parse_point(value: object, *, head: int, now: datetime) -> Point:
    """Return a position up to `head`, or a time up to `now`, from its text.

    Raises InvalidValueError for a position or time after those: it is not recorded yet.
    """
    text = str(value)
    if text.isascii() and text.isdecimal():
        position = int(text) if len(text) <= _MAX_DIGITS else head + 1
        if position > head:
            raise InvalidValueError("range", f"lies beyond the head of the log, which is {head}")
        return position
    try:
        time = parse_time(value)
    except InvalidValueError as error:
        raise InvalidValueError(error.code, f"{error.message}, or a position of the log") from None
    if time > iso_milliseconds(now):
        raise InvalidValueError("range", "lies in the future")
    return time
