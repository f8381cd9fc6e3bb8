"""GET check-history: the newest checks of a monitor, from its check logs (part B, 4.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from api.http.execution import Cost
from api.http.operation import costs
from api.http.parameters import read_limit
from api.http.permissions import Action, Principal, require
from projections.shapes.check import check_shape

if TYPE_CHECKING:
    import falcon

    from api.resources.monitors import Monitors
    from domain.checks import Checks


class CheckHistory:
    """The newest checks of one monitor from all locations, newest first."""

    def __init__(self, monitors: Monitors, checks: Checks) -> None:
        self._monitors = monitors
        self._checks = checks

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show up to `limit` checks."""
        principal: Principal = req.context.principal
        view = self._monitors.find(public_id, principal)
        require(principal, Action.READ_MONITOR)
        limit = read_limit(req)
        locations = {each["code"]: each for each in self._monitors.reader.locations()}
        monitor_id = UUID(view.monitor["public_id"])
        found: list[dict[str, Any]] = [
            check_shape(check, locations.get(check.location))
            for code in locations
            for check in self._checks.newest(monitor_id, code, limit)
        ]
        found.sort(key=lambda each: str(each["checkedAt"]), reverse=True)
        resp.media = {"data": found[:limit]}
