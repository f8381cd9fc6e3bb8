"""GET /api/organization and GET /api/monitoring-locations."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from api.permissions import Action, Principal, require
from domain.clock import Clock, iso_milliseconds, utc_now

if TYPE_CHECKING:
    import falcon

    from projections.reader import Reader

IDLE_AFTER: Final = timedelta(days=2)


class OrganizationResource:
    """The caller's organization (contract part B, 8.1)."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the organization. Postwatch bills nobody: the billing keys are null."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_ORGANIZATION)
        organization: Any = self._reader.organization(principal.organization_id)
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
    """The places from which servers are checked (contract Q-35)."""

    def __init__(self, reader: Reader, clock: Clock = utc_now) -> None:
        self._reader = reader
        self._clock = clock

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List locations by number. A place is active while it made a check within two days.

        The longest interval is one day, so that a place at work is never taken for idle.
        """
        principal: Principal = req.context.principal
        require(principal, Action.READ_ORGANIZATION)
        last = self._reader.last_check_of_locations()
        idle_since = iso_milliseconds(self._clock() - IDLE_AFTER)
        resp.media = [
            {
                "id": each["number"],
                "code": each["code"],
                "name": each["name"],
                "countryCode": each["country"],
                "isActive": (last.get(each["code"]) or each["created_at"]) > idle_since,
                "lastCheckAt": last.get(each["code"]),
            }
            for each in self._reader.locations()
        ]
