"""The scope of a list: `organizationId` and `customerId` of a query, within the caller's rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import falcon

from api.http.parameters import query_identifier
from domain.errors import NotFoundError

if TYPE_CHECKING:
    from api.http.permissions import Principal
    from projections.core.table import Record
    from projections.readers.monitors import MonitorAnswers


def referenced(record: Record | None) -> Record:
    """Return a record that another record of the view refers to.

    Raises LookupError when the view lacks it: that is a fault of the view, not of a caller.
    """
    if record is None:
        raise LookupError("a view lacks a record that another record of it refers to")
    return record


def asked_organization(
    req: falcon.Request, principal: Principal, answers: MonitorAnswers
) -> Record | None:
    """Return the organization that a query names, None when it names none. Raises 400, 403."""
    identifier = query_identifier(req, "organizationId")
    if identifier is None:
        return None
    organization = answers.organization(identifier)
    if organization is None or not principal.sees_organization(organization["public_id"]):
        raise falcon.HTTPForbidden(description="The organization is outside the token's scope")
    return organization


def asked_customer(
    req: falcon.Request, principal: Principal, answers: MonitorAnswers
) -> Record | None:
    """Return the customer that a query names, None when it names none. Raises 400, 404, 403."""
    identifier = query_identifier(req, "customerId")
    if identifier is None:
        return None
    customer = answers.customer(identifier)
    if customer is None or not principal.sees_organization(customer["organization_id"]):
        raise NotFoundError("Customer not found")
    if not principal.covers_customer(customer["public_id"]):
        raise falcon.HTTPForbidden(description="The customer is outside the token's scope")
    return customer
