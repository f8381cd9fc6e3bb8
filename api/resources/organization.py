"""GET /api/organization and GET /api/monitoring-locations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.http.execution import Cost
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.http.scope import referenced
from domain.clock import Clock, utc_now
from projections.shapes.location import location_shape

if TYPE_CHECKING:
    import falcon

    from projections.readers.monitors import MonitorReader


class OrganizationResource:
    """The caller's organization (contract part B, 8.1)."""

    def __init__(self, reader: MonitorReader) -> None:
        self._reader = reader

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the organization. Postwatch bills nobody: the billing keys are null."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_ORGANIZATION)
        organization = referenced(self._reader.organization(principal.organization_id))
        billing = ("companyName", "street", "postalCode", "city", "country", "vatId")
        resp.media = {
            "id": organization["number"],
            "name": organization["name"],
            **dict.fromkeys(billing),
            "billingEmail": None,
            "createdAt": organization["created_at"],
            "publicId": organization["public_id"],
        }


class Locations:
    """The locations from which checkers check servers (contract Q-35)."""

    def __init__(self, reader: MonitorReader, clock: Clock = utc_now) -> None:
        self._reader = reader
        self._clock = clock

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List locations by number, without retired ones."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_ORGANIZATION)
        last, now = self._reader.last_check_of_locations(), self._clock()
        resp.media = [
            location_shape(each, last.get(each["code"]), now)
            for each in self._reader.locations()
            if each["retired_at"] is None
        ]
