"""GET /api/events: the audit log as a feed, oldest first, from any position on.

Each page names the position after which the next one begins. Positions are never given twice,
and the view holds every event up to its own position, so a client that follows `next` gets
each event once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

import falcon

from api.http.errors import InvalidParameterError
from api.http.execution import Cost
from api.http.fields import NUMBER, UUID, parse_uuid
from api.http.operation import costs
from api.http.parameters import query_position, read_limit
from api.http.permissions import Action, Principal, require
from api.http.read_your_writes import catch_up_best_effort
from api.http.response import Streams
from api.http.scope import asked_customer, asked_organization, referenced
from api.openapi.operations import JSON, DocumentedAnswer, DocumentedOperation, query
from api.openapi.parameters import LIMIT, POSITION
from api.openapi.resource import Resource, Route, Tag
from api.openapi.vocabulary import (
    STRING,
    TIME,
    closed,
    described,
    identifier_in_text,
    nullable,
    ref,
)
from api.resources.monitor_history import page
from domain.actor import Actor
from domain.clock import parse_time
from domain.errors import InvalidValueError, NotFoundError
from domain.kinds import KINDS
from projections.readers.history import EntryFilter
from projections.views.history import ENTRY_TYPES, SUBJECT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.http.fields import Schema
    from api.resources.parts import Parts
    from projections.core.projector import Projector
    from projections.core.table import Record
    from projections.readers.history import HistoryReader
    from projections.readers.monitors import MonitorReader


def read_filter(
    req: falcon.Request, principal: Principal, reader: MonitorReader, history: HistoryReader
) -> EntryFilter:
    """Return the filter that a query asks for, within the caller's scope. Raises 400, 403, 404."""
    types, begin, end = _types(req), _time(req, "from"), _time(req, "to")
    if begin is not None and end is not None and end < begin:
        raise InvalidParameterError("to", "must not lie before from")
    organization = asked_organization(req, principal, reader)
    if organization is None:
        organization = referenced(reader.organization(principal.organization_id))
    customer = asked_customer(req, principal, reader)
    if customer is None and principal.customer_id is not None:
        customer = referenced(reader.customer(principal.customer_id))
    return EntryFilter(
        organization=organization["number"],
        # Events of no organization (locations, archived checks): not for one customer's token.
        installation=principal.customer_id is None,
        customer=None if customer is None else customer["number"],
        thing=_monitor(req, principal, history),
        actor=req.get_param("actor"),
        types=types,
        begin=begin,
        end=end,
    )


def _types(req: falcon.Request) -> tuple[str, ...]:
    asked = [each for text in req.get_param_as_list("type") or () for each in text.split(",")]
    if not set(asked) <= set(ENTRY_TYPES):
        raise InvalidParameterError("type", f"must be one or more of {', '.join(ENTRY_TYPES)}")
    return tuple(dict.fromkeys(asked))


def _time(req: falcon.Request, name: str) -> str | None:
    text = req.get_param(name)
    if text is None:
        return None
    try:
        return parse_time(text.replace(" ", "+"))
    except InvalidValueError as error:
        raise InvalidParameterError(name, error.message, code=error.code) from None


def _monitor(req: falcon.Request, principal: Principal, history: HistoryReader) -> str | None:
    text = req.get_param("monitorId")
    if text is None:
        return None
    key = parse_uuid(text)
    if key is None:
        raise InvalidParameterError("monitorId", "must be the public ID (UUID) of a monitor")
    thing: Record | None = history.thing(key)
    is_monitor = thing is not None and thing["kind"] in KINDS
    if thing is None or not is_monitor or not principal.sees_organization(thing["organization_id"]):
        raise NotFoundError("Monitor not found")
    if not principal.covers_customer(thing["customer_id"]):
        raise falcon.HTTPForbidden(description="The monitor is outside the token's customer")
    return key


NDJSON: Final = "application/x-ndjson"
NEXT_HEADER: Final = "X-Next-Position"
_BATCH: Final = 500
"""Entries that a stream holds in memory at a time."""


class Events:
    """The audit log of an organization, or of one of its customers."""

    def __init__(
        self,
        reader: MonitorReader,
        history: HistoryReader,
        projector: Projector,
        streams: Streams,
    ) -> None:
        self._reader = reader
        self._history = history
        self._projector = projector
        self._streams = streams

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the entries after a position: one page, or all of them as a stream of lines."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_EVENTS)
        catch_up_best_effort(self._projector)
        limit = read_limit(req)
        after = query_position(req, "after", head=self._projector.log.head()) or 0
        which = read_filter(req, principal, self._reader, self._history)
        # A view that cannot follow its log may be behind the caller's position: never go back.
        reached = max(self._history.position(), after)
        as_lines = req.client_prefers((falcon.MEDIA_JSON, NDJSON)) == NDJSON
        if as_lines and not req.has_param("limit"):
            resp.set_header(NEXT_HEADER, str(reached))
            resp.content_type = NDJSON
            lines = self._lines(which, after, reached)
            resp.stream = self._streams.stream(principal, lines)  # type: ignore[assignment] # that of falcon.asgi
            return
        found = self._history.entries(which, after, reached, limit + 1)
        has_more, found = len(found) > limit, found[:limit]
        following = found[-1].position if has_more else reached
        resp.set_header(NEXT_HEADER, str(following))
        if as_lines:
            resp.content_type = NDJSON
            resp.data = b"".join(each.body + b"\n" for each in found)
        else:
            more: dict[str, Any] = {"next": following, "hasMore": has_more}
            resp.data = page(found, more)

    def _lines(self, which: EntryFilter, after: int, until: int) -> Iterator[bytes]:
        while found := self._history.entries(which, after, until, _BATCH):
            yield b"".join(each.body + b"\n" for each in found)
            after = found[-1].position


TAG: Final = Tag("Audit log", "Who changed what, and when.")
_TYPE: Final[Schema] = {"type": "string", "enum": list(ENTRY_TYPES)}
_VALUE: Final[Schema] = {"description": "Any JSON value; null also: there is none."}
_TIME_SENT: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "description": "ISO 8601 with an offset from UTC.",
    "examples": ["2026-01-31T12:00:00Z"],
}


def _schemas() -> Schema:
    actor = {
        "type": {"type": "string", "enum": list(get_args(get_type_hints(Actor)["type"]))},
        "id": described(STRING, "Public id of a token, user of the command line, or location."),
        "name": nullable(STRING),
        "role": nullable(STRING),
        "requestId": nullable(STRING),
    }
    subject = {
        "kind": {"type": "string", "enum": list(SUBJECT_KINDS)},
        "id": NUMBER,
        "publicId": UUID,
        "name": described(STRING, "What it was called after the event."),
    }
    change = {
        "field": described(STRING, "As the API names it, such as `smtpConfig.auth.user`."),
        "from": _VALUE,
        "to": _VALUE,
        "secret": {
            "type": "string",
            "const": "changed",
            "description": "Says that a secret became another one; the values are masked.",
        },
    }
    event = {
        "position": described(POSITION, "In the log; positions grow and have gaps."),
        "time": TIME,
        "type": _TYPE,
        "actor": ref("AuditActor"),
        "organizationId": nullable(NUMBER),
        "customerId": nullable(NUMBER),
        "subject": ref("AuditSubject"),
        "version": described(NUMBER, "Of the subject, after the event."),
        "changes": {"type": "array", "items": ref("FieldChange")},
    }
    items: Schema = {"type": "array", "items": ref("AuditEvent")}
    older: Schema = {
        "type": ["integer", "null"],
        "description": "Send it as `before` for older events; null: there are none.",
    }
    page = {
        "items": items,
        "next": described(POSITION, "Send it as `after` to go on, also when there is no more."),
        "hasMore": {"type": "boolean", "description": "Whether more follows now."},
    }
    return {
        "AuditActor": closed(actor),
        "AuditSubject": closed(subject),
        "FieldChange": closed(change, optional=frozenset({"secret"})),
        "AuditEvent": closed(event),
        "AuditEvents": closed(page),
        "MonitorHistory": closed({"items": items, "next": older}),
    }


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/api/events",
        name="listEvents",
        tag=TAG.name,
        summary="Read the audit log",
        description="Oldest first. Who asks again with `after` set to the `next` of the last "
        "answer misses no event and sees none twice. With `Accept: application/x-ndjson` and "
        f"without `limit` all events come as lines; `{NEXT_HEADER}` says where to go on.",
        parameters=(
            query("after", POSITION, "Only events after this position."),
            LIMIT,
            query(
                "type",
                {"type": "array", "items": _TYPE},
                "Only these types: several times, or separated by commas.",
            ),
            query("actor", STRING, "Only what this actor did: its `id`."),
            query("organizationId", identifier_in_text("The organization"), "Default: the own."),
            query("customerId", identifier_in_text("The customer"), "Only this customer's."),
            query("monitorId", UUID, "Only this monitor's, by its `publicId`."),
            query("from", _TIME_SENT, "Only events of this time or later."),
            query("to", _TIME_SENT, "Only events before this time."),
        ),
        answers={
            200: DocumentedAnswer(
                "Events",
                {JSON: ref("AuditEvents"), NDJSON: STRING},
                headers={NEXT_HEADER: ref("NextPosition", "headers")},
                example="list_events",
            )
        },
        errors=(400, 403, 404),
    )


def _routes(parts: Parts) -> Iterator[Route]:
    history, projector = parts.views.history, parts.views.projector("history")
    yield Route("/api/events", Events(parts.reader, history, projector, Streams(parts.execution)))


RESOURCE: Final = Resource(tags=(TAG,), routes=_routes, operations=_operations, schemas=_schemas)
