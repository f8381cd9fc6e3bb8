"""The answers about incidents as schemas: list, details, timeline, messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from api.http.fields import NUMBER
from api.http.fields import UUID as UUID_SCHEMA
from api.openapi.vocabulary import (
    ALWAYS_NULL,
    COUNT,
    STRING,
    TIME,
    closed,
    described,
    nullable,
    nullable_ref,
    ref,
)
from domain.incident import CloseReason, IncidentType
from domain.kinds import KINDS
from domain.notification import NotificationKind
from projections.shapes.incident import NUMBER_KEYS

if TYPE_CHECKING:
    from api.http.fields import Schema


TYPES: Final[tuple[IncidentType, ...]] = get_args(IncidentType)
_TYPE: Final[Schema] = {"type": "string", "enum": list(TYPES)}
_STATUS: Final[Schema] = {"type": "string", "enum": ["open", "resolved"]}
_NULL_NUMBER: Final[Schema] = {"type": ["integer", "null"], "description": "Always null here."}
_WHEN: Final = nullable({**TIME, "description": "ISO 8601, UTC, milliseconds; or null."})
_REASONS: Final[Schema] = {
    "type": ["string", "null"],
    "enum": [*get_args(CloseReason), None],
    "description": "Why it ended without a recovery.",
}


def incident_schemas() -> Schema:
    """Return the components of the answers."""
    listed = closed(_listed())
    page = {"incidents": {"type": "array", "items": ref("Incident")}, "total": COUNT}
    return {
        "IncidentMonitor": closed(_monitor()),
        "IncidentCustomer": closed({"id": NUMBER, "email": nullable(STRING), "company": STRING}),
        "Incident": listed,
        "IncidentList": {
            "anyOf": [
                {"type": "array", "items": ref("Incident")},
                closed({**page, "limit": COUNT, "offset": COUNT}),
            ]
        },
        "IncidentSummary": closed(_shown()),
        "ChangedIncident": closed({"incident": ref("IncidentSummary")}),
        "IncidentCheck": closed(_check()),
        "IncidentAlert": closed(_alert()),
        "IncidentTimeline": closed(_timeline()),
        "EvidenceCheck": closed(_evidence()),
        "IncidentDetails": closed(
            {
                "incident": ref("IncidentSummary"),
                "timeline": ref("IncidentTimeline"),
                "evidenceCheck": nullable_ref("EvidenceCheck"),
            }
        ),
    }


def _listed() -> Schema:
    return {
        "id": NUMBER,
        "websiteId": _NULL_NUMBER,
        "status": _STATUS,
        "severity": _TYPE,
        "started_at": described(TIME, "When it was confirmed."),
        "resolved_at": _WHEN,
        "last_notified_at": described(_WHEN, "Null: nothing sends messages yet."),
        "error_message": STRING,
        "status_code": _NULL_NUMBER,
        "response_time_ms": _NULL_NUMBER,
        "website": ALWAYS_NULL,
        "customer": nullable_ref("IncidentCustomer"),
        **_ours(),
    }


def _shown() -> Schema:
    return {
        "id": NUMBER,
        "websiteId": _NULL_NUMBER,
        "type": _TYPE,
        "status": _STATUS,
        "startedAt": described(TIME, "When it was confirmed."),
        "resolvedAt": _WHEN,
        "statusCode": _NULL_NUMBER,
        "errorMessage": STRING,
        "responseTimeMs": _NULL_NUMBER,
        **_ours(),
    }


def _ours() -> Schema:
    return {
        "publicId": UUID_SCHEMA,
        "monitorType": {"type": ["string", "null"], "enum": [*KINDS, None]},
        **dict.fromkeys(
            NUMBER_KEYS.values(),
            described(nullable(NUMBER), "The monitor's `id`, if it is of this kind."),
        ),
        "monitor": described(nullable_ref("IncidentMonitor"), "Null for that of a location."),
        "locationCode": described(nullable(STRING), "Of type `location`: which one."),
        "outageStartedAt": described(TIME, "The end of the first failing check."),
        "reopenedAt": {
            "type": "array",
            "items": TIME,
            "description": "When it was confirmed again soon after it was resolved.",
        },
        "closeReason": _REASONS,
        "closeNote": nullable(STRING),
        "acknowledgedAt": _WHEN,
        "acknowledgedBy": nullable(STRING),
        "acknowledgementNote": nullable(STRING),
        "isUnstable": {"type": "boolean", "description": "It opens and recovers all the time."},
        "isHeld": {"type": "boolean", "description": "It opened in a maintenance window."},
    }


def _monitor() -> Schema:
    return {
        "id": NUMBER,
        "publicId": UUID_SCHEMA,
        "name": STRING,
        "hostname": STRING,
        "status": {"type": "string", "enum": ["active", "maintenance", "disabled", "deleted"]},
    }


ALERT_SCHEMAS: Final[Schema] = {
    "id": described(NUMBER, "The position of the plan in the log of incidents."),
    "type": described(nullable(STRING), "The type of the channel."),
    "status": {
        "type": "string",
        "enum": ["planned", "skipped"],
        "description": "`skipped`: it is not sent, as it comes too late or is from before an "
        "import. Nothing sends messages yet, so none is `sent` or `failed`.",
    },
    "channelName": STRING,
    "sentAt": described(_WHEN, "Null: nothing sends messages yet."),
    "errorMessage": described(nullable(STRING), "Why it was skipped."),
    "publicId": UUID_SCHEMA,
    "kind": {"type": "string", "enum": list(get_args(NotificationKind))},
    "plannedAt": TIME,
}


def _alert() -> Schema:
    keys = dict(ALERT_SCHEMAS)
    return {"id": keys.pop("id"), "sentAt": keys.pop("sentAt"), **keys}


def _check() -> Schema:
    return {
        "id": UUID_SCHEMA,
        "checkedAt": TIME,
        "status": {"type": "string", "enum": ["success", "failure"]},
        "statusCode": _NULL_NUMBER,
        "errorMessage": nullable(STRING),
        "responseTimeMs": COUNT,
        "location": closed({"id": nullable(NUMBER), "code": STRING, "name": STRING}),
    }


def _timeline() -> Schema:
    checks = {"type": "array", "items": ref("IncidentCheck")}
    return {
        "outageStartedAt": TIME,
        "outageStartedCheck": nullable_ref("IncidentCheck"),
        "confirmationAt": TIME,
        "failedChecks": checks,
        "failedChecksTotal": COUNT,
        "alertEvents": {"type": "array", "items": ref("IncidentAlert")},
        "recoveryChecks": checks,
        "recoveryChecksTotal": COUNT,
    }


def _evidence() -> Schema:
    return {
        "id": UUID_SCHEMA,
        "checkedAt": TIME,
        "diagnostics": ref("CheckDiagnostics"),
        "hasScreenshot": {"type": "boolean", "description": "Always false here."},
        "screenshotUrl": ALWAYS_NULL,
    }
