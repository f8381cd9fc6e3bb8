"""GET check-history: the newest checks of a monitor, from its check logs (part B, 4.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from api.http.execution import Cost
from api.http.fields import NUMBER
from api.http.fields import UUID as UUID_SCHEMA
from api.http.operation import costs
from api.http.parameters import read_limit
from api.http.permissions import Action, Principal, require
from api.openapi import names
from api.openapi.operations import DocumentedOperation, json_answer
from api.openapi.parameters import LIMIT, PUBLIC_ID
from api.openapi.resource import Resource, Route
from api.openapi.vocabulary import STRING, TIME, closed, nullable, nullable_ref, ref
from domain.check import Category, Phase
from domain.kinds import KINDS
from projections.shapes.check import STATUS, check_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon

    from api.http.fields import Schema
    from api.resources.monitors import Monitors
    from api.resources.parts import Parts
    from domain.checks import Checks


class CheckHistory:
    """The newest checks of one monitor from all locations, newest first."""

    def __init__(self, monitors: Monitors, checks: Checks) -> None:
        self._monitors = monitors
        self._checks = checks

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show up to `limit` checks."""
        principal: Principal = req.context.principal
        view = self._monitors.find(public_id, principal)
        require(principal, Action.READ_MONITOR)
        limit = read_limit(req)
        locations = {each["code"]: each for each in self._monitors.reader.locations()}
        monitor_id = UUID(view.monitor["public_id"])
        shows_blocked_address = principal.may(Action.READ_BLOCKED_ADDRESSES)
        found: list[dict[str, Any]] = [
            check_shape(
                check,
                locations.get(check.location),
                shows_blocked_address=shows_blocked_address,
            )
            for code in locations
            for check in self._checks.newest(monitor_id, code, limit)
        ]
        found.sort(key=lambda each: str(each["checkedAt"]), reverse=True)
        resp.media = {"data": found[:limit]}


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


def _operations() -> Iterator[DocumentedOperation]:
    for kind in KINDS.values():
        yield DocumentedOperation(
            method="get",
            path=kind.path + "/{public_id}/check-history",
            name=f"get{names.monitor(kind)}CheckHistory",
            tag=names.tag(kind),
            summary="Show the newest checks of a monitor",
            description="From all locations, newest first. An address that the network policy "
            "does not allow is shown to the role `operator` only.",
            parameters=(PUBLIC_ID, LIMIT),
            answers={
                200: json_answer(
                    "The checks",
                    names.check_history(kind),
                    example=f"{names.example(kind)}_check_history",
                )
            },
            errors=(400, 403, 404),
        )


def _schemas() -> Schema:
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
        "id": UUID_SCHEMA,
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
        "tls": nullable_ref("CheckTls"),
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


def _routes(parts: Parts) -> Iterator[Route]:
    for monitors in parts.monitors.values():
        path = monitors.kind.path + "/{public_id}/check-history"
        yield Route(path, CheckHistory(monitors, parts.store.checks))


RESOURCE: Final = Resource(routes=_routes, operations=_operations, schemas=_schemas)
