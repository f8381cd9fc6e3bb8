"""GET history: the events of a monitor with what each changed, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from api.http.execution import Cost
from api.http.operation import costs
from api.http.parameters import query_position, read_limit
from api.http.permissions import Action, Principal, require
from api.http.read_your_writes import catch_up_best_effort
from api.openapi import names
from api.openapi.operations import DocumentedOperation, json_answer
from api.openapi.parameters import BEFORE, LIMIT, PUBLIC_ID
from api.openapi.resource import Resource, Route
from domain.errors import NotFoundError
from domain.kinds import KINDS
from projections.views.history import FOR_EVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import falcon

    from api.resources.monitors import Monitors
    from api.resources.parts import Parts
    from projections.core.projector import Projector
    from projections.readers.history import HistoryReader, PlacedEntry


class MonitorHistory:
    """The history of one monitor, also of a deleted one."""

    def __init__(self, monitors: Monitors, history: HistoryReader, projector: Projector) -> None:
        self._monitors = monitors
        self._history = history
        self._projector = projector

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show up to `limit` events before a position; `next` is the `before` of older ones."""
        principal: Principal = req.context.principal
        catch_up_best_effort(self._projector)
        key = self._monitors.key(public_id)
        self._require(key, principal)
        limit = read_limit(req)
        before = query_position(req, "before", head=self._projector.log.head())
        found = self._history.entries_of(key, FOR_EVER if before is None else before, limit + 1)
        following = found[limit - 1].position if len(found) > limit else None
        resp.data = page(found[:limit], {"next": following})

    def _require(self, key: str, principal: Principal) -> None:
        thing = self._history.thing(key)
        if thing is None or thing["kind"] != self._monitors.kind.name:
            raise NotFoundError(self._monitors.kind.not_found)
        self._monitors.require_scope(principal, thing["organization_id"], thing["customer_id"])
        require(principal, Action.READ_HISTORY)
        if thing["gone"] != FOR_EVER:
            require(principal, Action.READ_HISTORY_OF_DELETED)


def page(entries: Sequence[PlacedEntry], more: dict[str, object]) -> bytes:
    """Return a page of entries as JSON, followed by the keys of `more`."""
    return orjson.dumps({"items": [orjson.Fragment(each.body) for each in entries], **more})


def _operations() -> Iterator[DocumentedOperation]:
    for kind in KINDS.values():
        yield DocumentedOperation(
            method="get",
            path=kind.path + "/{public_id}/history",
            name=f"get{names.monitor(kind)}History",
            tag=names.tag(kind),
            summary="Show who changed what of a monitor",
            description="Newest first. Secrets are shown as changed, never what they are. The "
            "history of a deleted monitor is for the roles `admin`, `supporter` and `operator`.",
            parameters=(PUBLIC_ID, BEFORE, LIMIT),
            answers={
                200: json_answer(
                    "The events", "MonitorHistory", example=f"{names.example(kind)}_history"
                )
            },
            errors=(400, 403, 404),
        )


def _routes(parts: Parts) -> Iterator[Route]:
    history, projector = parts.views.history, parts.views.projector("history")
    for monitors in parts.monitors.values():
        path = monitors.kind.path + "/{public_id}/history"
        yield Route(path, MonitorHistory(monitors, history, projector))


RESOURCE: Final = Resource(routes=_routes, operations=_operations)
