"""Incidents and plans of tests, as alerting records them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from domain.clock import iso_milliseconds, utc_now
from domain.incident import Incident
from domain.notification import Notification
from domain.numbering import next_number, number_given
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from domain.monitor import Monitor
    from store.store import Store


def open_incident(
    store: Store,
    monitor: Monitor | None = None,
    at: datetime | None = None,
    **fields: Any,  # noqa: ANN401 - fields of the event
) -> Incident:
    """Record an incident of a monitor; without one, of the location `de-nbg`."""
    at = at or utc_now()
    events, identifier = store.incidents.events, uuid4()
    number = next_number(events, "incident")
    opened = Incident.open(
        identifier,
        number,
        fields={
            "type": "downtime" if monitor else "location",
            "organization_id": monitor.organization_id if monitor else None,
            "customer_id": monitor.customer_id if monitor else None,
            "monitor_id": str(monitor.id) if monitor else None,
            "location": None if monitor else "de-nbg",
            "server": f"{monitor.organization_id}/{monitor.hostname}" if monitor else "",
            "outage_started_at": iso_milliseconds(at),
            "rests_on": [],
            "voters": 1,
            "threshold": 1,
            "held": False,
            **fields,
        },
        actor=TESTER,
        now=at,
    )
    given = number_given("incident", number, identifier, actor=TESTER, timestamp=at)
    events.put([given, *opened.collect_events()])
    return opened


def plan(
    store: Store,
    *incidents: Incident,
    channel_id: str,
    kind: str = "alert",
    at: datetime | None = None,
) -> UUID:
    """Record that a message about incidents is planned; return its id."""
    at = at or utc_now()
    planned = Notification.plan(
        uuid4(),
        fields={
            "kind": kind,
            "incidents": [{"id": str(each.id), "generation": 1} for each in incidents],
            "organization_id": incidents[0].organization_id,
            "channel_id": channel_id,
            "channel_version": 1,
            "group": "group",
            "opened_by": f"{incidents[0].id}/1",
            "number": 1,
            "reminder": 0,
            "level": None,
            "due_at": iso_milliseconds(at),
        },
        actor=TESTER,
        now=at,
    )
    store.incidents.save(planned)
    return planned.id
