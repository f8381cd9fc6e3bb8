"""GET /api/organization and GET /api/monitoring-locations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.execution import Cost
from api.http.fields import NUMBER, UUID
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.http.scope import referenced
from api.openapi.operations import DocumentedOperation, json_answer
from api.openapi.resource import Resource, Route, Tag
from api.openapi.vocabulary import ALWAYS_NULL, STRING, TIME, closed, nullable, ref
from domain.clock import Clock, utc_now
from projections.shapes.location import location_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon

    from api.http.fields import Schema
    from api.resources.parts import Parts
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


TAG: Final = Tag("Organization", "The organization of the token, and where checks are made.")


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/api/organization",
        name="getOrganization",
        tag=TAG.name,
        summary="Show the token's organization",
        answers={200: json_answer("The organization", "Organization", example="get_organization")},
        errors=(403,),
    )
    yield DocumentedOperation(
        method="get",
        path="/api/monitoring-locations",
        name="listMonitoringLocations",
        tag=TAG.name,
        summary="List the places from which servers are checked",
        description="By number; retired ones are left out.",
        answers={200: json_answer("The places", "LocationList", example="list_locations")},
        errors=(403,),
    )


def _schemas() -> Schema:
    return {
        "Organization": closed(_organization()),
        "Location": closed(_location()),
        "LocationList": {"type": "array", "items": ref("Location")},
    }


def _organization() -> Schema:
    billing = ("companyName", "street", "postalCode", "city", "country", "vatId", "billingEmail")
    return {
        "id": NUMBER,
        "name": STRING,
        **dict.fromkeys(billing, ALWAYS_NULL),
        "createdAt": TIME,
        "publicId": UUID,
    }


def _location() -> Schema:
    return {
        "id": NUMBER,
        "code": {"type": "string", "examples": ["de-nbg"]},
        "name": STRING,
        "countryCode": nullable(STRING),
        "isActive": {"type": "boolean", "description": "It made a check within two days."},
        "lastCheckAt": nullable(TIME),
    }


def _routes(parts: Parts) -> Iterator[Route]:
    yield Route("/api/organization", OrganizationResource(parts.reader))
    yield Route("/api/monitoring-locations", Locations(parts.reader))


RESOURCE: Final = Resource(tags=(TAG,), routes=_routes, operations=_operations, schemas=_schemas)
