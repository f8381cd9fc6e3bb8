"""GET uptime: how long a monitor was up, down, in maintenance, or in an unknown state."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import falcon

from api.http.execution import Cost
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.http.read_your_writes import catch_up_best_effort
from domain.clock import Clock, utc_now
from domain.errors import InvalidValueError
from projections.views.uptime_report import (
    GRANULARITIES,
    RANGES,
    ReportPeriod,
    monitor_uptime,
    report_period,
    uptime_shape,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.resources.monitors import Monitors
    from projections.core.projector import Projector
    from projections.readers.uptime import RollUpReader


T = TypeVar("T", bound=str)


class Uptime:
    """The uptime of one monitor, by hours or days."""

    def __init__(
        self,
        monitors: Monitors,
        roll_ups: RollUpReader,
        projector: Projector,
        clock: Clock = utc_now,
    ) -> None:
        self._monitors = monitors
        self._roll_ups = roll_ups
        self._projector = projector
        self._clock = clock

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show the sums of the whole range, and of each hour or day in it."""
        principal: Principal = req.context.principal
        view = self._monitors.find(public_id, principal)
        require(principal, Action.READ_MONITOR)
        now = self._clock()
        time = _asked(req, now)
        # A recorded check that the view has not read yet would leave its time unknown.
        catch_up_best_effort(self._projector)
        monitor_id: str = view.monitor["public_id"]
        monitoring = self._monitors.monitoring
        found = monitor_uptime(monitoring, self._roll_ups, UUID(monitor_id), time, now)
        resp.media = uptime_shape(found, time)


def _asked(req: falcon.Request, now: datetime) -> ReportPeriod:
    name = _one_of(req, "range", RANGES) or "day"
    granularity = _one_of(req, "granularity", GRANULARITIES)
    try:
        return report_period(name, granularity, now, _end(req))
    except InvalidValueError as error:
        raise falcon.HTTPBadRequest(description=f"Invalid granularity: {error.message}") from None


def _one_of(req: falcon.Request, name: str, allowed: Iterable[T]) -> T | None:
    text = req.get_param(name)
    found = next((each for each in allowed if each == text), None)
    if text is not None and found is None:
        raise falcon.HTTPBadRequest(
            description=f"Invalid {name}: must be one of {', '.join(allowed)}"
        )
    return found


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
