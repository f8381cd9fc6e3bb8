"""GET /healthz and /readyz: liveness and readiness, without a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import falcon
from eventsourcing.persistence import PersistenceError

from api.http.execution import Cost
from api.http.operation import costs
from store.ports.errors import outage_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from projections.core.projector import Projector
    from store.store import Store


MAX_LAG: Final = 1000
"""Events that a view may be behind its log before the service is not ready."""


class Health:
    """GET /healthz: the worker answers; it touches neither store nor views."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer that this worker takes requests."""
        resp.media = {"status": "ok"}


class Readiness:
    """GET /readyz: the log is writable, and the views have caught up with it."""

    def __init__(
        self, store: Store, projectors: Mapping[str, Projector], max_lag: int = MAX_LAG
    ) -> None:
        self._store = store
        self._projectors = projectors
        self._max_lag = max_lag

    @costs(Cost.WRITE)
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 when all parts are fit, 503 otherwise; the body says which are not."""
        parts: dict[str, dict[str, Any]] = {"log": self._log()}
        for name, projector in self._projectors.items():
            parts[f"view {name}"] = self._view(projector)
        ready = all(part["ok"] for part in parts.values())
        resp.status = falcon.HTTP_200 if ready else falcon.HTTP_503
        resp.media = {"status": "ok" if ready else "unfit", "parts": parts}

    def _log(self) -> dict[str, Any]:
        try:
            self._store.check_writable()
        except PersistenceError as error:
            return {"ok": False, "error": outage_reason(error)}
        return {"ok": True}

    def _view(self, projector: Projector) -> dict[str, Any]:
        try:
            lag, is_current = projector.lag(), projector.is_current()
        except PersistenceError as error:
            return {"ok": False, "error": outage_reason(error)}
        return {"ok": is_current and lag <= self._max_lag, "lag": lag}
