"""The history of a monitor's checks, as schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.fields import NUMBER, UUID
from api.openapi import names
from api.openapi.vocabulary import STRING, TIME, closed, nullable, ref
from domain.check import Category, Phase
from domain.kinds import KINDS
from projections.shapes.check import STATUS

if TYPE_CHECKING:
    from api.http.fields import Schema


_MILLISECONDS: Final[Schema] = {"type": "number", "minimum": 0, "description": "Milliseconds."}
_TIMINGS: Final[Schema] = {
    "type": "object",
    "additionalProperties": {"type": "number", "minimum": 0},
    "description": "Milliseconds of each phase that took place, and `total`.",
}
_CATEGORY: Final[Schema] = {
    "type": "string",
    "enum": [each.value for each in Category],
    "description": "Why the server is down, or `ok`.",
}


def components() -> Schema:
    """Return every schema of this family."""
    found: Schema = {
        "CheckWarning": closed({"code": STRING, "message": STRING}),
        "CheckTls": closed(_tls()),
        "CheckDiagnostics": closed(_diagnostics()),
    }
    for kind in KINDS.values():
        checks = {"type": "array", "items": ref(names.check(kind))}
        found[names.check(kind)] = closed(_check(kind.timing_key))
        found[names.check_history(kind)] = closed({"data": checks})
    return found


def _check(timing_key: str) -> Schema:
    return {
        "id": UUID,
        "status": {"type": "string", "enum": list(STATUS.values())},
        "errorMessage": nullable(STRING),
        "warningMessage": nullable(STRING),
        timing_key: {**_MILLISECONDS, "type": "integer"},
        "diagnostics": ref("CheckDiagnostics"),
        "checkedAt": TIME,
        "locationId": nullable(NUMBER),
        "locationName": STRING,
        "locationCode": STRING,
    }


def _diagnostics() -> Schema:
    return {
        "message": STRING,
        "category": _CATEGORY,
        "phase": {
            "type": ["string", "null"],
            "enum": [*(each.value for each in Phase), None],
            "description": "The step that failed.",
        },
        "serverReply": {
            "type": ["string", "null"],
            "description": "The server's own words at the failure; cut, credentials removed.",
        },
        "address": nullable(STRING),
        "port": {"type": ["integer", "null"]},
        "timings": _TIMINGS,
        "tls": {"anyOf": [ref("CheckTls"), {"type": "null"}]},
        "warnings": {"type": "array", "items": ref("CheckWarning")},
    }


def _tls() -> Schema:
    return {
        "version": STRING,
        "cipher": STRING,
        "subject": STRING,
        "issuer": STRING,
        "names": {"type": "array", "items": STRING},
        "not_before": STRING,
        "not_after": STRING,
        "days_left": {"type": "integer", "description": "Days until it expires; may be negative."},
        "fingerprint_sha256": STRING,
        "verdict": _CATEGORY,
        "verify_code": {"type": "integer", "description": "OpenSSL's number; 0: a good chain."},
        "verify_message": STRING,
    }
