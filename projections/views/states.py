"""The `states` view: what is known now of each monitor, folded from all three logs.

A row has what the `monitoring` log says of the monitor, what the `checks` log says of its
locations, and what the `incidents` log says is open. Events of each log change only their part
of it, and the state follows from all parts, so the order between the logs does not matter.

A check that says what the one before it said changes nothing: most checks write no row. While a
location fails, the time of the last checks is noted, but at most every NOTED_EVERY_SECONDS.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from domain.check import Category, CheckPerformed
from domain.clock import iso_milliseconds
from domain.incident import Incident
from domain.monitor import Monitor
from domain.monitor_state import (
    NOTED_EVERY_SECONDS,
    STATES,
    OpenIncident,
    StateFacts,
    Verdict,
    state_of,
    vouch_seconds,
)
from projections.core.projection import Projection, RowBuffer, batched
from projections.core.table import Table
from projections.shapes.check import BLOCKED
from projections.shapes.monitor_state import known_text, state_template
from projections.views.records import existing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from projections.core.table import Record, Transaction
    from store.log_reader import LoggedEvent


LOGIN_POSTPONED: Final = "login_postponed"
"""The warning of a failed check that did not try the login again, and so says nothing new."""

_OF_DIALOGUE: Final = ("category", "phase", "message", "address", "dialogue")

_KEPT: Final = (
    "name",
    "hostname",
    "port",
    "status",
    "check_interval",
    "timeout_seconds",
)
_CHECKED: Final = frozenset({"hostname", "port", "config", "allowed_check_country_codes"})
"""Fields whose change makes the checks before it say nothing of the monitor as it is now."""

_NEW: Final[dict[str, Any]] = {
    "monitor": None,
    "places": {},
    "incidents": {},
    "recovered_at": None,
}
"""A row of which no event of the monitor itself is known yet."""

_DELETED: Final[dict[str, Any]] = {**_NEW, "monitor": False}
"""What stays of a deleted monitor, so that its last checks bring nothing back."""


def facts_of(record: Record) -> StateFacts:
    """Return what decides the state of a monitor that exists."""
    monitor = record["monitor"]
    return StateFacts(
        status=monitor["status"],
        status_since=monitor["status_since"],
        checked_version=monitor["checked_version"],
        checked_since=monitor["checked_since"],
        vouch_seconds=vouch_seconds(monitor["check_interval"], monitor["timeout_seconds"]),
        recovered_at=record["recovered_at"],
        verdicts={code: Verdict(**each) for code, each in record["places"].items()},
        incidents=[OpenIncident(key, *each) for key, each in record["incidents"].items()],
    )


def _columns(record: Record) -> tuple[str | int | None, ...]:
    monitor = record["monitor"]
    if not monitor:
        return (None,) * 9
    known = state_of(facts_of(record))
    return (
        monitor["kind"],
        monitor["organization_id"],
        monitor["customer_id"],
        monitor["number"],
        monitor["name"].casefold(),
        STATES.index(known.state),
        known.since,
        state_template(monitor, known),
        known_text(known),
    )


_OWNERS: Final = ("organization_id", "customer_id")
STATE_ROWS: Final = Table(
    "states",
    {
        "kind": "TEXT",
        "organization_id": "TEXT",
        "customer_id": "TEXT",
        "number": "INTEGER",
        "name": "TEXT",
        "state": "INTEGER",
        "since": "TEXT",
        "item": "TEXT",
        "known": "TEXT",
    },
    _columns,
    # A row that changes takes its place in each index anew. The lists of a customer that need
    # another order are sorted: they are shorter than those of an organization.
    indexes=(
        ("state", "number", "kind"),
        ("organization_id", "number", "kind"),
        ("organization_id", "state", "number", "kind"),
        ("organization_id", "state", "since", "number", "kind"),
        ("organization_id", "since", "number", "kind"),
        ("organization_id", "name", "number", "kind"),
        ("customer_id", "number", "kind"),
        ("customer_id", "state", "number", "kind"),
    ),
    counted=(("state",), *((owner, "state", "kind") for owner in _OWNERS)),
)
INCIDENT_ROWS: Final = Table(
    "monitor_incidents",
    {"organization_id": "TEXT", "customer_id": "TEXT", "type": "TEXT", "is_open": "INTEGER"},
    lambda record: (
        record["organization_id"],
        record["customer_id"],
        record["type"],
        int(record["is_open"]),
    ),
    counted=tuple((owner, "type", "is_open") for owner in _OWNERS),
)


DIALOGUE_ROWS: Final = Table(
    "dialogues",
    {"monitor_id": "TEXT"},
    lambda record: (record["monitor_id"],),
    indexes=(("monitor_id",),),
)
"""The dialogue of the last failed check that has one, of each monitor and location."""


_OPENING: Final = Incident.Created | Incident.Reopened
_ENDING: Final = Incident.Resolved | Incident.Closed


@dataclass(frozen=True)
class States(Projection):
    """Folds monitors, checks and incidents into one row for each monitor."""

    @override
    def fold(self, events: Iterable[LoggedEvent], transaction: Transaction) -> None:
        rows = RowBuffer(transaction)
        for batch in batched(events):
            found = [each.event for each in batch]
            incidents = [str(e.originator_id) for e in found if isinstance(e, Incident.Event)]
            rows.read(INCIDENT_ROWS, incidents)
            rows.read(STATE_ROWS, filter(None, (_monitor_of(each, rows) for each in found)))
            for event in found:
                _apply(event, rows)
        rows.write()


def _monitor_of(event: Any, rows: RowBuffer) -> str | None:  # noqa: ANN401 - any event
    """Return the key of the row that an event changes."""
    match event:
        case CheckPerformed() | Incident.Created():
            return event.monitor_id
        case Monitor.Event():
            return str(event.originator_id)
        case Incident.Event():
            incident = rows.get(INCIDENT_ROWS, str(event.originator_id))
            return incident["monitor_id"] if incident else None
    return None


def _apply(event: Any, rows: RowBuffer) -> None:  # noqa: ANN401 - any event
    if isinstance(event, Incident.Event):
        _note_incident(event, rows)
    key = _monitor_of(event, rows)
    if key is None:
        return
    before = rows.get(STATE_ROWS, key) or _NEW
    _note_dialogue(before, event, rows)
    after = _folded(before, event, rows)
    if after is not before:
        rows.put(STATE_ROWS, key, after)


def _note_dialogue(record: Record, event: Any, rows: RowBuffer) -> None:  # noqa: ANN401 - any event
    """Keep the dialogue of a failed check; those of a deleted monitor go."""
    match event:
        case CheckPerformed() if "dialogue" in event.outcome and record["monitor"] is not False:
            rows.put(DIALOGUE_ROWS, f"{event.monitor_id}/{event.location}", _dialogue(event))
        case Monitor.Deleted():
            for location in record["places"]:
                rows.put(DIALOGUE_ROWS, f"{event.originator_id}/{location}", None)


def _dialogue(event: CheckPerformed) -> Record:
    return {
        "monitor_id": event.monitor_id,
        "location": event.location,
        "at": iso_milliseconds(event.timestamp),
        **{each: event.outcome.get(each) for each in _OF_DIALOGUE},
    }


def _incident(event: Incident.Created) -> Record:
    return {
        "organization_id": event.organization_id,
        "customer_id": event.customer_id,
        "monitor_id": event.monitor_id,
        "type": event.type,
        "is_open": True,
    }


def _note_incident(event: Incident.Event, rows: RowBuffer) -> None:
    key = str(event.originator_id)
    known = rows.get(INCIDENT_ROWS, key)
    if isinstance(event, Incident.Created) and event.monitor_id is not None:
        rows.put(INCIDENT_ROWS, key, _incident(event))
    elif known is not None and isinstance(event, _OPENING | _ENDING):
        rows.put(INCIDENT_ROWS, key, {**known, "is_open": isinstance(event, _OPENING)})


def _folded(record: Record, event: Any, rows: RowBuffer) -> Record:  # noqa: ANN401 - any event
    """Return the next record of a monitor; the same object when nothing changes."""
    if record["monitor"] is False:
        return record
    match event:
        case CheckPerformed():
            return _checked(record, event)
        case Monitor.Event():
            return _changed(record, event)
        case Incident.Created() | Incident.Reopened():
            incident = existing(rows.get(INCIDENT_ROWS, str(event.originator_id)))
            opened = [incident["type"], event.outage_started_at]
            known = record["incidents"]
            return _with_incidents(record, {**known, str(event.originator_id): opened})
        case Incident.Resolved() | Incident.Closed():
            return _ended(record, event)
    return record


def _changed(record: Record, event: Monitor.Event) -> Record:
    match event:
        case Monitor.Created():
            return {**record, "monitor": _created(event)}
        case Monitor.Updated():
            return {**record, "monitor": _updated(record["monitor"], event)}
        case Monitor.Deleted():
            return _DELETED
    return record


def _created(event: Monitor.Created) -> Record:
    at = iso_milliseconds(event.timestamp)
    return {
        "public_id": str(event.originator_id),
        "kind": event.kind,
        "number": event.number,
        "organization_id": event.organization_id,
        "customer_id": event.customer_id,
        **{each: getattr(event, each) for each in _KEPT},
        "status_since": at,
        "checked_version": event.originator_version,
        "checked_since": at,
        "created_at": at,
        "updated_at": at,
    }


def _updated(monitor: Record, event: Monitor.Updated) -> Record:
    at, changes = iso_milliseconds(event.timestamp), event.changes
    kept: Record = {each: changes[each] for each in _KEPT if each in changes}
    found: Record = {**monitor, **kept, "updated_at": at}
    if "status" in changes:
        found["status_since"] = at
    begins_anew = "status" in changes and monitor["status"] == "disabled"
    if begins_anew or not _CHECKED.isdisjoint(changes):
        found["checked_version"] = event.originator_version
        found["checked_since"] = at
    return found


def _checked(record: Record, event: CheckPerformed) -> Record:
    places, outcome = record["places"], event.outcome
    before = places.get(event.location)
    is_up = outcome["verdict"] == "up"
    error = None if is_up else _error(event)
    if before is not None and event.monitor_version < before["monitor_version"]:
        return record
    if not is_up and _is_postponed(outcome):
        return record
    if before is not None and _says_the_same(before, event, error):
        is_needless = is_up and all(each["is_up"] for each in places.values())
        if is_needless or not _is_stale(before["at"], event):
            return record
        error = before["error"]
    goes_on = before is not None and before["is_up"] == is_up
    at = iso_milliseconds(event.timestamp)
    verdict = {
        "is_up": is_up,
        "monitor_version": event.monitor_version,
        "since": before["since"] if goes_on else at,
        "at": at,
        "has_failed": before is not None and (before["has_failed"] or not before["is_up"]),
        "error": error,
    }
    return {**record, "places": {**places, event.location: verdict}}


def _says_the_same(before: Record, event: CheckPerformed, error: Record | None) -> bool:
    """Return whether a check says what the one before it said, in the same words."""
    said = before["error"]
    if before["monitor_version"] != event.monitor_version or (said is None) != (error is None):
        return False
    return said is None or error is None or said == {**error, "firstSeenAt": said["firstSeenAt"]}


def _is_stale(at: str, event: CheckPerformed) -> bool:
    """Return whether the time of a location's last check is to be noted again."""
    passed = event.timestamp - datetime.fromisoformat(at)
    return passed.total_seconds() >= NOTED_EVERY_SECONDS


def _is_postponed(outcome: dict[str, Any]) -> bool:
    return any(each["code"] == LOGIN_POSTPONED for each in outcome.get("warnings", ()))


def _error(event: CheckPerformed) -> dict[str, Any]:
    """Return what people see of a failed check; an address that is not allowed is left out."""
    outcome = event.outcome
    is_blocked = outcome["category"] == Category.ADDRESS_BLOCKED
    return {
        "category": outcome["category"],
        "phase": outcome.get("phase"),
        "message": BLOCKED if is_blocked else outcome.get("message", ""),
        "serverReply": outcome.get("server_reply"),
        "locationCode": event.location,
        "firstSeenAt": iso_milliseconds(event.timestamp),
    }


def _with_incidents(record: Record, incidents: dict[str, list[str]]) -> Record:
    return {**record, "incidents": incidents}


def _ended(record: Record, event: Incident.Event) -> Record:
    key = str(event.originator_id)
    ended = record["incidents"].get(key)
    if ended is None:
        return record
    others = {each: of for each, of in record["incidents"].items() if each != key}
    if ended[0] == "downtime":
        record = {**record, "recovered_at": iso_milliseconds(event.timestamp)}
    return _with_incidents(record, others)


PROJECTION: Final = States(
    name="states",
    log="monitoring",
    joined=("checks", "incidents"),
    tables=(STATE_ROWS, INCIDENT_ROWS, DIALOGUE_ROWS),
    handlers={},
    # Commands that record something wait for the end of a batch.
    batch=500,
    rebuild_batch=10_000,
    rest_seconds=0.1,
)
