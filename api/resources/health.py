"""GET /healthz and /readyz: liveness and readiness, without a token."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import falcon
from eventsourcing.persistence import PersistenceError

from api.http.execution import Cost
from api.http.operation import costs
from api.openapi.operations import DocumentedOperation, json_answer
from api.openapi.resource import SERVICE, Resource, Route
from api.openapi.vocabulary import closed, ref
from domain.clock import utc_now
from domain.errors import ArchiveError
from store.archiving import LONGEST_WAIT, archive_lag
from store.ports.errors import outage_reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from api.http.fields import Schema
    from api.resources.parts import Parts
    from projections.core.projector import Projector
    from store.store import Store


MAX_LAG: Final = 1000
"""Events that a view may be behind its log before the service is not ready."""


MAX_ARCHIVE_LAG: Final = LONGEST_WAIT + timedelta(days=1)
"""How long a check may wait to be archived before something is wrong."""


class Health:
    """GET /healthz: the worker answers; it touches neither store nor views."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer that this worker takes requests."""
        resp.media = {"status": "ok"}


class Readiness:
    """GET /readyz: the log is writable, and the views have caught up with it.

    It also says whether checks are archived in time. Requests are served all the same if not, so
    that does not make the service unfit.
    """

    def __init__(
        self,
        store: Store,
        projectors: Mapping[str, Projector],
        max_lag: int,
        archive_after: timedelta | None,
    ) -> None:
        self._store = store
        self._projectors = projectors
        self._max_lag = max_lag
        self._archive_after = archive_after

    @costs(Cost.WRITE)
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 when all parts are fit, 503 otherwise; the body says which are not."""
        parts: dict[str, dict[str, Any]] = {"log": self._log()}
        for name, projector in self._projectors.items():
            parts[f"view {name}"] = self._view(projector)
        ready = all(part["ok"] for part in parts.values())
        if self._archive_after is not None:
            parts["archive"] = self._archive(self._archive_after)
        resp.status = falcon.HTTP_200 if ready else falcon.HTTP_503
        resp.media = {"status": "ok" if ready else "unfit", "parts": parts}

    def _log(self) -> dict[str, Any]:
        try:
            self._store.check_writable()
        except PersistenceError as error:
            return {"ok": False, "error": outage_reason(error)}
        return {"ok": True}

    def _archive(self, archive_after: timedelta) -> dict[str, Any]:
        try:
            lag = archive_lag(self._store, archive_after, utc_now())
        except ArchiveError:
            return {"ok": False, "error": "damaged"}
        except PersistenceError as error:
            return {"ok": False, "error": outage_reason(error)}
        return {"ok": lag <= MAX_ARCHIVE_LAG, "lagSeconds": int(lag.total_seconds())}

    def _view(self, projector: Projector) -> dict[str, Any]:
        try:
            lag, is_current = projector.lag(), projector.is_current()
        except PersistenceError as error:
            return {"ok": False, "error": outage_reason(error)}
        return {"ok": is_current and lag <= self._max_lag, "lag": lag}


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/healthz",
        name="getHealth",
        tag=SERVICE.name,
        summary="Whether the process is alive",
        answers={200: json_answer("It takes requests", "Health")},
        is_open=True,
    )
    yield DocumentedOperation(
        method="get",
        path="/readyz",
        name="getReadiness",
        tag=SERVICE.name,
        summary="Whether the log is writable, views are caught up, and checks are archived in time",
        answers={
            200: json_answer("Everything is fit", "Readiness"),
            503: json_answer("Some part is not; the body says which", "Readiness"),
        },
        is_open=True,
    )


def _schemas() -> Schema:
    part = {
        "ok": {"type": "boolean"},
        "lag": {"type": "integer", "minimum": 0, "description": "Events behind the log."},
        "lagSeconds": {
            "type": "integer",
            "minimum": 0,
            "description": "For how long the oldest check has waited to be archived; a day is "
            "normal.",
        },
        "error": {"type": "string", "description": "What went wrong, as a word."},
    }
    return {
        "Health": closed({"status": {"type": "string", "const": "ok"}}),
        "ReadinessPart": closed(part, optional=frozenset({"lag", "lagSeconds", "error"})),
        "Readiness": closed(
            {
                "status": {"type": "string", "enum": ["ok", "unfit"]},
                "parts": {"type": "object", "additionalProperties": ref("ReadinessPart")},
            }
        ),
    }


def _routes(parts: Parts) -> Iterator[Route]:
    yield Route("/healthz", Health())
    needed = {name: parts.views.projector(name) for name in ("monitors", "checks")}
    yield Route("/readyz", Readiness(parts.store, needed, parts.max_view_lag, parts.archive_after))


RESOURCE: Final = Resource(
    tags=(SERVICE,), routes=_routes, operations=_operations, schemas=_schemas
)
