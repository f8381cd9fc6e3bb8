"""POST trigger-check: ask for a check of a monitor at once (contract part B, 4.10 and 5.9; D-3).

The request is an event. Checkers follow it; the answer does not wait for the check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from api.http.permissions import Action, Principal, require
from api.openapi import names
from api.openapi.operations import DocumentedOperation, json_answer
from api.openapi.parameters import PUBLIC_ID
from api.openapi.resource import Resource, Route
from api.openapi.vocabulary import STRING, SUCCESS, closed
from domain.errors import ConflictError
from domain.kinds import KINDS
from domain.location import may_check

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon

    from api.http.fields import Schema
    from api.resources.monitors import Monitors
    from api.resources.parts import Parts
    from domain.kinds import MonitorKind
    from projections.readers.monitors import MonitorReader, MonitorRecords


class TriggerCheck:
    """Asks for a check of one monitor from every location that may check it."""

    def __init__(self, monitors: Monitors, reader: MonitorReader) -> None:
        self._monitors = monitors
        self._reader = reader

    def on_post(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Record the request; one within ten seconds of the last one records nothing."""
        principal: Principal = req.context.principal
        found = self._monitors.find(public_id, principal)
        require(principal, Action.UPDATE_MONITOR)
        locations = self._eligible(found)
        if not locations:
            raise ConflictError("No active monitoring locations available")
        self._monitors.monitoring.requests.check_now(
            UUID(found.monitor["public_id"]), principal.actor(req.context.request_id)
        )
        kind = self._monitors.kind
        resp.media = {
            "success": True,
            "message": "Checks triggered successfully",
            _number_key(kind): found.monitor["number"],
            "locationCodes": locations,
            "queueNames": [f"{_queue_prefix(kind)}{code}" for code in locations],
        }

    def _eligible(self, found: MonitorRecords) -> list[str]:
        allowed = (
            found.monitor["allowed_check_country_codes"]
            or found.customer["allowed_check_country_codes"]
        )
        return [
            each["code"]
            for each in self._reader.locations()
            if each["retired_at"] is None and may_check(each["country"], allowed)
        ]


def _number_key(kind: MonitorKind) -> str:
    return f"{kind.resource}Id"


def _queue_prefix(kind: MonitorKind) -> str:
    return kind.path.removeprefix("/api/").removesuffix("s") + "-checks-"


def _operations() -> Iterator[DocumentedOperation]:
    for kind in KINDS.values():
        yield DocumentedOperation(
            method="post",
            path=kind.path + "/{public_id}/trigger-check",
            name=f"trigger{names.monitor(kind)}Check",
            tag=names.tag(kind),
            summary="Check a monitor now",
            description="Every location that may check the monitor does so at once. The answer "
            "does not wait for the checks. A disabled monitor is checked once.",
            parameters=(PUBLIC_ID,),
            answers={200: json_answer("Asked for", f"Triggered{names.monitor(kind)}Check")},
            errors=(400, 403, 404, 409),
        )


def _schemas() -> Schema:
    return {f"Triggered{names.monitor(kind)}Check": closed(_shape(kind)) for kind in KINDS.values()}


def _shape(kind: MonitorKind) -> dict[str, Any]:
    codes = {"type": "array", "items": STRING}
    queues = {**codes, "description": "Names as documented; Postwatch has no such queues."}
    return {
        **SUCCESS,
        "message": STRING,
        _number_key(kind): {"type": "integer", "minimum": 1},
        "locationCodes": codes,
        "queueNames": queues,
    }


def _routes(parts: Parts) -> Iterator[Route]:
    for kind in KINDS.values():
        path = kind.path + "/{public_id}/trigger-check"
        yield Route(path, TriggerCheck(parts.monitors[kind.name], parts.reader))


RESOURCE: Final = Resource(routes=_routes, operations=_operations, schemas=_schemas)
