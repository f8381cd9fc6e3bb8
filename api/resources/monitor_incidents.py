"""GET incident-history and alert-history of a monitor (contract part B, 4.7, 4.8, 5.7, 5.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.http.execution import Cost
from api.http.fields import NUMBER
from api.http.fields import UUID as UUID_SCHEMA
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.openapi import names
from api.openapi.incidents import ALERT_SCHEMAS, TYPES
from api.openapi.operations import DocumentedOperation, json_answer
from api.openapi.parameters import PUBLIC_ID
from api.openapi.resource import Resource, Route
from api.openapi.vocabulary import COUNT, STRING, TIME, closed, described, nullable, ref
from api.resources.incidents import MAX_ALERTS
from domain.clock import Clock, utc_now
from domain.kinds import KINDS
from projections.readers.incidents import IncidentFilter
from projections.shapes.incident import alert_shape, incident_of_monitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon

    from api.http.fields import Schema
    from api.resources.monitors import Monitors
    from api.resources.parts import Parts
    from projections.readers.incidents import IncidentReader


MAX_HISTORY: Final = 100
"""The newest incidents that a history shows, as documented."""


def incidents_of(reader: IncidentReader, monitor_id: str, clock: Clock) -> list[dict[str, Any]]:
    """Return the newest incidents of a monitor in the documented form."""
    now = clock()
    found = reader.incidents(IncidentFilter(monitor_id=monitor_id), MAX_HISTORY)
    return [incident_of_monitor(each.incident, now) for each in found]


def alerts_of(reader: IncidentReader, monitor_id: str) -> list[dict[str, Any]]:
    """Return the newest messages about a monitor in the documented form."""
    return [alert_shape(each) for each in reader.alerts_of_monitor(monitor_id, MAX_ALERTS)]


class IncidentHistory:
    """The newest incidents of one monitor."""

    def __init__(
        self, monitors: Monitors, incidents: IncidentReader, clock: Clock = utc_now
    ) -> None:
        self._monitors = monitors
        self._incidents = incidents
        self._clock = clock

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show the newest incidents, and how many there are in all."""
        principal: Principal = req.context.principal
        monitor_id = self._monitors.find(public_id, principal).monitor["public_id"]
        require(principal, Action.READ_MONITOR)
        resp.media = {
            "incidents": incidents_of(self._incidents, monitor_id, self._clock),
            "total": self._incidents.count(IncidentFilter(monitor_id=monitor_id)),
        }


class AlertHistory:
    """The newest messages about one monitor."""

    def __init__(self, monitors: Monitors, incidents: IncidentReader) -> None:
        self._monitors = monitors
        self._incidents = incidents

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show the newest messages, and how many there are in all."""
        principal: Principal = req.context.principal
        monitor_id = self._monitors.find(public_id, principal).monitor["public_id"]
        require(principal, Action.READ_MONITOR)
        resp.media = {
            "alerts": alerts_of(self._incidents, monitor_id),
            "total": self._incidents.count_alerts(monitor_id),
        }


def _operations() -> Iterator[DocumentedOperation]:
    for kind in KINDS.values():
        yield DocumentedOperation(
            method="get",
            path=kind.path + "/{public_id}/incident-history",
            name=f"get{names.monitor(kind)}IncidentHistory",
            tag=names.tag(kind),
            summary="Show the newest incidents of a monitor",
            description=f"The newest {MAX_HISTORY}, and how many there are. An incident that "
            "goes on is `active`.",
            parameters=(PUBLIC_ID,),
            answers={200: json_answer("The incidents", "IncidentHistory")},
            errors=(400, 403, 404),
        )
        yield DocumentedOperation(
            method="get",
            path=kind.path + "/{public_id}/alert-history",
            name=f"get{names.monitor(kind)}AlertHistory",
            tag=names.tag(kind),
            summary="Show the newest messages about a monitor",
            description=f"The newest {MAX_ALERTS}, and how many there are. They are planned, and "
            "nothing sends them yet.",
            parameters=(PUBLIC_ID,),
            answers={200: json_answer("The messages", "AlertHistory")},
            errors=(400, 403, 404),
        )


_DISPLAYED: Final[Schema] = {
    "type": "string",
    "description": "For people, UTC.",
    "examples": ["Feb 26, 2026, 12:10:00"],
}
_DURATION: Final[Schema] = {"type": "string", "examples": ["2m 30s"]}
INCIDENT_SCHEMA: Final[Schema] = closed(
    {
        "id": NUMBER,
        "type": {"type": "string", "enum": list(TYPES)},
        "status": {"type": "string", "enum": ["active", "resolved"]},
        "startedAt": _DISPLAYED,
        "endedAt": nullable(_DISPLAYED),
        "duration": described(_DURATION, "From the confirmation to the end, or to now."),
        "publicId": UUID_SCHEMA,
        "startedAtIso": TIME,
        "endedAtIso": nullable(TIME),
        "durationMs": COUNT,
        "details": described(STRING, "In words what is wrong."),
        "isOngoing": {"type": "boolean"},
    }
)


def _schemas() -> Schema:
    about: Schema = {"incidentId": described(NUMBER, "The incident's `id`.")}
    keys = dict(ALERT_SCHEMAS)
    alert = {"id": keys.pop("id"), **about, **keys}
    incidents = {"type": "array", "items": ref("IncidentOfMonitor")}
    alerts = {"type": "array", "items": ref("AlertOfMonitor")}
    return {
        "IncidentOfMonitor": INCIDENT_SCHEMA,
        "IncidentHistory": closed({"incidents": incidents, "total": COUNT}),
        "AlertOfMonitor": closed(alert),
        "AlertHistory": closed({"alerts": alerts, "total": COUNT}),
    }


def _routes(parts: Parts) -> Iterator[Route]:
    incidents = parts.views.incidents
    for monitors in parts.monitors.values():
        path = monitors.kind.path + "/{public_id}"
        yield Route(f"{path}/incident-history", IncidentHistory(monitors, incidents))
        yield Route(f"{path}/alert-history", AlertHistory(monitors, incidents))


RESOURCE: Final = Resource(routes=_routes, operations=_operations, schemas=_schemas)
