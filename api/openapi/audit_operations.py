"""The audit log: the feed of all events, and the schemas that a monitor's history shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args, get_type_hints

from api.http.fields import NUMBER, UUID
from api.openapi.operations import JSON, DocumentedAnswer, Operation, query
from api.openapi.parameters import LIMIT
from api.openapi.vocabulary import (
    STRING,
    TIME,
    closed,
    described,
    identifier_in_text,
    nullable,
    ref,
)
from api.resources.events import NDJSON, NEXT_HEADER
from domain.actor import Actor
from projections.views.history import ENTRY_TYPES, SUBJECT_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.http.fields import Schema


TAG: Final = "Audit log"
_POSITION: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_TYPE: Final[Schema] = {"type": "string", "enum": list(ENTRY_TYPES)}
_VALUE: Final[Schema] = {"description": "Any JSON value; null also: there is none."}
_TIME_SENT: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "description": "ISO 8601 with an offset from UTC.",
    "examples": ["2026-01-31T12:00:00Z"],
}

BEFORE: Final = query("before", _POSITION, "Only events before this position.")


def components() -> Schema:
    """Return the schemas of this family."""
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
        "position": described(_POSITION, "In the log; positions grow and have gaps."),
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
        "next": described(_POSITION, "Send it as `after` to go on, also when there is no more."),
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


def operations() -> Iterator[Operation]:
    """Return the endpoints."""
    yield Operation(
        method="get",
        path="/api/events",
        name="listEvents",
        tag=TAG,
        summary="Read the audit log",
        description="Oldest first. Who asks again with `after` set to the `next` of the last "
        "answer misses no event and sees none twice. With `Accept: application/x-ndjson` and "
        f"without `limit` all events come as lines; `{NEXT_HEADER}` says where to go on.",
        parameters=(
            query("after", _POSITION, "Only events after this position."),
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
