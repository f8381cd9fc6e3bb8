"""The `incidents` view: what was or is wrong, and who is to hear of it.

It is folded from the `incidents` log. From the `monitoring` log it keeps the names of monitors,
customers and channels, also of deleted ones, since incidents outlive them. Events of each log
change rows of their own, so the order between the logs does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from domain.clock import iso_milliseconds
from domain.incident import Incident
from domain.monitor import Monitor
from domain.notification import Notification
from domain.notification_channel import NotificationChannel
from domain.organization import Customer
from projections.core.joined_log import position_of
from projections.core.projection import Projection, RowBuffer, batched
from projections.core.table import Table
from projections.readers.incidents import OF_INSTALLATION
from projections.views.records import existing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.actor import Actor
    from projections.core.table import Record, Transaction
    from store.log_reader import LoggedEvent


_OWNERS: Final = ("organization_id", "customer_id", "monitor_id")

INCIDENTS: Final = Table(
    "incidents",
    {
        **dict.fromkeys(_OWNERS, "TEXT"),
        "type": "TEXT",
        "is_open": "INTEGER",
        "number": "INTEGER",
    },
    lambda record: (
        record["organization_id"] or OF_INSTALLATION,
        record["customer_id"],
        record["monitor_id"],
        record["type"],
        int(record["state"] == "open"),
        record["number"],
    ),
    indexes=(
        *((owner, "number") for owner in _OWNERS),
        *((owner, "is_open", "number") for owner in _OWNERS),
        ("number",),
    ),
)
ALERTS: Final = Table(
    "incident_alerts",
    {"channel_id": "TEXT"},
    lambda record: (record["channel_id"],),
)
"""Planned messages."""

ALERTED: Final = Table(
    "alerted_incidents",
    {"alert_id": "TEXT", "incident_id": "TEXT", "monitor_id": "TEXT", "position": "INTEGER"},
    lambda record: (
        record["alert_id"],
        record["incident_id"],
        record["monitor_id"],
        record["position"],
    ),
    indexes=(("incident_id", "position"), ("monitor_id", "position")),
)
"""A row for each incident that a message is about. `position` is that of its plan in the log."""

NAMES: Final = Table("incident_names", {}, lambda _: ())
"""What names a monitor, a customer or a channel, by its public id."""

_MONITOR_NAMES: Final = ("name", "hostname", "status")
_NAMED: Final[dict[type, tuple[str, ...]]] = {
    Monitor.Created: ("kind", "number", *_MONITOR_NAMES),
    Customer.Created: ("number", "name", "email"),
}
_DELETED: Final = "deleted"
"""What is shown as the status of a monitor that exists no more."""


@dataclass(frozen=True)
class Incidents(Projection):
    """Folds incidents, plans and names."""

    @override
    def fold(self, events: Iterable[LoggedEvent], transaction: Transaction) -> None:
        rows = RowBuffer(transaction)
        for batch in batched(events):
            keys = [str(each.event.originator_id) for each in batch]
            for table in (INCIDENTS, NAMES, ALERTS):
                rows.read(table, keys)
            for logged in batch:
                _apply(logged, rows)
        rows.write()


def _apply(logged: LoggedEvent, rows: RowBuffer) -> None:
    event = logged.event
    key = str(event.originator_id)
    match event:
        case Incident.Released():
            pass  # it changes nothing that is shown
        case Incident.Event():
            rows.put(INCIDENTS, key, folded(rows.get(INCIDENTS, key), event))
        case Notification.Created():
            _note_plan(event, position_of(logged), rows)
        case Notification.Skipped():
            planned = existing(rows.get(ALERTS, key))
            rows.put(ALERTS, key, {**planned, "status": "skipped", "reason": event.reason})
        case _:
            named = _named(rows.get(NAMES, key), event)
            if named is not None:
                rows.put(NAMES, key, named)


def folded(record: Record | None, event: Incident.Event) -> Record:
    """Return the record of an incident after an event of it."""
    if isinstance(event, Incident.Created):
        return {**_opened(event), "version": event.originator_version}
    before = existing(record)
    return {**before, **_changes(before, event), "version": event.originator_version}


def of_events(record: Record, events: Iterable[Incident.Event]) -> Record:
    """Return the record of an incident after further events of it."""
    for each in events:
        record = folded(record, each)
    return record


_NOT_ENDED: Final[Record] = {
    "state": "open",
    "ended_at": None,
    "recovered_by": [],
    "close_reason": None,
    "close_note": None,
    "acknowledged_at": None,
    "acknowledged_by": None,
    "acknowledgement_note": None,
}
"""What is known of the end of an incident that opened anew: nothing."""


def _opened(event: Incident.Created) -> Record:
    return {
        **_NOT_ENDED,
        "public_id": str(event.originator_id),
        "number": event.number,
        "type": event.type,
        "organization_id": event.organization_id,
        "customer_id": event.customer_id,
        "monitor_id": event.monitor_id,
        "location": event.location,
        "outage_started_at": event.outage_started_at,
        "opened_at": iso_milliseconds(event.timestamp),
        "rests_on": event.rests_on,
        "reopened_at": [],
        "is_unstable": False,
        "is_held": event.held,
    }


def _changes(record: Record, event: Incident.Event) -> Record:
    """Return what an event changes of the record of an incident."""
    at = iso_milliseconds(event.timestamp)
    match event:
        case Incident.Reopened():
            return {
                **_NOT_ENDED,
                "reopened_at": [*record["reopened_at"], at],
                "is_held": event.held,
            }
        case Incident.Resolved():
            return {"state": "resolved", "ended_at": at, "recovered_by": event.rests_on}
        case Incident.Closed():
            ended: Record = {"state": "closed", "ended_at": at, "is_unstable": False}
            return {**ended, "close_reason": event.reason, "close_note": event.note}
        case Incident.Acknowledged():
            return {
                "acknowledged_at": at,
                "acknowledged_by": _name_of(event.actor),
                "acknowledgement_note": event.note,
            }
        case Incident.Unstable() | Incident.Steady():
            return {"is_unstable": isinstance(event, Incident.Unstable)}
    return {}


def _name_of(actor: Actor) -> str:
    return actor.get("name") or actor["id"]


def _note_plan(event: Notification.Created, position: int, rows: RowBuffer) -> None:
    alert_id = str(event.originator_id)
    planned = {
        "public_id": alert_id,
        "position": position,
        "kind": event.kind,
        "channel_id": event.channel_id,
        "status": "planned",
        "planned_at": iso_milliseconds(event.timestamp),
        "reason": None,
    }
    rows.put(ALERTS, alert_id, planned)
    for each in event.incidents:
        incident = existing(rows.get(INCIDENTS, each["id"]))
        about = {
            "alert_id": alert_id,
            "incident_id": each["id"],
            "incident_number": incident["number"],
            "monitor_id": incident["monitor_id"],
            "position": position,
        }
        rows.put(ALERTED, f"{alert_id} {each['id']}", about)


def _named(record: Record | None, event: Any) -> Record | None:  # noqa: ANN401 - any event
    """Return what names a thing after an event; None for an event that names nothing."""
    match event:
        case Monitor.Created() | Customer.Created():
            return {each: getattr(event, each) for each in _NAMED[type(event)]}
        case NotificationChannel.Created():
            return {each: event.fields[each] for each in ("type", "name")}
        case Monitor.Deleted():
            return {**existing(record), "status": _DELETED}
        case Monitor.Updated() | Customer.Updated() | NotificationChannel.Updated():
            named = existing(record)
            return named | {key: each for key, each in event.changes.items() if key in named}
    return None


PROJECTION: Final = Incidents(
    name="incidents",
    log="incidents",
    joined=("monitoring",),
    tables=(INCIDENTS, ALERTS, ALERTED, NAMES),
    handlers={},
    rest_seconds=0.1,
)
