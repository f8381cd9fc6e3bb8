"""GET uptime: how long a monitor was up, down, in maintenance, or nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, get_args
from uuid import UUID

import falcon

from api.permissions import Action, Principal, require
from domain.clock import Clock, utc_now
from domain.uptime import milliseconds, watched_spans
from projections.uptime_report import Asked, Granularity, uptime
from projections.uptime_shapes import uptime_shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.monitor_family import Monitors
    from projections.uptime_report import RollUpReader

RANGES: Final = {
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=31),
    "year": timedelta(days=366),
}
GRANULARITIES: Final[tuple[Granularity, ...]] = get_args(Granularity)
_EARLIEST: Final = datetime(1972, 1, 1, tzinfo=UTC)


class Uptime:
    """The uptime of one monitor, by hours or days."""

    def __init__(self, monitors: Monitors, roll_ups: RollUpReader, clock: Clock = utc_now) -> None:
        self._monitors = monitors
        self._roll_ups = roll_ups
        self._clock = clock

    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show the whole time that was asked for, and each hour or day of it."""
        principal: Principal = req.context.principal
        view = self._monitors.find(public_id, principal)
        require(principal, Action.READ_MONITOR)
        now = self._clock()
        asked = _asked(req, now)
        monitor_id: str = view.monitor["public_id"]
        events = self._monitors.monitoring.events.get(UUID(monitor_id))
        spans = watched_spans(events, milliseconds(now))
        resp.media = uptime_shape(uptime(self._roll_ups, monitor_id, spans, asked), asked)


def _asked(req: falcon.Request, now: datetime) -> Asked:
    name = _one_of(req, "range", RANGES, "day")
    granularity = _one_of(req, "granularity", GRANULARITIES, "hour" if name == "day" else "day")
    if name == "year" and granularity == "hour":
        raise falcon.HTTPBadRequest(description="Invalid granularity: a year is shown by days")
    end = min(max(_end(req) or now, _EARLIEST), now)
    start = end - RANGES[name]
    found: Granularity = "hour" if granularity == "hour" else "day"
    return Asked(milliseconds(start), milliseconds(end), found)


def _one_of(req: falcon.Request, name: str, allowed: Iterable[str], default: str) -> str:
    text = req.get_param(name) or default
    if text not in allowed:
        raise falcon.HTTPBadRequest(
            description=f"Invalid {name}: must be one of {', '.join(allowed)}"
        )
    return text


def _end(req: falcon.Request) -> datetime | None:
    text = req.get_param("endDate")
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise falcon.HTTPBadRequest(
            description="Invalid endDate: must be a time such as 2026-01-31T12:00:00Z"
        )
    return moment
