"""The endpoints of tags, and of tags on monitors (contract part B, 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import falcon

from api.http.body import read_object
from api.http.execution import Cost
from api.http.fields import NAME, NUMBER, Parsed, RequestBody, change_of, choice
from api.http.fields import UUID as UUID_SCHEMA
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.http.read_your_writes import catch_up
from api.http.scope import referenced
from api.openapi.operations import (
    DocumentedAnswer,
    DocumentedOperation,
    json_answer,
    path_parameter,
)
from api.openapi.parameters import IDEMPOTENCY_KEY
from api.openapi.problems import BODY_ERRORS
from api.openapi.resource import Resource, Route, Tag
from api.openapi.vocabulary import STRING, TIME, closed, identifier_in_text, ref
from api.resources.customers import read_fields
from api.resources.resource_access import ResourceAccess
from domain import tag as domain_tag
from domain.clock import iso_milliseconds
from domain.errors import InvalidValueError, NotFoundError
from domain.kinds import KINDS
from domain.tag import COLORS, MAX_NAME_LENGTH, MAX_TAGS, parse_color
from domain.values import parse_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.http.fields import Schema
    from api.resources.parts import Parts
    from projections.core.table import Record
    from projections.readers.monitors import MonitorRef


def _name(value: object) -> str:
    name = parse_name(value)
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidValueError("too_long", f"must have at most {MAX_NAME_LENGTH} characters")
    return name


def _number(value: object) -> int:
    if type(value) is not int or value < 1:
        raise InvalidValueError("type", "must be a number from 1")
    return value


class CreateTagBody(RequestBody):
    """The body of POST /api/tags."""

    READ_ONLY = frozenset(
        {"id", "publicId", "organizationId", "createdBy", "createdAt", "updatedAt"}
    )

    name: Annotated[str, Parsed(_name, {**NAME, "maxLength": MAX_NAME_LENGTH})]
    color: Annotated[str, Parsed(parse_color, {"type": "string", "enum": list(COLORS)})]


UpdateTagBody = change_of(CreateTagBody)
"""The body of PATCH /api/tags/:id."""


class MonitorTagBody(RequestBody):
    """The body of POST and DELETE of /api/monitor-tags."""

    READ_ONLY = frozenset({"createdAt"})

    monitor_type: Annotated[str, Parsed(choice(*KINDS), {"type": "string", "enum": list(KINDS)})]
    monitor_id: Annotated[int, Parsed(_number, NUMBER)]
    tag_id: Annotated[int, Parsed(_number, NUMBER)]


class TagCollection:
    """POST and GET of /api/tags."""

    def __init__(self, parts: Parts) -> None:
        self._tags = tag_access(parts)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a tag."""
        principal: Principal = req.context.principal
        require(principal, Action.MANAGE_TAGS)
        fields = read_fields(CreateTagBody, read_object(req))
        organization = referenced(self._tags.reader.organization(principal.organization_id))
        made = self._tags.create(req, principal, fields)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/tags/{made['number']}"
        resp.media = tag_shape(made, organization)

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the organization's tags; the role readonly sees those that it created."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_ORGANIZATION)
        organization = referenced(self._tags.reader.organization(principal.organization_id))
        resp.media = [
            tag_shape(each, organization)
            for each in self._tags.list(principal.organization_id)
            if principal.role != "readonly" or each["created_by"] == principal.token_id
        ]


class TagItem:
    """PATCH and DELETE of one tag."""

    def __init__(self, parts: Parts) -> None:
        self._tags = tag_access(parts)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Change a tag: whoever created it may, and an admin."""
        principal: Principal = req.context.principal
        tag = self._own(identifier, principal)
        changes = read_fields(UpdateTagBody, read_object(req))
        organization = referenced(self._tags.reader.organization(tag["organization_id"]))
        resp.media = tag_shape(self._tags.update(req, principal, tag, changes), organization)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Delete a tag, and with it its assignments."""
        principal: Principal = req.context.principal
        self._tags.delete(req, principal, self._own(identifier, principal))
        resp.media = {"success": True}

    def _own(self, identifier: str, principal: Principal) -> Record:
        tag = self._tags.find(identifier, principal)
        require(principal, Action.MANAGE_TAGS)
        if tag["created_by"] != principal.token_id:
            require(principal, Action.MANAGE_ALL_TAGS)
            if principal.customer_id is not None:
                raise falcon.HTTPForbidden(
                    description="A token of one customer changes only the tags that it created"
                )
        return tag


class MonitorTagAssignments:
    """POST and DELETE of /api/monitor-tags. Reading a monitor is enough to tag it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tags = tag_access(parts)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Put a tag on a monitor; repeating it changes nothing."""
        principal: Principal = req.context.principal
        monitor, tag = self._asked(req, principal)
        tags = self._parts.monitoring.resources.tag_monitor(
            UUID(monitor.organization_id),
            UUID(monitor.public_id),
            UUID(tag["public_id"]),
            principal.actor(req.context.request_id),
        )
        catch_up(self._parts.projector)
        resp.status = falcon.HTTP_201
        resp.media = {
            "monitorType": monitor.kind,
            "monitorId": monitor.number,
            "tagId": tag["number"],
            "createdAt": iso_milliseconds(tags.since[tag["public_id"]]),
        }

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take a tag from a monitor; a monitor without it stays as it is."""
        principal: Principal = req.context.principal
        monitor, tag = self._asked(req, principal)
        self._parts.monitoring.resources.untag_monitor(
            UUID(monitor.organization_id),
            UUID(monitor.public_id),
            UUID(tag["public_id"]),
            principal.actor(req.context.request_id),
        )
        catch_up(self._parts.projector)
        resp.status = falcon.HTTP_204

    def _asked(self, req: falcon.Request, principal: Principal) -> tuple[MonitorRef, Record]:
        require(principal, Action.MANAGE_TAGS)
        fields = read_fields(MonitorTagBody, read_object(req))
        monitor = self._parts.reader.monitor_numbered(
            fields["monitor_type"], principal.organization_id, fields["monitor_id"]
        )
        if monitor is None:
            raise NotFoundError("Monitor not found")
        if not principal.covers_customer(monitor.customer_id):
            raise falcon.HTTPForbidden(description="The monitor is outside the token's scope")
        return monitor, self._tags.find(str(fields["tag_id"]), principal)


def tag_shape(tag: Record, organization: Record) -> Schema:
    """Return the documented JSON of a tag."""
    return {
        "id": tag["number"],
        "publicId": tag["public_id"],
        "organizationId": organization["number"],
        "name": tag["name"],
        "color": tag["color"],
        "createdBy": tag["created_by"],
        "createdAt": tag["created_at"],
        "updatedAt": tag["updated_at"],
    }


def tag_access(parts: Parts) -> ResourceAccess:
    """Return the tags as callers may see and change them."""
    return ResourceAccess(parts, domain_tag.Tag, MAX_TAGS)


TAG: Final = Tag("Tags", "Labels on monitors.")
_IDENTIFIER: Final = path_parameter("identifier", identifier_in_text("The tag"), "Its `id`.")


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/api/tags",
        name="listTags",
        tag=TAG.name,
        summary="List tags",
        description="By number. The role readonly sees those that it created.",
        answers={200: json_answer("The tags", "TagList")},
        errors=(403,),
    )
    yield DocumentedOperation(
        method="post",
        path="/api/tags",
        name="createTag",
        tag=TAG.name,
        summary="Create a tag",
        parameters=(IDEMPOTENCY_KEY,),
        body=ref("CreateTag"),
        answers={
            201: json_answer("The tag", "Tag", headers={"Location": ref("Location", "headers")})
        },
        errors=(*BODY_ERRORS, 403, 409),
    )
    yield DocumentedOperation(
        method="patch",
        path="/api/tags/{identifier}",
        name="updateTag",
        tag=TAG.name,
        summary="Change a tag",
        description="For the token that created it, and for admins of the organization.",
        parameters=(_IDENTIFIER,),
        body=ref("UpdateTag"),
        answers={200: json_answer("The tag", "Tag")},
        errors=(*BODY_ERRORS, 403, 404, 409),
    )
    yield DocumentedOperation(
        method="delete",
        path="/api/tags/{identifier}",
        name="deleteTag",
        tag=TAG.name,
        summary="Delete a tag",
        description="For the token that created it, and for admins of the organization. Its "
        "assignments end.",
        parameters=(_IDENTIFIER,),
        answers={200: json_answer("Deleted", "Success")},
        errors=(400, 403, 404, 409),
    )
    yield from _document_assignments()


def _document_assignments() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="post",
        path="/api/monitor-tags",
        name="tagMonitor",
        tag=TAG.name,
        summary="Put a tag on a monitor",
        description="Repeating it changes nothing.",
        body=ref("MonitorTag"),
        answers={201: json_answer("The assignment", "MonitorTagAssignment")},
        errors=(*BODY_ERRORS, 403, 404, 409),
    )
    yield DocumentedOperation(
        method="delete",
        path="/api/monitor-tags",
        name="untagMonitor",
        tag=TAG.name,
        summary="Take a tag from a monitor",
        body=ref("MonitorTag"),
        answers={204: DocumentedAnswer("The monitor does not have the tag any more")},
        errors=(*BODY_ERRORS, 403, 404, 409),
    )


def _schemas() -> Schema:
    kind: Schema = {"type": "string", "enum": list(KINDS)}
    assignment = {"monitorType": kind, "monitorId": NUMBER, "tagId": NUMBER, "createdAt": TIME}
    return {
        "CreateTag": CreateTagBody.schema_of_body(),
        "UpdateTag": UpdateTagBody.schema_of_body(),
        "Tag": closed(
            {
                "id": NUMBER,
                "publicId": UUID_SCHEMA,
                "organizationId": NUMBER,
                "name": STRING,
                "color": {"type": "string", "enum": list(COLORS)},
                "createdBy": {"type": "string", "description": "The token that created it."},
                "createdAt": TIME,
                "updatedAt": TIME,
            }
        ),
        "TagList": {"type": "array", "items": ref("Tag")},
        "MonitorTag": MonitorTagBody.schema_of_body(),
        "MonitorTagAssignment": closed(assignment),
    }


def _routes(parts: Parts) -> Iterator[Route]:
    yield Route("/api/tags", TagCollection(parts))
    yield Route("/api/tags/{identifier}", TagItem(parts))
    yield Route("/api/monitor-tags", MonitorTagAssignments(parts))


RESOURCE: Final = Resource(tags=(TAG,), routes=_routes, operations=_operations, schemas=_schemas)
