"""The endpoints of monitors: both kinds behave alike and differ in words and shapes.

The order of checks is the contract's: 401, path id 400, 404, scope 403, role 403,
body 400. The customer of a new monitor stands in the body, so there it is the body
first, then 404 and the scope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import falcon

from api import monitor_fields
from api.body import read_object
from api.errors import invalid
from api.fields import parse_identifier, parse_uuid
from api.paging import read_page
from api.permissions import Action, Principal
from domain.commands import CreateMonitor, UpdateMonitor
from domain.errors import InvalidInputError, NotFoundError, SecretUnreadableError
from domain.secret_fields import mask_secret
from projections.reader import MonitorFilter, MonitorView
from projections.shapes import Form, Shape, monitor_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.mail_config import Kind
    from domain.monitoring import Monitoring
    from projections.catch_up import Projector
    from projections.reader import Reader

_MAX_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class Family:
    """One of the two kinds of monitors, in the words of its documented pages."""

    kind: Kind
    path: str
    id_required: str
    not_found: str


FAMILIES: Final = (
    Family("smtp", "/api/smtp-monitors", "SMTP monitor public ID (UUID) required", "Not found"),
    Family(
        "imap_pop",
        "/api/imap-pop-monitors",
        "IMAP/POP monitor public ID (UUID) required",
        "IMAP/POP monitor not found",
    ),
)


class Monitors:
    """What both endpoints of a family share: finding, judging and showing monitors."""

    def __init__(
        self, family: Family, monitoring: Monitoring, reader: Reader, projector: Projector
    ) -> None:
        self.family = family
        self.monitoring = monitoring
        self.reader = reader
        self._projector = projector

    def find(self, public_id: str, principal: Principal) -> MonitorView:
        """Return a monitor that the caller may know of; raises 400, 404 or 403."""
        key = parse_uuid(public_id)
        if key is None:
            raise falcon.HTTPBadRequest(description=self.family.id_required)
        found = self.reader.monitor(self.family.kind, key)
        if found is None or not principal.sees_organization(found.monitor["organization_id"]):
            raise NotFoundError(self.family.not_found)
        if not principal.covers_customer(found.monitor["customer_id"]):
            raise falcon.HTTPForbidden(description="The monitor is outside the token's customer")
        return found

    def written(self, monitor_id: UUID, principal: Principal) -> Shape:
        """Return the answer to a command, after the view has caught up with it."""
        self.catch_up()
        view = self.reader.monitor(self.family.kind, str(monitor_id))
        if view is None:
            raise NotFoundError(self.family.not_found)
        if not principal.may(Action.SEE_SECRETS):
            return self.shown(view, "written")
        try:
            config = self.monitoring.unsealed(monitor_id, self.family.kind, view.monitor["config"])
        except SecretUnreadableError:
            return self.shown(view, "written")
        return monitor_shape(view, "written", config)

    def catch_up(self) -> None:
        """Let the caller read what it wrote, on any worker."""
        self._projector.catch_up()

    def shown(self, view: MonitorView, form: Form) -> Shape:
        """Return a shape with the secret masked."""
        return monitor_shape(view, form, mask_secret(self.family.kind, view.monitor["config"]))

    def command(self, send: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the command gives
        """Run a command; problems of a config get the path of the documented key."""
        try:
            return send()
        except InvalidInputError as error:
            key = monitor_fields.CONFIG_KEYS[self.family.kind][0]
            raise invalid(monitor_fields.below(key, error.problems)) from None


class MonitorCollection:
    """POST and GET of a family's collection."""

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
        actor = principal.actor(req.context.request_id)
        monitor = self._monitors.command(
            lambda: self._monitors.monitoring.create_monitor(command, actor)
        )
        resp.status = falcon.HTTP_201
        resp.location = f"{family.path}/{monitor.id}"
        resp.media = self._monitors.written(monitor.id, principal)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List monitors (contract part B, 4.3 and 5.3)."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_MONITOR)
        page, per_page = read_page(req)
        which = MonitorFilter(
            kind=self._monitors.family.kind,
            organization_id=self._organization_filter(req, principal),
            customer_id=self._customer_filter(req, principal),
            search=req.get_param("search"),
        )
        found = self._monitors.reader.monitors(which, page, per_page)
        resp.media = {
            "items": [self._monitors.shown(view, "listed") for view in found.items],
            "total": found.total,
            "page": page,
            "perPage": per_page,
        }

    def _customer(self, identifier: int | str, principal: Principal) -> dict[str, Any]:
        customer = self._monitors.reader.customer(identifier)
        if customer is None or customer["organization_id"] != principal.organization_id:
            raise NotFoundError("Customer not found")
        if not principal.covers_customer(customer["public_id"]):
            raise falcon.HTTPForbidden(description="The customer is outside the token's scope")
        return customer

    def _organization_filter(self, req: falcon.Request, principal: Principal) -> str:
        identifier = _query_identifier(req, "organizationId")
        if identifier is None:
            return principal.organization_id
        organization = self._monitors.reader.organization(identifier)
        if organization is None or not principal.sees_organization(organization["public_id"]):
            raise falcon.HTTPForbidden(description="The organization is outside the token's scope")
        found: str = organization["public_id"]
        return found

    def _customer_filter(self, req: falcon.Request, principal: Principal) -> str | None:
        identifier = _query_identifier(req, "customerId")
        if identifier is None:
            return principal.customer_id
        customer = self._monitors.reader.customer(identifier)
        if customer is None or not principal.sees_organization(customer["organization_id"]):
            raise NotFoundError("Customer not found")
        if not principal.covers_customer(customer["public_id"]):
            raise falcon.HTTPForbidden(description="The customer is outside the token's scope")
        found: str = customer["public_id"]
        return found


class MonitorItem:
    """GET, PATCH and DELETE of one monitor."""

    def __init__(self, monitors: Monitors) -> None:
        self._monitors = monitors

    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show a monitor (contract part B, 4.4 and 5.4)."""
        principal: Principal = req.context.principal
        view = self._monitors.find(public_id, principal)
        require(principal, Action.READ_MONITOR)
        resp.media = self._monitors.shown(view, "read")

    def on_patch(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Change a monitor (contract part B, 4.5 and 5.5)."""
        principal: Principal = req.context.principal
        view = self._monitors.find(public_id, principal)
        require(principal, Action.UPDATE_STATUS)
        body = read_object(req)
        if monitor_fields.touches_more_than_status(body):
            require(principal, Action.UPDATE_MONITOR)
        changes = monitor_fields.parse_update(self._monitors.family.kind, body, view.customer)
        command = UpdateMonitor(UUID(view.monitor["public_id"]), changes)
        actor = principal.actor(req.context.request_id)
        self._monitors.command(lambda: self._monitors.monitoring.update_monitor(command, actor))
        resp.media = self._monitors.written(command.monitor_id, principal)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Delete a monitor (contract Q-4)."""
        principal: Principal = req.context.principal
        view = self._monitors.find(public_id, principal)
        require(principal, Action.DELETE_MONITOR)
        monitor_id = UUID(view.monitor["public_id"])
        self._monitors.monitoring.delete_monitor(
            monitor_id, principal.actor(req.context.request_id)
        )
        self._monitors.catch_up()
        resp.media = {"success": True}


def require(principal: Principal, action: Action) -> None:
    """Raise 403 unless the caller's role allows the action."""
    if not principal.may(action):
        raise falcon.HTTPForbidden(description=f"The role {principal.role} may not {action.value}")


def _query_identifier(req: falcon.Request, name: str) -> int | str | None:
    text = req.get_param(name)
    if text is None:
        return None
    identifier = parse_identifier(_number(text) or text)
    if identifier is None:
        raise falcon.HTTPBadRequest(description=f"Invalid {name}: must be a number or a UUID")
    return identifier


def _number(text: str) -> int | None:
    """Return a whole number; None for more digits than any store can compare with."""
    short_enough = len(text) <= _MAX_DIGITS
    return int(text) if text.isascii() and text.isdecimal() and short_enough else None
