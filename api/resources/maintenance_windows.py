"""The endpoints of maintenance windows (contract part B, 12; D-4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

import falcon

from api.http.body import read_object
from api.http.errors import invalid
from api.http.execution import Cost
from api.http.fields import (
    ID_OR_NULL,
    NUMBER,
    IdentifierOrNull,
    Name,
    Parsed,
    RequestBody,
    Switch,
    change_of,
    parse_identifier,
)
from api.http.fields import UUID as UUID_SCHEMA
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.http.scope import asked_customer, asked_organization, referenced
from api.openapi.operations import DocumentedOperation, json_answer, path_parameter, query
from api.openapi.parameters import IDEMPOTENCY_KEY
from api.openapi.problems import BODY_ERRORS
from api.openapi.resource import Resource, Route, Tag
from api.openapi.vocabulary import (
    ALWAYS_NULL,
    STRING,
    TIME,
    closed,
    identifier_in_text,
    nullable,
    nullable_ref,
    ref,
)
from api.resources.resource_access import ResourceAccess
from api.resources.tags import tag_access
from domain.clock import parse_time
from domain.errors import InvalidInputError, InvalidValueError, Problem
from domain.kinds import KINDS, Kind
from domain.maintenance_window import (
    MAX_DESCRIPTION_LENGTH,
    MAX_WINDOWS,
    MaintenanceWindow,
    covers,
    parse_pattern,
    parse_time_zone,
    recurrence_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from api.http.fields import Body, Schema
    from api.resources.parts import Parts
    from domain.resource import Fields
    from projections.core.table import Record
    from projections.readers.monitors import MonitorReader, MonitorRef


_KIND_OF_KEY: Final[Mapping[str, Kind]] = {"smtpMonitorId": "smtp", "imapPopMonitorId": "imap_pop"}
_FOREIGN_KEYS: Final = (
    "websiteId",
    "icmpMonitorId",
    "sshMonitorId",
    "ftpMonitorId",
    "dnsMonitorId",
    "customerIpId",
    "customerDomainId",
)
"""Documented ids of things that Postwatch does not watch: null is accepted, and shown."""

_MAX_TARGETS: Final = 200


def _description(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidValueError("type", "must be a string or null")
    if len(value) > MAX_DESCRIPTION_LENGTH:
        raise InvalidValueError(
            "too_long", f"must have at most {MAX_DESCRIPTION_LENGTH} characters"
        )
    return value.strip() or None


def _some_pattern(value: object) -> dict[str, Any] | None:
    """Read a pattern; its first problem names the key, because a field has one message."""
    try:
        return parse_pattern(value)
    except InvalidInputError as error:
        first = error.problems[0]
        where = f"{first.path} " if first.path else ""
        raise InvalidValueError(first.code, f"{where}{first.message}") from None


def _identifiers(value: object) -> tuple[int | str, ...]:
    if not isinstance(value, list):
        raise InvalidValueError("type", "must be a list of ids")
    if len(value) > _MAX_TARGETS:
        raise InvalidValueError("too_long", f"must have at most {_MAX_TARGETS} ids")
    found = [parse_identifier(each) for each in value]
    if None in found:
        raise InvalidValueError("type", "must hold numbers or UUIDs")
    return tuple(each for each in found if each is not None)


def _targets(value: object) -> tuple[tuple[Kind, int | str], ...]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InvalidValueError("type", "must be a list of objects with type and id")
    if len(value) > _MAX_TARGETS:
        raise InvalidValueError("too_long", f"must have at most {_MAX_TARGETS} targets")
    found: list[tuple[Kind, int | str]] = []
    for each in value:
        which = parse_identifier(each.get("id"))
        if each.get("type") not in tuple(KINDS) or which is None or each.keys() - {"type", "id"}:
            kinds = ", ".join(KINDS)
            raise InvalidValueError("invalid", f"must hold type ({kinds}) and id of monitors")
        found.append((each["type"], which))
    return tuple(found)


_LIST_OF_IDS: Final[Schema] = {
    "type": "array",
    "items": {"anyOf": [NUMBER, UUID_SCHEMA]},
    "maxItems": _MAX_TARGETS,
}
_TARGET_KIND: Final[Schema] = {"type": "string", "enum": list(get_args(Kind))}
_PATTERN: Final[Schema] = {
    "type": ["object", "null"],
    "properties": {
        "frequency": {"type": "string", "enum": ["daily", "weekly", "monthly"]},
        "interval": {"type": "integer", "minimum": 1, "maximum": 1000},
        "daysOfWeek": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 6},
            "description": "0 is Sunday.",
        },
        "dayOfMonth": {"type": "integer", "minimum": 1, "maximum": 31},
        "endRecurrenceDate": {"type": "string", "format": "date"},
    },
    "required": ["frequency"],
    "description": "In the time zone of the window; a day that a month lacks is left out.",
}


class CreateWindowBody(RequestBody):
    """The body of POST /api/maintenance-windows."""

    READ_ONLY = frozenset({"id", "publicId", "organizationId", "tags", "createdAt", "updatedAt"})

    name: Name
    start_time: Annotated[str, Parsed(parse_time, TIME)]
    end_time: Annotated[str, Parsed(parse_time, TIME)]
    description: Annotated[
        str | None,
        Parsed(_description, {"type": ["string", "null"], "maxLength": MAX_DESCRIPTION_LENGTH}),
    ] = None
    time_zone: Annotated[
        str,
        Parsed(
            parse_time_zone,
            {"type": "string", "description": "IANA name.", "examples": ["Europe/Berlin"]},
        ),
    ] = "UTC"
    is_recurring: Switch = False
    recurrence_pattern: Annotated[dict[str, Any] | None, Parsed(_some_pattern, _PATTERN)] = None
    is_active: Switch = True
    customer_id: IdentifierOrNull = None
    targets: Annotated[
        tuple[tuple[Kind, int | str], ...],
        Parsed(
            _targets,
            {
                "type": "array",
                "items": closed({"type": _TARGET_KIND, "id": {"anyOf": [NUMBER, UUID_SCHEMA]}}),
                "maxItems": _MAX_TARGETS,
            },
        ),
    ] = ()
    tag_ids: Annotated[tuple[int | str, ...], Parsed(_identifiers, _LIST_OF_IDS)] = ()


UpdateWindowBody = change_of(CreateWindowBody)
"""The body of PATCH /api/maintenance-windows/:id."""


class Windows:
    """Reads bodies and shows windows, with the ids of other things translated."""

    def __init__(self, parts: Parts) -> None:
        self.access = ResourceAccess(parts, MaintenanceWindow, MAX_WINDOWS)
        self._reader: MonitorReader = parts.reader
        self._tags = tag_access(parts)

    def fields(self, model: type[RequestBody], body: Body, principal: Principal) -> Fields:
        """Return the fields of a body. Raises InvalidInputError with every problem."""
        problems: list[Problem] = []
        single = [key for key in _KIND_OF_KEY if body.get(key) is not None]
        foreign = [key for key in _FOREIGN_KEYS if body.get(key) is not None]
        problems += [Problem(key, "unsupported", "is not watched here") for key in foreign]
        rest = {k: v for k, v in body.items() if k not in (*_KIND_OF_KEY, *_FOREIGN_KEYS)}
        if single and not rest.get("targets"):
            rest["targets"] = [{"type": _KIND_OF_KEY[key], "id": body[key]} for key in single]
        fields = model.read(rest, problems)
        if problems:
            raise invalid(problems)
        self._translate(fields, principal, problems)
        if problems:
            raise invalid(problems)
        return fields

    def _translate(self, fields: Fields, principal: Principal, problems: list[Problem]) -> None:
        """Replace numbers by public ids, and hold the scope of a token to its customer."""
        if "targets" in fields:
            found = [self._monitor(kind, each, principal) for kind, each in fields["targets"]]
            if None in found:
                problems.append(Problem("targets", "not_found", "must name existing monitors"))
            fields["targets"] = [each.public_id for each in found if each is not None]
        if "tag_ids" in fields:
            tags = {tag["number"]: tag for tag in self._tags.list(principal.organization_id)}
            by_id = {tag["public_id"]: tag for tag in tags.values()}
            known = [
                tags.get(each) if isinstance(each, int) else by_id.get(each)
                for each in fields["tag_ids"]
            ]
            if None in known:
                problems.append(Problem("tagIds", "not_found", "must name existing tags"))
            fields["tag_ids"] = [tag["public_id"] for tag in known if tag is not None]
        if fields.get("customer_id") is not None:
            customer = self._reader.customer(fields["customer_id"])
            if customer is None or customer["organization_id"] != principal.organization_id:
                problems.append(Problem("customerId", "not_found", "must name a customer"))
            else:
                fields["customer_id"] = customer["public_id"]
                _require_customer(principal, customer["public_id"])

    def _monitor(self, kind: Kind, which: int | str, principal: Principal) -> MonitorRef | None:
        organization = principal.organization_id
        if isinstance(which, int):
            found = self._reader.monitor_numbered(kind, organization, which)
        else:
            found = self._reader.monitor_ref(which)
        if found is None or found.kind != kind or found.organization_id != organization:
            return None
        return found if principal.covers_customer(found.customer_id) else None

    def find(self, text: str, principal: Principal) -> Record:
        """Return a window in the caller's scope. Raises 400, 404, 403."""
        window = self.access.find(text, principal)
        if not self.is_visible(window, principal):
            raise falcon.HTTPForbidden(description="The window is outside the token's scope")
        return window

    def is_visible(self, window: Record, principal: Principal) -> bool:
        """Return whether a window is in the caller's scope.

        One of the whole organization is, when it may be about a monitor of the caller's customer.
        """
        if principal.customer_id is None:
            return True
        if window["customer_id"] is not None:
            return principal.covers_customer(window["customer_id"])
        return bool(window["tag_ids"] or self._targets(window, principal))

    def _targets(self, window: Record, principal: Principal) -> list[MonitorRef]:
        """Return the monitors that a window names and the caller may know of."""
        found = map(self._reader.monitor_ref, window["targets"])
        return [each for each in found if each and principal.covers_customer(each.customer_id)]

    def of_monitor(self, monitor: Record) -> list[Record]:
        """Return the windows that are about a monitor, by number."""
        tags = frozenset(each["public_id"] for each in self._reader.tags_of(monitor["public_id"]))
        return [
            each
            for each in self.access.list(monitor["organization_id"])
            if covers(
                each,
                monitor_id=monitor["public_id"],
                customer_id=monitor["customer_id"],
                tag_ids=tags,
            )
        ]

    def is_open(self, window: Record, now: datetime) -> bool:
        """Return whether a window holds messages back at a moment."""
        return window["is_active"] and recurrence_of(window).open_at(now) is not None

    def shape(self, window: Record, principal: Principal) -> Schema:
        """Return the documented JSON of a window (12.2)."""
        organization = referenced(self._reader.organization(window["organization_id"]))
        customer_id = window["customer_id"]
        customer = self._reader.customer(customer_id) if customer_id else None
        monitors = self._targets(window, principal)
        tags = {each["public_id"]: each for each in self._tags.list(window["organization_id"])}
        single = monitors[0] if len(monitors) == 1 else None
        shown = dict.fromkeys(_FOREIGN_KEYS)
        for key, kind in _KIND_OF_KEY.items():
            shown[key] = single.number if single and single.kind == kind else None
        return {
            "id": window["number"],
            "publicId": window["public_id"],
            "organizationId": organization["number"],
            "customerId": customer["number"] if customer else None,
            "name": window["name"],
            "description": window["description"],
            "startTime": window["start_time"],
            "endTime": window["end_time"],
            "isRecurring": window["is_recurring"],
            "recurrencePattern": window["recurrence_pattern"],
            "isActive": window["is_active"],
            "targets": [{"type": each.kind, "id": each.number} for each in monitors],
            "tags": [
                {
                    "id": tags[each]["number"],
                    "name": tags[each]["name"],
                    "color": tags[each]["color"],
                }
                for each in window["tag_ids"]
                if each in tags
            ],
            **{key: shown[key] for key in _SHOWN_KEYS},
            "createdAt": window["created_at"],
            "updatedAt": window["updated_at"],
            "createdBy": window["created_by"],
            "timeZone": window["time_zone"],
        }


_SHOWN_KEYS: Final = (
    "websiteId",
    "icmpMonitorId",
    "smtpMonitorId",
    "sshMonitorId",
    "ftpMonitorId",
    "imapPopMonitorId",
    "dnsMonitorId",
    "customerIpId",
    "customerDomainId",
)


def _require_customer(principal: Principal, customer_id: str | None) -> None:
    """Raise 403 when a token of one customer plans for another, or for all."""
    if principal.customer_id is not None and principal.customer_id != customer_id:
        raise falcon.HTTPForbidden(
            description="A token of one customer plans windows of that customer only"
        )


class WindowCollection:
    """POST and GET of /api/maintenance-windows."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Plan a window."""
        principal: Principal = req.context.principal
        require(principal, Action.MANAGE_WINDOWS)
        fields = self._windows.fields(CreateWindowBody, read_object(req), principal)
        if principal.customer_id is not None and fields["customer_id"] is None:
            fields["customer_id"] = principal.customer_id
        made = self._windows.access.create(req, principal, fields)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/maintenance-windows/{made['number']}"
        resp.media = self._windows.shape(made, principal)

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List windows, those of a customer if the query names one."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_ORGANIZATION)
        reader = self._windows.access.reader
        organization = asked_organization(req, principal, reader)
        customer = asked_customer(req, principal, reader)
        wanted = organization["public_id"] if organization else principal.organization_id
        resp.media = [
            self._windows.shape(each, principal)
            for each in self._windows.access.list(wanted)
            if self._windows.is_visible(each, principal)
            and (customer is None or each["customer_id"] == customer["public_id"])
        ]


class WindowItem:
    """GET, PATCH and DELETE of one window."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Show a window."""
        principal: Principal = req.context.principal
        window = self._windows.find(identifier, principal)
        require(principal, Action.READ_ORGANIZATION)
        resp.media = self._windows.shape(window, principal)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Change a window; targets can change, too."""
        principal: Principal = req.context.principal
        window = self._own(identifier, principal)
        changes = self._windows.fields(UpdateWindowBody, read_object(req), principal)
        _require_customer(principal, changes.get("customer_id", window["customer_id"]))
        changed = self._windows.access.update(req, principal, window, changes)
        resp.media = self._windows.shape(changed, principal)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Cancel a window."""
        principal: Principal = req.context.principal
        self._windows.access.delete(req, principal, self._own(identifier, principal))
        resp.media = {"success": True}

    def _own(self, identifier: str, principal: Principal) -> Record:
        window = self._windows.find(identifier, principal)
        require(principal, Action.MANAGE_WINDOWS)
        _require_customer(principal, window["customer_id"])
        return window


TAG: Final = Tag("Maintenance windows", "Times at which alerts are held back.")
_PATH: Final = "/api/maintenance-windows"
_IDENTIFIER: Final = path_parameter(
    "identifier", identifier_in_text("The window"), "Its `id` or `publicId`."
)


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path=_PATH,
        name="listMaintenanceWindows",
        tag=TAG.name,
        summary="List maintenance windows",
        parameters=(
            query(
                "organizationId", identifier_in_text("The organization"), "Default: the token's."
            ),
            query("customerId", identifier_in_text("The customer"), "Only its windows."),
        ),
        answers={200: json_answer("The windows", "MaintenanceWindowList")},
        errors=(400, 403, 404),
    )
    yield DocumentedOperation(
        method="post",
        path=_PATH,
        name="createMaintenanceWindow",
        tag=TAG.name,
        summary="Plan a maintenance window",
        description="Name `targets`, `tagIds`, one monitor, or a `customerId` for all of its "
        "monitors.",
        parameters=(IDEMPOTENCY_KEY,),
        body=ref("CreateMaintenanceWindow"),
        answers={
            201: json_answer(
                "The window", "MaintenanceWindow", headers={"Location": ref("Location", "headers")}
            )
        },
        errors=(*BODY_ERRORS, 403, 409),
    )
    yield from _document_item()


def _document_item() -> Iterator[DocumentedOperation]:
    path = f"{_PATH}/{{identifier}}"
    yield DocumentedOperation(
        method="get",
        path=path,
        name="getMaintenanceWindow",
        tag=TAG.name,
        summary="Show a maintenance window",
        parameters=(_IDENTIFIER,),
        answers={200: json_answer("The window", "MaintenanceWindow")},
        errors=(400, 403, 404),
    )
    yield DocumentedOperation(
        method="patch",
        path=path,
        name="updateMaintenanceWindow",
        tag=TAG.name,
        summary="Change a maintenance window",
        description="A key that is absent is unchanged. The change counts at once.",
        parameters=(_IDENTIFIER,),
        body=ref("UpdateMaintenanceWindow"),
        answers={200: json_answer("The window", "MaintenanceWindow")},
        errors=(*BODY_ERRORS, 403, 404, 409),
    )
    yield DocumentedOperation(
        method="delete",
        path=path,
        name="deleteMaintenanceWindow",
        tag=TAG.name,
        summary="Cancel a maintenance window",
        parameters=(_IDENTIFIER,),
        answers={200: json_answer("Deleted", "Success")},
        errors=(400, 403, 404, 409),
    )


def _schemas() -> Schema:
    return {
        "CreateMaintenanceWindow": _with_single(CreateWindowBody.schema_of_body()),
        "UpdateMaintenanceWindow": _with_single(UpdateWindowBody.schema_of_body()),
        "MaintenanceWindowPattern": {**_PATTERN, "type": "object", "additionalProperties": False},
        "MaintenanceWindow": closed(_shown()),
        "MaintenanceWindowList": {"type": "array", "items": ref("MaintenanceWindow")},
    }


def _with_single(schema: Schema) -> Schema:
    """Add the keys of older clients, which name one monitor."""
    more = dict.fromkeys(_KIND_OF_KEY, ID_OR_NULL)
    more |= dict.fromkeys(_FOREIGN_KEYS, ALWAYS_NULL)
    return {**schema, "properties": {**schema["properties"], **more}}


def _shown() -> Schema:
    tag = closed({"id": NUMBER, "name": STRING, "color": STRING})
    target = closed({"type": _TARGET_KIND, "id": NUMBER})
    single = {key: nullable(NUMBER) if key in _KIND_OF_KEY else ALWAYS_NULL for key in _SHOWN_KEYS}
    return {
        "id": NUMBER,
        "publicId": UUID_SCHEMA,
        "organizationId": NUMBER,
        "customerId": nullable(NUMBER),
        "name": STRING,
        "description": nullable(STRING),
        "startTime": TIME,
        "endTime": TIME,
        "isRecurring": {"type": "boolean"},
        "recurrencePattern": nullable_ref("MaintenanceWindowPattern"),
        "isActive": {"type": "boolean"},
        "targets": {"type": "array", "items": target},
        "tags": {"type": "array", "items": tag},
        **single,
        "createdAt": TIME,
        "updatedAt": TIME,
        "createdBy": STRING,
        "timeZone": STRING,
    }


def _routes(parts: Parts) -> Iterator[Route]:
    windows = Windows(parts)
    yield Route(_PATH, WindowCollection(windows))
    yield Route(f"{_PATH}/{{identifier}}", WindowItem(windows))


RESOURCE: Final = Resource(tags=(TAG,), routes=_routes, operations=_operations, schemas=_schemas)
