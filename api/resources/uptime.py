"""GET uptime: how long a monitor was up, down, in maintenance, or in an unknown state."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

from api.http.errors import InvalidParameterError
from api.http.execution import Cost
from api.http.fields import UUID as UUID_SCHEMA
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.http.read_your_writes import catch_up_best_effort
from api.openapi import names
from api.openapi.operations import DocumentedOperation, json_answer, path_parameter, query
from api.openapi.resource import Resource, Route
from api.openapi.vocabulary import COUNT, TIME, closed, described, ref
from domain.availability import CHECK_STATES
from domain.clock import Clock, utc_now
from domain.errors import InvalidValueError
from domain.kinds import KINDS
from projections.views.uptime_report import (
    GRANULARITIES,
    RANGES,
    ReportPeriod,
    monitor_uptime,
    report_period,
    uptime_shape,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import falcon

    from api.http.fields import Schema
    from api.resources.monitors import Monitors
    from api.resources.parts import Parts
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
        raise InvalidParameterError("granularity", error.message, code=error.code) from None


def _one_of(req: falcon.Request, name: str, allowed: Iterable[T]) -> T | None:
    text = req.get_param(name)
    found = next((each for each in allowed if each == text), None)
    if text is not None and found is None:
        raise InvalidParameterError(name, f"must be one of {', '.join(allowed)}")
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
        raise InvalidParameterError("endDate", "must be a time such as 2026-01-31T12:00:00Z")
    return moment


_DURATION: Final[Schema] = {"type": "number", "minimum": 0, "description": "Milliseconds."}


def _operations() -> Iterator[DocumentedOperation]:
    for kind in KINDS.values():
        yield DocumentedOperation(
            method="get",
            path=kind.path + "/{public_id}/uptime",
            name=f"get{names.monitor(kind)}Uptime",
            tag=names.tag(kind),
            summary="Show how long a monitor was up",
            description="By hours or days (UTC), the first of them whole. A check vouches for the "
            "time until the next one should have ended; where none does, the state is unknown "
            "and counts for nothing. p50 and p95 are at most 1.6 % off, max is exact. Of several "
            "locations, times and checks are added up.",
            parameters=(
                path_parameter("public_id", UUID_SCHEMA, "The monitor's `publicId`."),
                query("range", _enum(RANGES, "day"), "How much time."),
                query(
                    "granularity",
                    {"type": "string", "enum": list(GRANULARITIES)},
                    "Default: `hour` for a day, `day` otherwise. A year is shown by days.",
                ),
                query(
                    "endDate",
                    {"type": "string", "format": "date-time"},
                    "Default: now. The end of its hour, at most now.",
                ),
            ),
            answers={200: json_answer("The uptime", "Uptime")},
            errors=(400, 403, 404),
        )


def _schemas() -> Schema:
    percent = {"type": ["number", "null"], "minimum": 0, "maximum": 100}
    figures: Schema = {
        "uptimePercent": described(
            percent, "Up in what is known to be up or down, rounded down; null: nothing is known."
        ),
        "seconds": closed(dict.fromkeys((*CHECK_STATES, "unknown", "notWatched"), COUNT)),
        "checks": COUNT,
        "failed": COUNT,
        "timings": {"type": "object", "additionalProperties": ref("PhaseDurations")},
    }
    return {
        "PhaseDurations": closed(
            {"count": COUNT, "p50": _DURATION, "p95": _DURATION, "max": _DURATION}
        ),
        "UptimeOfTime": closed({"start": TIME, **figures}),
        "Uptime": closed(
            {
                "start": TIME,
                "end": TIME,
                "granularity": {"type": "string", "enum": list(GRANULARITIES)},
                **figures,
                "data": {"type": "array", "items": ref("UptimeOfTime")},
            }
        ),
    }


def _enum(names: Iterable[str], default: str) -> Schema:
    return {"type": "string", "enum": list(names), "default": default}


def _routes(parts: Parts) -> Iterator[Route]:
    roll_ups, projector = parts.views.roll_ups, parts.views.projector("roll_ups")
    for monitors in parts.monitors.values():
        path = monitors.kind.path + "/{public_id}/uptime"
        yield Route(path, Uptime(monitors, roll_ups, projector))


RESOURCE: Final = Resource(routes=_routes, operations=_operations, schemas=_schemas)
