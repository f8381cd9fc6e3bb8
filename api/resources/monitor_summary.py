"""GET /api/monitors/summary: how many monitors are in which state (D-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from api.http.execution import Cost
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.openapi.operations import DocumentedOperation, json_answer
from api.openapi.resource import Resource, Route
from api.openapi.vocabulary import COUNT, closed
from api.resources.all_monitors import OWNER_PARAMETERS, STATE_TAG, read_owner
from domain.incident import IncidentType
from domain.kinds import KINDS
from domain.monitor_state import STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon

    from api.http.fields import Schema
    from api.resources.parts import Parts
    from projections.readers.monitors import MonitorReader
    from projections.readers.states import StateReader


OF_MONITORS: Final = tuple(each for each in get_args(IncidentType) if each != "location")
"""Types of incidents that a monitor has."""


class MonitorSummary:
    """GET of the counts."""

    def __init__(self, reader: MonitorReader, states: StateReader) -> None:
        self._reader = reader
        self._states = states

    @costs(Cost.SHORT_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Count monitors by state and by kind, and open incidents by type."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_MONITOR)
        found = self._states.counts(*read_owner(req, principal, self._reader))
        opened = {each: found.open_incidents[each] for each in OF_MONITORS}
        resp.media = {
            "total": sum(found.by_state.values()),
            "byState": found.by_state,
            "byType": found.by_kind,
            "openIncidents": {"total": sum(opened.values()), "byType": opened},
        }


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/api/monitors/summary",
        name="summarizeMonitors",
        tag=STATE_TAG.name,
        summary="Count monitors by state",
        parameters=OWNER_PARAMETERS,
        answers={
            200: json_answer("The counts", "MonitorSummary", example="summarize_monitors"),
        },
        errors=(400, 403, 404),
    )


def _schemas() -> Schema:
    def counts(names: tuple[str, ...]) -> Schema:
        return closed(dict.fromkeys(names, COUNT))

    return {
        "MonitorSummary": closed(
            {
                "total": COUNT,
                "byState": counts(STATES),
                "byType": counts(tuple(KINDS)),
                "openIncidents": closed({"total": COUNT, "byType": counts(OF_MONITORS)}),
            }
        )
    }


def _routes(parts: Parts) -> Iterator[Route]:
    yield Route("/api/monitors/summary", MonitorSummary(parts.reader, parts.views.states))


RESOURCE: Final = Resource(routes=_routes, operations=_operations, schemas=_schemas)
