"""The endpoints of notification channels (contract part B, 13.1; D-5).

The config of a channel depends on its type, so it is read after the other fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import falcon

from api.http.body import read_object
from api.http.errors import InvalidParameterError, invalid
from api.http.execution import Cost
from api.http.fields import NUMBER, IdentifierOrNull, Name, Parsed, RequestBody, Switch, change_of
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
from api.resources.all_monitors import OWNER_PARAMETERS
from api.resources.monitor_body import below
from api.resources.resource_access import ResourceAccess
from domain.channel_types import CHANNEL_TYPES, parse_channel_config
from domain.errors import InvalidInputError, InvalidValueError, Problem
from domain.notification_channel import (
    MAX_CHANNELS,
    MAX_DELAY_SECONDS,
    MAX_PRIORITY,
    NotificationChannel,
    parse_channel_type,
    parse_conditions,
    shown_config,
)
from domain.package_config import MAX_PACKAGES
from domain.values import parse_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from api.http.fields import Body, Schema
    from api.resources.parts import Parts
    from domain.resource import Fields
    from projections.core.table import Record


_OF_WEBSITES: Final = ("websiteId", "sourceChannelId")
"""Documented keys of channels of websites, which Postwatch does not watch: null is accepted."""

_CATEGORIES: Final = ("direct", "integration")


def _category(value: object) -> str | None:
    if value is not None and value not in _CATEGORIES:
        raise InvalidValueError("invalid", f"must be one of {', '.join(_CATEGORIES)}")
    return str(value) if value is not None else None


def _whole(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise InvalidValueError("range", f"must be a whole number from {low} to {high}")
        return value

    return parse


def _package_types(value: object) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_PACKAGES:
        raise InvalidValueError("type", f"must be a list of at most {MAX_PACKAGES} packages")
    return list(dict.fromkeys(parse_name(each) for each in value)) or None


def _as_sent(value: object) -> object:
    return value


_CONFIG: Final[Schema] = {
    "type": ["object", "string"],
    "description": "What the type needs, or the same as a JSON text. A change keeps the keys that "
    "were not sent; null clears one that is no secret.",
}
_CONDITIONS: Final[Schema] = {
    "type": ["object", "string", "null"],
    "description": "`minIncidentDuration`: seconds that an incident lasts before the channel "
    "hears of it; `onlyFullService`: kept and shown.",
}


class CreateChannelBody(RequestBody):
    """The body of POST /api/notification-channels."""

    READ_ONLY = frozenset({"id", "publicId", "warnings", "createdBy", "createdAt", "updatedAt"})

    type: Annotated[
        str, Parsed(parse_channel_type, {"type": "string", "enum": list(CHANNEL_TYPES)})
    ]
    name: Name
    config: Annotated[Any, Parsed(_as_sent, _CONFIG)]
    organization_id: IdentifierOrNull = None
    customer_id: IdentifierOrNull = None
    category: Annotated[
        str | None,
        Parsed(
            _category,
            {"type": ["string", "null"], "description": "Follows from the type: may be left out."},
        ),
    ] = None
    priority: Annotated[
        int,
        Parsed(
            _whole(1, MAX_PRIORITY),
            {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_PRIORITY,
                "description": "A lower one is tried first.",
            },
        ),
    ] = 1
    delay_seconds: Annotated[
        int,
        Parsed(
            _whole(0, MAX_DELAY_SECONDS),
            {"type": "integer", "minimum": 0, "maximum": MAX_DELAY_SECONDS},
        ),
    ] = 0
    conditions: Annotated[Any, Parsed(_as_sent, _CONDITIONS)] = None
    is_active: Switch = True
    allowed_package_types: Annotated[
        list[str] | None,
        Parsed(
            _package_types,
            {
                "type": ["array", "null"],
                "items": STRING,
                "maxItems": MAX_PACKAGES,
                "description": "Only customers with one of these packages; null: all.",
            },
        ),
    ] = None


UpdateChannelBody = change_of(CreateChannelBody)
"""The body of PATCH /api/notification-channels/:id."""


class _Channels:
    """Reads bodies and shows channels."""

    def __init__(self, parts: Parts) -> None:
        self.access = ResourceAccess(parts, NotificationChannel, MAX_CHANNELS)
        self._reader = parts.reader

    def new_fields(self, body: Body, principal: Principal) -> Fields:
        """Return the fields of a POST. Raises 400 with every problem, and 403."""
        fields = self._read(CreateChannelBody, body, principal, {})
        fields["category"] = fields["category"] or CHANNEL_TYPES[fields["type"]].category
        if principal.customer_id is not None and fields["customer_id"] is None:
            fields["customer_id"] = principal.customer_id
        return fields

    def changes(self, body: Body, principal: Principal, channel: Record) -> Fields:
        """Return the changes of a PATCH. Raises 400 with every problem, and 403."""
        changes = self._read(UpdateChannelBody, body, principal, channel)
        changes.pop("type", None)
        if changes.get("category", "") is None:
            del changes["category"]
        return changes

    def _read(
        self, model: type[RequestBody], body: Body, principal: Principal, channel: Record
    ) -> Fields:
        problems = [
            Problem(key, "unsupported", "is not watched here")
            for key in _OF_WEBSITES
            if body.get(key) is not None
        ]
        fields = model.read({k: v for k, v in body.items() if k not in _OF_WEBSITES}, problems)
        type_name = channel.get("type") or fields.get("type")
        if fields.get("type", type_name) != type_name:
            problems.append(Problem("type", "fixed", f"is {type_name}, and cannot be changed"))
        if "config" in fields and type_name:
            known = bool(channel)
            _parse_below(
                fields,
                "config",
                lambda sent: parse_channel_config(type_name, sent, may_clear=known),
                problems,
            )
        if "conditions" in fields:
            _parse_below(fields, "conditions", parse_conditions, problems)
        self._translate_owner(fields, principal, problems)
        if problems:
            raise invalid(problems)
        return fields

    def _translate_owner(
        self, fields: Fields, principal: Principal, problems: list[Problem]
    ) -> None:
        """Replace the customer's number by its public id, and refuse other organizations."""
        organization = fields.pop("organization_id", None)
        if organization is not None:
            found = self._reader.organization(organization)
            if found is None or found["public_id"] != principal.organization_id:
                problems.append(
                    Problem("organizationId", "not_found", "must be the token's organization")
                )
        if fields.get("customer_id") is None:
            return
        customer = self._reader.customer(fields["customer_id"])
        if customer is None or customer["organization_id"] != principal.organization_id:
            problems.append(Problem("customerId", "not_found", "must name a customer"))
            return
        fields["customer_id"] = customer["public_id"]

    def find(self, text: str, principal: Principal) -> Record:
        """Return a channel in the caller's scope. Raises 400, 404, 403."""
        channel = self.access.find(text, principal)
        if not is_visible(channel, principal):
            raise falcon.HTTPForbidden(description="The channel is outside the token's scope")
        return channel

    def shape(self, channel: Record) -> Schema:
        """Return the documented JSON of a channel, without its secrets."""
        organization = referenced(self._reader.organization(channel["organization_id"]))
        customer_id = channel["customer_id"]
        customer = self._reader.customer(customer_id) if customer_id else None
        return {
            "id": channel["number"],
            "organizationId": organization["number"],
            "customerId": customer["number"] if customer else None,
            "websiteId": None,
            "type": channel["type"],
            "category": channel["category"],
            "name": channel["name"],
            "config": shown_config(channel["type"], channel["config"]),
            "priority": channel["priority"],
            "delaySeconds": channel["delay_seconds"],
            "conditions": channel["conditions"],
            "isActive": channel["is_active"],
            "allowedPackageTypes": channel["allowed_package_types"],
            "publicId": channel["public_id"],
            "warnings": [_NEVER_TESTED],
            "createdBy": channel["created_by"],
            "createdAt": channel["created_at"],
            "updatedAt": channel["updated_at"],
        }


_NEVER_TESTED: Final = {
    "code": "never_tested",
    "message": "No test message was sent by this channel yet",
}


def _parse_below(
    fields: Fields, key: str, parse: Callable[[object], Any], problems: list[Problem]
) -> None:
    """Parse a field that is an object; its problems get the path from the top of the body."""
    try:
        fields[key] = parse(fields[key])
    except InvalidInputError as error:
        problems += below(key, error.problems)


def is_visible(channel: Record, principal: Principal) -> bool:
    """Return whether a channel is in the caller's scope.

    A token of one customer does not see the addresses of the organization's people.
    """
    return principal.customer_id in (None, channel["customer_id"])


def _require_may_manage(principal: Principal, type_name: str, customer_id: str | None) -> None:
    """Raise 403 for a type that only admins may use, and for another customer's channel."""
    if CHANNEL_TYPES[type_name].needs_extra:
        require(principal, Action.MANAGE_EXTRA_CHANNELS)
    if principal.customer_id not in (None, customer_id):
        raise falcon.HTTPForbidden(
            description="A token of one customer manages channels of that customer only"
        )


class ChannelCollection:
    """POST and GET of /api/notification-channels."""

    def __init__(self, channels: _Channels) -> None:
        self._channels = channels

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a channel."""
        principal: Principal = req.context.principal
        require(principal, Action.MANAGE_CHANNELS)
        fields = self._channels.new_fields(read_object(req), principal)
        _require_may_manage(principal, fields["type"], fields["customer_id"])
        made = self._channels.access.create(req, principal, fields)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/notification-channels/{made['number']}"
        resp.media = self._channels.shape(made)

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List channels, those of a customer if the query names one."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_CHANNELS)
        if req.get_param("websiteId") is not None:
            raise InvalidParameterError("websiteId", "is not watched here")
        reader = self._channels.access.reader
        organization = asked_organization(req, principal, reader)
        customer = asked_customer(req, principal, reader)
        wanted = organization["public_id"] if organization else principal.organization_id
        resp.media = [
            self._channels.shape(each)
            for each in self._channels.access.list(wanted)
            if is_visible(each, principal)
            and (customer is None or each["customer_id"] == customer["public_id"])
        ]


class ChannelItem:
    """PATCH and DELETE of one channel."""

    def __init__(self, channels: _Channels) -> None:
        self._channels = channels

    def on_patch(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Change a channel, but for its type."""
        principal: Principal = req.context.principal
        channel = self._own(identifier, principal)
        changes = self._channels.changes(read_object(req), principal, channel)
        customer_id = changes.get("customer_id", channel["customer_id"])
        _require_may_manage(principal, channel["type"], customer_id)
        changed = self._channels.access.update(req, principal, channel, changes)
        resp.media = self._channels.shape(changed)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Delete a channel, and destroy its secrets."""
        principal: Principal = req.context.principal
        channel = self._own(identifier, principal)
        _require_may_manage(principal, channel["type"], channel["customer_id"])
        self._channels.access.delete(req, principal, channel)
        resp.media = {"success": True}

    def _own(self, identifier: str, principal: Principal) -> Record:
        channel = self._channels.find(identifier, principal)
        require(principal, Action.MANAGE_CHANNELS)
        return channel


TAG: Final = Tag("Notification channels", "Who hears of incidents, and by which way.")
_IDENTIFIER: Final = path_parameter(
    "identifier", identifier_in_text("The channel"), "Its `id` or `publicId`."
)


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/api/notification-channels",
        name="listNotificationChannels",
        tag=TAG.name,
        summary="List notification channels",
        description="By number. Secrets of a config are null, and `hasSecret` says whether there "
        "are any. A token of one customer sees the channels of that customer.",
        parameters=(
            *OWNER_PARAMETERS,
            query("websiteId", STRING, "Refused: Postwatch watches no websites."),
        ),
        answers={200: json_answer("The channels", "NotificationChannelList")},
        errors=(400, 403, 404),
    )
    yield DocumentedOperation(
        method="post",
        path="/api/notification-channels",
        name="createNotificationChannel",
        tag=TAG.name,
        summary="Create a notification channel",
        description="A token of one customer creates channels of that customer. Types that need "
        "the extra `postwatch[apprise]` are for admins.",
        parameters=(IDEMPOTENCY_KEY,),
        body=ref("CreateNotificationChannel"),
        answers={
            201: json_answer(
                "The channel",
                "NotificationChannel",
                headers={"Location": ref("Location", "headers")},
            )
        },
        errors=(*BODY_ERRORS, 403, 404, 409),
    )
    yield DocumentedOperation(
        method="patch",
        path="/api/notification-channels/{identifier}",
        name="updateNotificationChannel",
        tag=TAG.name,
        summary="Change a notification channel",
        description="Its type cannot be changed.",
        parameters=(_IDENTIFIER,),
        body=ref("UpdateNotificationChannel"),
        answers={200: json_answer("The channel", "NotificationChannel")},
        errors=(*BODY_ERRORS, 403, 404, 409),
    )
    yield DocumentedOperation(
        method="delete",
        path="/api/notification-channels/{identifier}",
        name="deleteNotificationChannel",
        tag=TAG.name,
        summary="Delete a notification channel",
        description="Its secrets are destroyed; its history stays.",
        parameters=(_IDENTIFIER,),
        answers={200: json_answer("Deleted", "Success")},
        errors=(400, 403, 404, 409),
    )


def _schemas() -> Schema:
    ignored = dict.fromkeys(_OF_WEBSITES, ALWAYS_NULL)
    bodies: Schema = {
        name: model.schema_of_body()
        for name, model in (
            ("CreateNotificationChannel", CreateChannelBody),
            ("UpdateNotificationChannel", UpdateChannelBody),
        )
    }
    for body in bodies.values():
        body["properties"] |= ignored
    return {
        **bodies,
        "ChannelWarning": closed({"code": STRING, "message": STRING}),
        "ChannelConditions": closed(
            {"onlyFullService": {"type": "boolean"}, "minIncidentDuration": {"type": "integer"}},
            optional=frozenset({"onlyFullService", "minIncidentDuration"}),
        ),
        "NotificationChannel": closed(_shape()),
        "NotificationChannelList": {"type": "array", "items": ref("NotificationChannel")},
    }


def _shape() -> Schema:
    return {
        "id": NUMBER,
        "organizationId": NUMBER,
        "customerId": nullable(NUMBER),
        "websiteId": ALWAYS_NULL,
        "type": {"type": "string", "enum": list(CHANNEL_TYPES)},
        "category": {"type": "string", "enum": list(_CATEGORIES)},
        "name": STRING,
        "config": {
            "type": "object",
            "additionalProperties": True,
            "properties": {"hasSecret": {"type": "boolean"}},
            "description": "Secrets are null.",
        },
        "priority": NUMBER,
        "delaySeconds": {"type": "integer", "minimum": 0},
        "conditions": nullable_ref("ChannelConditions"),
        "isActive": {"type": "boolean"},
        "allowedPackageTypes": {"type": ["array", "null"], "items": STRING},
        "publicId": UUID_SCHEMA,
        "warnings": {"type": "array", "items": ref("ChannelWarning")},
        "createdBy": {"type": "string", "description": "The token that created it."},
        "createdAt": TIME,
        "updatedAt": TIME,
    }


def _routes(parts: Parts) -> Iterator[Route]:
    channels = _Channels(parts)
    yield Route("/api/notification-channels", ChannelCollection(channels))
    yield Route("/api/notification-channels/{identifier}", ChannelItem(channels))


RESOURCE: Final = Resource(tags=(TAG,), routes=_routes, operations=_operations, schemas=_schemas)
