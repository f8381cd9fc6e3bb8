"""Time as an argument: the one place that reads the wall clock for stored times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(tz=UTC)


def iso_milliseconds(moment: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds and `Z`, as the API shows times."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
