"""The endpoints of monitors: both kinds behave alike and differ in words and shapes.

The order of checks is the contract's: 401, path id 400, 404, scope 403, role 403,
body 400. The customer of a new monitor stands in the body, so there it is the body
first, then 404 and the scope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import falcon
import orjson

from api import monitor_fields
from api.as_of import HEADER
from api.body import read_object
from api.paging import read_page
from api.permissions import Action, Principal, require
from api.preconditions import entity_tag, expected_version, repeat_key
from api.scope import asked_customer, asked_organization
from domain.commands import CreateMonitor, UpdateMonitor
from domain.errors import NotFoundError
from projections.reader import MonitorFilter

if TYPE_CHECKING:
    from api.monitor_family import Monitors


class MonitorCollection:
    """POST and GET of a family's collection."""

    knows_past = True

    def __init__(self, monitors: Monitors) -> None:
        self._monitors = monitors

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a monitor (contract part B, 4.2 and 5.2)."""
        principal: Principal = req.context.principal
        require(principal, Action.CREATE_MONITOR)
        family = self._monitors.family
        fields = monitor_fields.parse_create(family.kind, read_object(req))
        customer = self._customer(fields.pop("customer"), principal)
        command = CreateMonitor(
            kind=family.kind,
            organization_id=UUID(customer["organization_id"]),
            customer_id=UUID(customer["public_id"]),
            **fields,
        )
        monitoring = self._monitors.monitoring
        actor = principal.actor(req.context.request_id)
        repeat = repeat_key(req, monitoring, principal, family.path)
        monitor = self._monitors.command(
            lambda: monitoring.create_monitor(command, actor, repeat=repeat)
        )
        resp.status = falcon.HTTP_201
        resp.location = f"{family.path}/{monitor.id}"
        resp.etag = entity_tag(1)
        resp.media = self._monitors.created(monitor.id, customer, principal)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List monitors (contract part B, 4.3 and 5.3)."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_MONITOR)
        page, per_page = read_page(req)
        answers = self._monitors.as_of.answers(req)
        organization = asked_organization(req, principal, answers)
        customer = asked_customer(req, principal, answers)
        which = MonitorFilter(
            kind=self._monitors.family.kind,
            organization_id=organization["public_id"]
            if organization
            else principal.organization_id,
            customer_id=customer["public_id"] if customer else principal.customer_id,
            search=req.get_param("search"),
        )
        found = answers.monitors(which, page, per_page)
        resp.set_header(HEADER, str(found.position))
        resp.data = orjson.dumps(
            {
                "items": orjson.Fragment(found.items),
                "total": found.total,
                "page": page,
                "perPage": per_page,
            }
        )

    def _customer(self, identifier: int | str, principal: Principal) -> dict[str, Any]:
        customer = self._monitors.reader.customer(identifier)
        if customer is None or customer["organization_id"] != principal.organization_id:
            raise NotFoundError("Customer not found")
        if not principal.covers_customer(customer["public_id"]):
            raise falcon.HTTPForbidden(description="The customer is outside the token's scope")
        return customer


class MonitorItem:
    """GET, PATCH and DELETE of one monitor."""

    knows_past = True

    def __init__(self, monitors: Monitors) -> None:
        self._monitors = monitors

    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show a monitor (contract part B, 4.4 and 5.4)."""
        principal: Principal = req.context.principal
        shown = self._monitors.read(public_id, principal, self._monitors.as_of.answers(req))
        require(principal, Action.READ_MONITOR)
        resp.set_header(HEADER, str(shown.position))
        resp.etag = entity_tag(shown.version)
        resp.data = shown.body.encode()

    def on_patch(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Change a monitor (contract part B, 4.5 and 5.5)."""
        principal: Principal = req.context.principal
        view = self._monitors.find(public_id, principal)
        require(principal, Action.UPDATE_STATUS)
        body = read_object(req)
        if monitor_fields.touches_more_than_status(body):
            require(principal, Action.UPDATE_MONITOR)
        changes = monitor_fields.parse_update(self._monitors.family.kind, body, view.customer)
        monitor_id = UUID(view.monitor["public_id"])
        command = UpdateMonitor(monitor_id, changes, expected_version(req))
        actor = principal.actor(req.context.request_id)
        self._monitors.command(lambda: self._monitors.monitoring.update_monitor(command, actor))
        resp.media = self._monitors.updated(monitor_id, principal, resp)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Delete a monitor (contract Q-4)."""
        principal: Principal = req.context.principal
        view = self._monitors.find(public_id, principal)
        require(principal, Action.DELETE_MONITOR)
        monitor_id = UUID(view.monitor["public_id"])
        self._monitors.monitoring.delete_monitor(
            monitor_id,
            principal.actor(req.context.request_id),
            expected_version=expected_version(req),
        )
        self._monitors.catch_up()
        resp.media = {"success": True}
