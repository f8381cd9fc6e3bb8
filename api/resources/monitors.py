"""The endpoints of monitors: one family of URLs for each kind of monitor.

The families behave alike and differ in words and shapes. Each request is checked in the
order of the contract: 401, path id 400, 404, scope 403, role 403, body 400. A POST names the
customer in its body, so there the body comes before 404 and scope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import falcon
import orjson

from api.http import read_your_writes
from api.http.as_of import HEADER
from api.http.body import read_object
from api.http.errors import InvalidParameterError, invalid
from api.http.execution import Cost
from api.http.fields import parse_uuid
from api.http.operation import costs
from api.http.parameters import read_page, whole_number
from api.http.permissions import Action, Principal, require
from api.http.preconditions import entity_tag, expected_version, idempotency_key
from api.http.scope import asked_customer, asked_organization, referenced
from api.openapi import configs, names
from api.openapi.operations import DocumentedOperation, json_answer, query
from api.openapi.parameters import AS_OF, IDEMPOTENCY_KEY, IF_MATCH, PAGE, PUBLIC_ID
from api.openapi.problems import BODY_ERRORS
from api.openapi.resource import Resource, Route, Tag
from api.openapi.responses import monitor_components
from api.openapi.vocabulary import identifier_in_text, nullable_ref, ref
from api.resources import monitor_body
from api.resources.all_monitors import (
    SEARCH,
    STATE_PARAMETERS,
    is_by_state,
    needs_sorting,
    read_sort,
    read_states,
)
from api.resources.monitor_body import CREATE_BODIES, UPDATE_BODIES, body_schema
from domain.commands import CreateMonitor, UpdateMonitor
from domain.config_secrets import echo_secrets, mask_secrets
from domain.errors import InvalidInputError, NotFoundError
from domain.kinds import KINDS
from projections.readers.monitors import MonitorFilter, MonitorRecords
from projections.readers.states import StateFilter
from projections.shapes.monitor import Shape, monitor_shape
from projections.shapes.monitor_state import with_state
from projections.views import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from api.http.as_of import AsOf
    from api.http.fields import Schema
    from api.resources.parts import Parts
    from domain.kinds import Config, MonitorKind
    from domain.monitor import Monitor
    from domain.monitoring import Monitoring
    from projections.catalog import Views
    from projections.core.table import Record
    from projections.readers.monitors import MonitorAnswers, RenderedMonitor


_DEEP_PAGE: Final = 20
"""Later pages of a list are costly: the store counts its way to them."""


def _cost_of_list(req: falcon.Request) -> Cost:
    """Return the cost of a list; searches, the past and deep pages read much."""
    if req.has_param("search") or req.has_param("asOf") or needs_sorting(req):
        return Cost.COSTLY_READ
    page = req.get_param("page")
    is_deep = page is not None and (whole_number(page) or 0) > _DEEP_PAGE
    return Cost.COSTLY_READ if is_deep else Cost.SHORT_READ


def _cost_of_item(req: falcon.Request) -> Cost:
    """Return the cost of one monitor; its past is folded from its events."""
    return Cost.COSTLY_READ if req.has_param("asOf") else Cost.SHORT_READ


class MonitorCollection:
    """POST and GET of the collection of a kind."""

    def __init__(self, monitors: Monitors) -> None:
        self._monitors = monitors

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a monitor (contract part B, 4.2 and 5.2)."""
        principal: Principal = req.context.principal
        require(principal, Action.CREATE_MONITOR)
        kind = self._monitors.kind
        fields = monitor_body.parse_create(kind.name, read_object(req))
        customer = self._customer(fields.pop("customer_id"), principal)
        command = CreateMonitor(
            kind=kind.name,
            organization_id=UUID(customer["organization_id"]),
            customer_id=UUID(customer["public_id"]),
            **fields,
        )
        # Before the command: once it is recorded, a failing read must not prevent the answer.
        organization = referenced(self._monitors.reader.organization(customer["organization_id"]))
        monitoring = self._monitors.monitoring
        actor = principal.actor(req.context.request_id)
        repeat = idempotency_key(req, monitoring, principal, kind.path)
        monitor = self._monitors.command(
            lambda: monitoring.create_monitor(command, actor, repeat=repeat)
        )
        resp.status = falcon.HTTP_201
        resp.location = f"{kind.path}/{monitor.id}"
        resp.etag = entity_tag(1)
        resp.media = self._monitors.created(
            monitor, customer, organization, principal, sent=command.config
        )

    @costs(_cost_of_list)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List monitors (contract part B, 4.3 and 5.3)."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_MONITOR)
        page, per_page = read_page(req)
        states, (sort, is_descending) = read_states(req), read_sort(req)
        answers = self._monitors.as_of.answers(req)
        organization = asked_organization(req, principal, answers)
        customer = asked_customer(req, principal, answers)
        which = MonitorFilter(
            kind=self._monitors.kind.name,
            organization_id=organization["public_id"]
            if organization
            else principal.organization_id,
            customer_id=customer["public_id"] if customer else principal.customer_id,
            search=req.get_param("search"),
            shows_state=not req.has_param("asOf"),
        )
        if is_by_state(req):
            by_state = StateFilter(
                kind=which.kind,
                organization_id=which.organization_id,
                customer_id=which.customer_id,
                search=which.search,
                states=states,
                sort=sort,
                is_descending=is_descending,
            )
            found = self._monitors.states.listed(by_state, page, per_page)
        else:
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

    def __init__(self, monitors: Monitors) -> None:
        self._monitors = monitors

    @costs(_cost_of_item)
    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show a monitor (contract part B, 4.4 and 5.4)."""
        principal: Principal = req.context.principal
        shown = self._monitors.read(public_id, principal, self._monitors.as_of.answers(req))
        require(principal, Action.READ_MONITOR)
        resp.set_header(HEADER, str(shown.position))
        resp.etag = entity_tag(shown.version)
        resp.data = self._monitors.body(req, public_id, shown).encode()

    def on_patch(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Change a monitor (contract part B, 4.5 and 5.5)."""
        principal: Principal = req.context.principal
        view = self._monitors.find(public_id, principal)
        require(principal, Action.UPDATE_STATUS)
        body = read_object(req)
        if monitor_body.touches_more_than_status(body):
            require(principal, Action.UPDATE_MONITOR)
        changes = monitor_body.parse_update(self._monitors.kind.name, body, view)
        monitor_id = UUID(view.monitor["public_id"])
        command = UpdateMonitor(monitor_id, changes, expected_version(req))
        actor = principal.actor(req.context.request_id)
        monitor = self._monitors.command(
            lambda: self._monitors.monitoring.update_monitor(command, actor)
        )
        resp.media = self._monitors.updated(monitor, principal, resp, sent=changes.get("config"))

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


"""What reading a stored password raises: its key was destroyed, or cannot be read now."""


class Monitors:
    """The monitors of one kind, as a caller may see and change them."""

    def __init__(
        self,
        kind: MonitorKind,
        monitoring: Monitoring,
        views: Views,
        as_of: AsOf,
    ) -> None:
        self.kind = kind
        self.monitoring = monitoring
        self.reader = views.reader
        self.as_of = as_of
        self.states = views.states
        self._projector = views.projector("monitors")
        self._states_projector = views.projector("states")

    def find(self, public_id: str, principal: Principal) -> MonitorRecords:
        """Return a monitor in the caller's scope. Raises 400, 404, 403."""
        key = self.key(public_id)
        found = self.reader.monitor(self.kind.name, key)
        if found is None and read_your_writes.retry_after_catch_up(self._projector):
            found = self.reader.monitor(self.kind.name, key)
        if found is None:
            raise NotFoundError(self.kind.not_found)
        monitor = found.monitor
        self.require_scope(principal, monitor["organization_id"], monitor["customer_id"])
        return found

    def read(
        self, public_id: str, principal: Principal, answers: MonitorAnswers
    ) -> RenderedMonitor:
        """Return the answer to GET of one monitor. Raises 400, 404, 403.

        If the view lacks the monitor, the view catches up with the log and is asked again; a
        request for the past (`asOf`) is answered from the view alone.
        """
        kind, key = self.kind.name, self.key(public_id)
        found = answers.rendered_monitor(kind, key)
        if (
            found is None
            and answers is self.reader
            and read_your_writes.retry_after_catch_up(self._projector)
        ):
            found = answers.rendered_monitor(kind, key)
        if found is None:
            raise NotFoundError(self.kind.not_found)
        self.require_scope(principal, found.organization_id, found.customer_id)
        return found

    def body(self, req: falcon.Request, public_id: str, shown: RenderedMonitor) -> str:
        """Return the answer to GET of one monitor with what is known now, unless it is the past."""
        if req.has_param("asOf"):
            return shown.body
        return with_state(shown.body, self.states.known(self.key(public_id)))

    def created(
        self,
        monitor: Monitor,
        customer: Record,
        organization: Record,
        principal: Principal,
        *,
        sent: Config,
    ) -> Shape:
        """Return the answer to a POST: the monitor as it was made, also when asked again."""
        self.catch_up()
        view = MonitorRecords(records.of_monitor(monitor), customer, organization, None)
        return _written(view, principal, sent)

    def updated(
        self,
        monitor: Monitor,
        principal: Principal,
        resp: falcon.Response,
        *,
        sent: Config | None,
    ) -> Shape:
        """Return the answer to a PATCH, after the view has caught up with it."""
        is_shown = self.catch_up()
        view = self.reader.monitor(self.kind.name, str(monitor.id))
        if view is None:
            raise NotFoundError(self.kind.not_found)
        if not is_shown:
            view = view._replace(monitor=records.of_monitor(monitor))
        resp.etag = entity_tag(view.monitor["version"])
        return _written(view, principal, sent)

    def catch_up(self) -> bool:
        """Catch the views up after a command, for all workers; return whether that worked."""
        read_your_writes.follow(self._states_projector, "monitoring")
        return read_your_writes.catch_up(self._projector)

    def command(self, send: Callable[[], Monitor]) -> Monitor:
        """Run a command; problems of its config get the path of the documented key."""
        try:
            return send()
        except InvalidInputError as error:
            key = self.kind.config_key
            raise invalid(monitor_body.below(key, error.problems)) from None

    def key(self, public_id: str) -> str:
        """Return a public id in its normal form; raises 400 for what is none."""
        key = parse_uuid(public_id)
        if key is None:
            raise InvalidParameterError(
                "public_id", "must be a UUID", text=f"{self.kind.label} public ID (UUID) required"
            )
        return key

    def require_scope(self, principal: Principal, organization_id: str, customer_id: str) -> None:
        """Raise 404 for another organization's monitor, 403 for another customer's."""
        if not principal.sees_organization(organization_id):
            raise NotFoundError(self.kind.not_found)
        if not principal.covers_customer(customer_id):
            raise falcon.HTTPForbidden(description="The monitor is outside the token's customer")


def _written(view: MonitorRecords, principal: Principal, sent: Config | None) -> Shape:
    """Return the answer to a write.

    It shows a secret only when this very request carried it in clear (contract Q-2).
    """
    config = view.monitor["config"]
    if sent is None or not principal.may(Action.SEE_SECRETS):
        return monitor_shape(view, "written", mask_secrets(config))
    return monitor_shape(view, "written", echo_secrets(config, sent))


_ENTITY_TAG: Final = {"ETag": ref("EntityTag", "headers")}
_AS_OF: Final = {HEADER: ref("AsOfPosition", "headers")}


def _operations() -> Iterator[DocumentedOperation]:
    for kind in KINDS.values():
        yield from _document_collection(kind)
        yield from _document_item(kind)


def _document_collection(kind: MonitorKind) -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path=kind.path,
        name=f"list{names.monitor(kind)}s",
        tag=names.tag(kind),
        summary="List monitors",
        description="By number, in pages. Secrets are masked.",
        parameters=(
            query(
                "organizationId",
                identifier_in_text("The organization"),
                "Default: the token's organization.",
            ),
            query("customerId", identifier_in_text("The customer"), "Only this customer's."),
            SEARCH,
            *STATE_PARAMETERS,
            *PAGE,
            AS_OF,
        ),
        answers={
            200: json_answer(
                "A page", names.page(kind), headers=_AS_OF, example=f"list_{names.example(kind)}s"
            ),
        },
        errors=(400, 403, 404),
    )
    yield DocumentedOperation(
        method="post",
        path=kind.path,
        name=f"create{names.monitor(kind)}",
        tag=names.tag(kind),
        summary="Create a monitor",
        description="It is checked at once. The answer shows the secret that was sent.",
        parameters=(IDEMPOTENCY_KEY,),
        body=ref(names.body("Create", kind)),
        example=f"create_{names.example(kind)}",
        answers={
            201: json_answer(
                "The monitor",
                names.monitor(kind, "written"),
                headers={"Location": ref("Location", "headers"), **_ENTITY_TAG},
                links=_links(kind),
                example=f"create_{names.example(kind)}",
            )
        },
        errors=(*BODY_ERRORS, 403, 404, 409),
    )


def _document_item(kind: MonitorKind) -> Iterator[DocumentedOperation]:
    path = kind.path + "/{public_id}"
    yield DocumentedOperation(
        method="get",
        path=path,
        name=f"get{names.monitor(kind)}",
        tag=names.tag(kind),
        summary="Show a monitor",
        description="Secrets are masked.",
        parameters=(PUBLIC_ID, AS_OF),
        answers={
            200: json_answer(
                "The monitor",
                names.monitor(kind),
                headers={**_ENTITY_TAG, **_AS_OF},
                example=f"get_{names.example(kind)}",
            )
        },
        errors=(400, 403, 404),
    )
    yield DocumentedOperation(
        method="patch",
        path=path,
        name=f"update{names.monitor(kind)}",
        tag=names.tag(kind),
        summary="Change a monitor",
        description="A key that is absent is unchanged; null clears. A token of the role "
        "`readonly` may send `status` and nothing else. A change of nothing records nothing.",
        parameters=(PUBLIC_ID, IF_MATCH),
        body=ref(names.body("Update", kind)),
        example=f"update_{names.example(kind)}",
        answers={
            200: json_answer(
                "The monitor",
                names.monitor(kind, "written"),
                headers=_ENTITY_TAG,
                example=f"update_{names.example(kind)}",
            )
        },
        errors=(*BODY_ERRORS, 403, 404, 409, 412),
    )
    yield DocumentedOperation(
        method="delete",
        path=path,
        name=f"delete{names.monitor(kind)}",
        tag=names.tag(kind),
        summary="Delete a monitor",
        description="Its history stays, its secret is destroyed.",
        parameters=(PUBLIC_ID, IF_MATCH),
        answers={200: json_answer("It is deleted", "Success")},
        errors=(400, 403, 404, 409, 412),
    )


def _links(kind: MonitorKind) -> Schema:
    """Return the links from the answer of a create to the other endpoints of the monitor."""
    monitor = names.monitor(kind)
    actions = [f"{action}{monitor}" for action in ("get", "update", "delete")]
    return {
        name: {"operationId": name, "parameters": {"public_id": "$response.body#/publicId"}}
        for name in (*actions, f"get{monitor}History", f"get{monitor}CheckHistory")
    }


def _schemas() -> Schema:
    found: Schema = {}
    for kind in KINDS.values():
        config = nullable_ref(names.sent_config(kind))
        for action, models in (("Create", CREATE_BODIES), ("Update", UPDATE_BODIES)):
            found[names.body(action, kind)] = body_schema(models[kind.name], kind, config)
        found[names.sent_config(kind)] = configs.sent(kind)
    return {**found, **monitor_components()}


def _routes(parts: Parts) -> Iterator[Route]:
    for monitors in parts.monitors.values():
        yield Route(monitors.kind.path, MonitorCollection(monitors))
        yield Route(monitors.kind.path + "/{public_id}", MonitorItem(monitors))


RESOURCE: Final = Resource(
    tags=tuple(Tag(names.tag(kind), kind.about) for kind in KINDS.values()),
    routes=_routes,
    operations=_operations,
    schemas=_schemas,
)
