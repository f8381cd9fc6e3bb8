"""The endpoints of incidents: list, details, acknowledge, close (contract part B, 11; D-1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import falcon

from api.http.body import read_object
from api.http.errors import InvalidParameterError
from api.http.execution import Cost
from api.http.fields import UUID as UUID_SCHEMA
from api.http.fields import Parsed, RequestBody, parse_uuid
from api.http.operation import costs
from api.http.parameters import LARGEST, read_limit, read_offset, read_switch
from api.http.permissions import Action, Principal, require
from api.http.read_your_writes import follow, retry_after_catch_up
from api.openapi.incidents import TYPES, incident_schemas
from api.openapi.operations import DocumentedOperation, json_answer, path_parameter, query
from api.openapi.problems import BODY_ERRORS
from api.openapi.resource import Resource, Route, Tag
from api.openapi.vocabulary import ref
from api.resources.all_monitors import OWNER_PARAMETERS, read_owner
from api.resources.customers import read_fields
from api.resources.incident_timeline import evidence_check, evidence_of, timeline
from domain.errors import InvalidValueError, NotFoundError
from domain.suggestions import unknown_name
from projections.readers.incidents import OF_INSTALLATION, IncidentFilter
from projections.shapes.incident import listed_incident, shown_incident
from projections.views.incidents import of_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from api.http.fields import Schema
    from api.resources.parts import Parts
    from domain.actor import Actor
    from domain.incident import Incident, IncidentType
    from projections.core.table import Record
    from projections.readers.incidents import NamedIncident


MAX_INCIDENTS: Final = 500
DEFAULT_INCIDENTS: Final = 100
MAX_ALERTS: Final = 100
"""The most messages that are shown of an incident, or of a monitor."""

MAX_NOTE_LENGTH: Final = 2000
_DEEP_OFFSET: Final = 1000
_STATUS: Final = {"open": True, "resolved": False}


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidValueError("type", "must be a text that is not empty")
    if len(value) > MAX_NOTE_LENGTH:
        raise InvalidValueError("too_long", f"must have at most {MAX_NOTE_LENGTH} characters")
    return value.strip()


def _note(value: object) -> str | None:
    return None if value is None or value == "" else _text(value)


_TEXT: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_NOTE_LENGTH,
    "pattern": "\\S",
}


class AcknowledgeBody(RequestBody):
    """The body of POST acknowledge."""

    note: Annotated[
        str | None, Parsed(_note, {"type": ["string", "null"], "maxLength": MAX_NOTE_LENGTH})
    ] = None


class CloseBody(RequestBody):
    """The body of POST close."""

    reason: Annotated[str, Parsed(_text, _TEXT)]


def _cost_of_list(req: falcon.Request) -> Cost:
    """Return the cost of a list. Counting, a rare type and deep pages go through many rows."""
    is_costly = (
        read_offset(req) > _DEEP_OFFSET
        or _limit(req) > DEFAULT_INCIDENTS
        or any(map(req.has_param, ("includeTotal", "type")))
    )
    return Cost.COSTLY_READ if is_costly else Cost.SHORT_READ


def _limit(req: falcon.Request) -> int:
    return read_limit(req, default=DEFAULT_INCIDENTS, most=MAX_INCIDENTS)


class IncidentCollection:
    """GET of the list."""

    def __init__(self, parts: Parts) -> None:
        self._reader = parts.reader
        self._incidents = parts.views.incidents

    @costs(_cost_of_list)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List incidents, the newest first."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_INCIDENT)
        limit = _limit(req)
        offset, with_total = read_offset(req), read_switch(req, "includeTotal")
        which = self._filter(req, principal)
        found = [listed_incident(each) for each in self._incidents.incidents(which, limit, offset)]
        if not with_total:
            resp.media = found
            return
        total = self._incidents.count(which)
        resp.media = {"incidents": found, "total": total, "limit": limit, "offset": offset}

    def _filter(self, req: falcon.Request, principal: Principal) -> IncidentFilter:
        status, incident_type = _status(req), _type(req)
        monitor_id = _monitor_id(req)
        organization_id, customer_id = read_owner(req, principal, self._reader)
        if incident_type == "location" and principal.may(Action.READ_LOCATION_INCIDENTS):
            organization_id = OF_INSTALLATION
        return IncidentFilter(
            organization_id,
            customer_id=customer_id,
            monitor_id=monitor_id,
            incident_type=incident_type,
            is_open=None if status is None else _STATUS[status],
        )


def _status(req: falcon.Request) -> str | None:
    status = req.get_param("status")
    if status is not None and status not in _STATUS:
        raise InvalidParameterError("status", _unknown(status, tuple(_STATUS), "status"))
    return status


def _type(req: falcon.Request) -> IncidentType | None:
    name = req.get_param("type")
    found = next((each for each in TYPES if each == name), None)
    if name is not None and found is None:
        raise InvalidParameterError("type", _unknown(name, TYPES, "type"))
    return found


def _monitor_id(req: falcon.Request) -> str | None:
    text = req.get_param("monitorId")
    key = None if text is None else parse_uuid(text)
    if text is not None and key is None:
        # Numbers are per kind of monitors.
        raise InvalidParameterError("monitorId", "must be the publicId of a monitor, a UUID")
    return key


def _unknown(name: str, known: tuple[str, ...], what: str) -> str:
    return f"{unknown_name(name, known, what)}; known are {', '.join(known)}"


class IncidentItem:
    """GET of one incident with its timeline."""

    def __init__(self, parts: Parts) -> None:
        self._access = IncidentAccess(parts)
        self._parts = parts

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show an incident, the checks it rests on, and who is to hear of it."""
        principal: Principal = req.context.principal
        found = self._access.find(public_id, principal)
        require(principal, Action.READ_INCIDENT)
        incident = found.incident
        alerts = self._parts.views.incidents.alerts_of_incident(incident["public_id"], MAX_ALERTS)
        evidence = evidence_of(incident, self._parts.store.checks)
        locations = {each["code"]: each for each in self._parts.reader.locations()}
        resp.media = {
            "incident": shown_incident(found),
            "timeline": timeline(incident, evidence, alerts, locations),
            "evidenceCheck": evidence_check(
                evidence.deciding,
                locations,
                shows_blocked_address=principal.may(Action.READ_BLOCKED_ADDRESSES),
            ),
        }


class IncidentAcknowledgement:
    """POST acknowledge."""

    def __init__(self, parts: Parts) -> None:
        self._access = IncidentAccess(parts)
        self._incidents = parts.store.incidents

    def on_post(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Record that somebody takes care of an incident; again changes nothing."""
        found = self._access.find_to_change(req, public_id)
        note = read_fields(AcknowledgeBody, read_object(req))["note"]
        resp.media = self._access.change(
            req, found, lambda key, actor: self._incidents.acknowledge(key, actor, note)
        )


class IncidentClosing:
    """POST close."""

    def __init__(self, parts: Parts) -> None:
        self._access = IncidentAccess(parts)
        self._incidents = parts.store.incidents

    def on_post(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Close an incident; a monitor that goes on failing opens a new one."""
        found = self._access.find_to_change(req, public_id)
        reason = read_fields(CloseBody, read_object(req))["reason"]
        resp.media = self._access.change(
            req, found, lambda key, actor: self._incidents.close_by_hand(key, actor, reason)
        )


class IncidentAccess:
    """Incidents as a caller may see and change them."""

    def __init__(self, parts: Parts) -> None:
        self._log = parts.store.incidents
        self._reader = parts.views.incidents
        self._projector = parts.views.projector("incidents")
        self._states = parts.views.projector("states")

    def find(self, public_id: str, principal: Principal) -> NamedIncident:
        """Return an incident in the caller's scope. Raises 400, 404, 403."""
        key = parse_uuid(public_id)
        if key is None:
            text = "Incident public ID (UUID) required"
            raise InvalidParameterError("public_id", "must be a UUID", text=text)
        found = self._reader.incident(key)
        if found is None and retry_after_catch_up(self._projector):
            found = self._reader.incident(key)
        if found is None or not _is_visible(found.incident, principal):
            raise NotFoundError("Incident not found")
        customer_id = found.incident["customer_id"]
        if customer_id is not None and not principal.covers_customer(customer_id):
            raise falcon.HTTPForbidden(description="The incident is outside the token's customer")
        return found

    def find_to_change(self, req: falcon.Request, public_id: str) -> NamedIncident:
        """Return an incident that the caller may change. Raises 400, 404, 403."""
        principal: Principal = req.context.principal
        found = self.find(public_id, principal)
        require(principal, Action.MANAGE_INCIDENTS)
        return found

    def change(
        self,
        req: falcon.Request,
        found: NamedIncident,
        command: Callable[[UUID, Actor], Incident],
    ) -> Schema:
        """Run a command on an incident; return the answer, with what the log has by now."""
        principal: Principal = req.context.principal
        key = UUID(found.incident["public_id"])
        command(key, principal.actor(req.context.request_id))
        for projector in (self._projector, self._states):
            follow(projector, "incidents")
        newer: list[Any] = list(self._log.events.get(key, gt=found.incident["version"]))
        return {
            "incident": shown_incident(found._replace(incident=of_events(found.incident, newer)))
        }


def _is_visible(incident: Record, principal: Principal) -> bool:
    """Return whether the caller may know of an incident; those of locations are operators'."""
    if incident["organization_id"] is None:
        return principal.may(Action.READ_LOCATION_INCIDENTS)
    return principal.sees_organization(incident["organization_id"])


TAG: Final = Tag("Incidents", "What is or was wrong, why Postwatch says so, and who takes care.")
_PUBLIC_ID: Final = path_parameter("public_id", UUID_SCHEMA, "The incident's `publicId`.")
_LIMIT: Final[Schema] = {
    "type": "integer",
    "minimum": 1,
    "maximum": LARGEST["limit"],
    "default": DEFAULT_INCIDENTS,
}
_OFFSET: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1, "default": 0}
_TOTAL: Final[Schema] = {"type": "string", "enum": ["1", "true", "0", "false"], "default": "false"}


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/api/incidents",
        name="listIncidents",
        tag=TAG.name,
        summary="List incidents",
        description="The newest first. An array, or with `includeTotal` an object with the number "
        "of all. With `type=location` the role `operator` sees the incidents of locations, which "
        "are no organization's. What was closed is `resolved`, and `closeReason` says why.",
        parameters=(
            *OWNER_PARAMETERS,
            query("status", {"type": "string", "enum": list(_STATUS)}, "Only these."),
            query("type", {"type": "string", "enum": list(TYPES)}, "Only of this type."),
            query("monitorId", UUID_SCHEMA, "Only of the monitor with this `publicId`."),
            query("limit", _LIMIT, f"How many; more than {MAX_INCIDENTS} is {MAX_INCIDENTS}."),
            query("offset", _OFFSET, "How many of the newest are left out."),
            query("includeTotal", _TOTAL, "Whether to count."),
        ),
        answers={200: json_answer("The incidents", "IncidentList", example="list_incidents")},
        errors=(400, 403, 404),
    )
    yield DocumentedOperation(
        method="get",
        path="/api/incidents/{public_id}",
        name="getIncident",
        tag=TAG.name,
        summary="Show an incident with its timeline",
        description="`failedChecks` are those that confirmed it, `recoveryChecks` those that "
        "ended it, `evidenceCheck` is the last one of the confirmation. Of messages the newest "
        f"{MAX_ALERTS} are shown; they are planned, and nothing sends them yet.",
        parameters=(_PUBLIC_ID,),
        answers={200: json_answer("The incident", "IncidentDetails", example="get_incident")},
        errors=(400, 403, 404),
    )
    yield DocumentedOperation(
        method="post",
        path="/api/incidents/{public_id}/acknowledge",
        name="acknowledgeIncident",
        tag=TAG.name,
        summary="Record that somebody takes care",
        description="From then on there are no reminders, and no further channels hear of it. "
        "Repeating it changes nothing; 409 when it is over.",
        parameters=(_PUBLIC_ID,),
        body=ref("AcknowledgeIncident"),
        answers={200: json_answer("The incident", "ChangedIncident")},
        errors=(*BODY_ERRORS, 403, 404, 409),
    )
    yield DocumentedOperation(
        method="post",
        path="/api/incidents/{public_id}/close",
        name="closeIncident",
        tag=TAG.name,
        summary="Close an incident by hand",
        description="A monitor that goes on failing opens a new one after its next confirmation. "
        "409 when it is over.",
        parameters=(_PUBLIC_ID,),
        body=ref("CloseIncident"),
        answers={200: json_answer("The incident", "ChangedIncident")},
        errors=(*BODY_ERRORS, 403, 404, 409),
    )


def _schemas() -> Schema:
    return {
        "AcknowledgeIncident": AcknowledgeBody.schema_of_body(),
        "CloseIncident": CloseBody.schema_of_body(),
        **incident_schemas(),
    }


def _routes(parts: Parts) -> Iterator[Route]:
    yield Route("/api/incidents", IncidentCollection(parts))
    yield Route("/api/incidents/{public_id}", IncidentItem(parts))
    yield Route("/api/incidents/{public_id}/acknowledge", IncidentAcknowledgement(parts))
    yield Route("/api/incidents/{public_id}/close", IncidentClosing(parts))


RESOURCE: Final = Resource(tags=(TAG,), routes=_routes, operations=_operations, schemas=_schemas)
