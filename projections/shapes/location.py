"""The documented JSON of a location, and its status: whether checks come from it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from domain.clock import iso_milliseconds

if TYPE_CHECKING:
    from datetime import datetime

    from projections.core.table import Record


LocationStatus = Literal["active", "idle", "retired"]

IDLE_AFTER: Final = timedelta(days=2)
"""Twice the longest check interval, so that an active location is never taken for idle."""


def location_status(location: Record, last_check_at: str | None, now: datetime) -> LocationStatus:
    """Return the status of a location: active if it made a check within IDLE_AFTER."""
    if location["retired_at"] is not None:
        return "retired"
    idle_since = iso_milliseconds(now - IDLE_AFTER)
    return "active" if (last_check_at or location["created_at"]) > idle_since else "idle"


def location_shape(location: Record, last_check_at: str | None, now: datetime) -> dict[str, Any]:
    """Return a location as the API shows it."""
    return {
        "id": location["number"],
        "code": location["code"],
        "name": location["name"],
        "countryCode": location["country"],
        "isActive": location_status(location, last_check_at, now) == "active",
        "lastCheckAt": last_check_at,
    }
