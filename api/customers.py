"""The endpoints of customers (contract part B, 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import falcon

from api import customer_fields
from api.body import read_object
from api.permissions import Action, Principal, require
from api.preconditions import repeat_key
from api.query import identifier_of, query_identifier
from api.read_back import catch_up, folded, may_be_there
from domain.commands import CreateCustomer, UpdateCustomer
from domain.errors import NotFoundError
from projections import customer_shapes as shapes
from projections import records

if TYPE_CHECKING:
    from domain.monitoring import Monitoring
    from projections.catch_up import Projector
    from projections.reader import Reader
    from projections.view import Record


class CustomerCollection:
    """POST and GET of /api/customers."""

    def __init__(self, monitoring: Monitoring, reader: Reader, projector: Projector) -> None:
        self._monitoring = monitoring
        self._reader = reader
        self._projector = projector

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a customer (9.1)."""
        principal: Principal = req.context.principal
        require(principal, Action.MANAGE_CUSTOMERS)
        if principal.customer_id is not None:
            raise falcon.HTTPForbidden(description="A token of one customer may not make others")
        fields = customer_fields.parse_create(read_object(req))
        name, email = fields.pop("name"), fields.pop("email")
        command = CreateCustomer(UUID(principal.organization_id), name, email, fields)
        # Before the command: what is recorded then is acknowledged, whatever cannot be read.
        organization: Any = self._reader.organization(principal.organization_id)
        made = self._monitoring.create_customer(
            command,
            principal.actor(req.context.request_id),
            repeat=repeat_key(req, self._monitoring, principal, "customers"),
        )
        catch_up(self._projector)
        # The customer as it was made, also when asked again after a change.
        customer = records.customer(None, self._monitoring.created_customer(made.id))
        resp.status = falcon.HTTP_201
        resp.location = f"/api/customers/{made.id}"
        resp.media = {"success": True, "customer": shapes.created(customer, organization)}

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the customers of an organization (9.2)."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_CUSTOMER)
        organization = self._organization(req, principal)
        resp.media = [
            shapes.listed(each, organization)
            for each in self._reader.customers(organization["public_id"])
            if principal.covers_customer(each["public_id"])
        ]

    def _organization(self, req: falcon.Request, principal: Principal) -> Record:
        identifier = query_identifier(req, "organizationId")
        found = self._reader.organization(identifier or principal.organization_id)
        if found is None or not principal.sees_organization(found["public_id"]):
            raise falcon.HTTPForbidden(description="The organization is outside the token's scope")
        return found


class CustomerItem:
    """GET and PATCH of one customer, by public id or number."""

    def __init__(self, monitoring: Monitoring, reader: Reader, projector: Projector) -> None:
        self._monitoring = monitoring
        self._reader = reader
        self._projector = projector

    def on_get(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Show a customer (9.3)."""
        principal: Principal = req.context.principal
        customer, organization = self._find(identifier, principal)
        require(principal, Action.READ_CUSTOMER)
        resp.media = shapes.read(customer, organization)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Change a customer (9.4)."""
        principal: Principal = req.context.principal
        customer, _ = self._find(identifier, principal)
        require(principal, Action.MANAGE_CUSTOMERS)
        changes = customer_fields.parse_update(read_object(req))
        command = UpdateCustomer(UUID(customer["public_id"]), changes)
        self._monitoring.update_customer(command, principal.actor(req.context.request_id))
        is_shown = catch_up(self._projector)
        changed, organization = _with_organization(self._reader, customer["public_id"])
        if not is_shown:
            projection = self._projector.projection
            changed = folded(self._monitoring, projection, command.customer_id) or changed
        resp.media = shapes.read(changed, organization)

    def _find(self, text: str, principal: Principal) -> tuple[Record, Record]:
        identifier = identifier_of(text)
        if identifier is None:
            raise falcon.HTTPBadRequest(description="Invalid Customer identifier")
        customer = self._reader.customer(identifier)
        if customer is None and may_be_there(self._projector):
            customer = self._reader.customer(identifier)
        if customer is None or not principal.sees_organization(customer["organization_id"]):
            raise NotFoundError("Customer not found")
        if not principal.covers_customer(customer["public_id"]):
            raise falcon.HTTPForbidden(description="The customer is outside the token's scope")
        return _with_organization(self._reader, customer["public_id"])


def _with_organization(reader: Reader, customer_id: str) -> tuple[Record, Record]:
    customer: Any = reader.customer(customer_id)
    organization: Any = reader.organization(customer["organization_id"])
    return customer, organization
