"""Makes the events of decisions, with the ids and versions that keep them from happening twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from domain.clock import iso_milliseconds
from domain.incident import Incident, incident_id
from domain.notification import Notification, notification_id
from domain.numbering import number_given

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alerting.policy.decided import Decided
    from alerting.policy.facts import Channel
    from alerting.policy.notices import Message
    from alerting.policy.votes import Watch
    from domain.actor import Actor
    from domain.incident import CloseReason, IncidentType


ALERTING: Final[Actor] = {"type": "system", "id": "alerting"}
"""Who decides, in the events."""


def moment_of(seconds: float) -> datetime:
    """Return a policy time as the events hold it."""
    return datetime.fromtimestamp(seconds, UTC)


class Decisions:
    """Collects events until they are stored. `servers`: about which something is to be told."""

    def __init__(self, decided: Decided) -> None:
        self._decided = decided
        self._events: list[Any] = []
        self.servers: set[str] = set()

    def take(self) -> list[Any]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    def open(
        self,
        subject: str,
        incident_type: IncidentType,
        evidence: str,
        now: float,
        *,
        watch: Watch | None = None,
        **fields: Any,  # noqa: ANN401 - fields of the event
    ) -> Incident:
        """Open an incident. `evidence` names the deciding check."""
        moment = moment_of(now)
        monitor = watch.monitor if watch else None
        details: dict[str, Any] = {
            "type": incident_type,
            "organization_id": monitor.organization_id if monitor else None,
            "customer_id": monitor.customer_id if monitor else None,
            "monitor_id": monitor.monitor_id if monitor else None,
            "location": None if monitor else subject,
            "server": f"{monitor.organization_id}/{watch.server}" if watch and monitor else "",
            "outage_started_at": iso_milliseconds(moment),
            "rests_on": [],
            "voters": 0,
            "threshold": 0,
            "held": False,
            **fields,
        }
        number = self._decided.last_number + 1
        identifier = incident_id(subject, incident_type, evidence)
        incident = Incident.open(identifier, number, fields=details, actor=ALERTING, now=moment)
        given = number_given("incident", number, identifier, actor=ALERTING, timestamp=moment)
        self._events.append(given)
        self._decided.note(given, None)
        self.note(incident)
        return incident

    def note(self, incident: Incident) -> None:
        """Take the new events of an incident."""
        for event in incident.collect_events():
            self._events.append(event)
            self._decided.note(event, incident)
        if incident.type == "downtime":
            self.servers.add(incident.server)

    def resolve(
        self,
        subject: str,
        incident_type: IncidentType,
        now: float,
        rests_on: list[dict[str, Any]] | None = None,
    ) -> bool:
        """Resolve the open incident of a type, if there is one; return whether there was."""
        incident = self._decided.open_incident(subject, incident_type)
        if incident is None:
            return False
        incident.resolve(rests_on or [], actor=ALERTING, now=moment_of(now))
        self.note(incident)
        return True

    def close(self, incident: Incident, reason: CloseReason, now: float) -> None:
        """Close an incident of which nobody can tell any more how it goes on."""
        incident.close(reason, actor=ALERTING, now=moment_of(now))
        self.note(incident)

    def release(self, incident: Incident | None, now: float) -> None:
        """Record that what only a suspect location sees is believed, once."""
        if incident is not None and incident.released_at is None:
            incident.release(actor=ALERTING, now=moment_of(now))
            self.note(incident)

    def plan(self, messages: Sequence[Message], now: float) -> None:
        """Plan messages about downtimes."""
        for each in messages:
            fields = {
                "kind": each.kind,
                "incidents": [
                    {"id": str(incident.id), "generation": incident.generation}
                    for incident in each.incidents
                ],
                "organization_id": each.incidents[0].organization_id,
                "group": each.group,
                "opened_by": each.opened_by,
                "number": each.number,
                "reminder": each.reminder,
                "level": None,
            }
            what = f"{each.group}/{each.opened_by}/{each.number}"
            self._plan(each.channel, what, fields, now)

    def plan_once(
        self,
        incident: Incident,
        channel: Channel,
        kind: str,
        now: float,
        *,
        what: str,
        level: int | None,
    ) -> None:
        """Plan a message that is sent once for an incident, a channel and what it is about."""
        if self._decided.was_planned(incident.id, channel.channel_id, f"{kind}/{what}"):
            return
        fields = {
            "kind": kind,
            "incidents": [
                {"id": str(incident.id), "generation": incident.generation, "what": what}
            ],
            "organization_id": incident.organization_id,
            "group": str(incident.id),
            "opened_by": f"{incident.id}/{incident.generation}",
            "number": 1,
            "reminder": 0,
            "level": level,
        }
        self._plan(channel, f"{incident.id}/{kind}/{what}", fields, now)

    def _plan(self, channel: Channel, what: str, fields: dict[str, Any], now: float) -> None:
        moment = moment_of(now)
        planned = Notification.plan(
            notification_id(channel.channel_id, what),
            fields={
                "channel_id": channel.channel_id,
                "channel_version": channel.version,
                "due_at": iso_milliseconds(moment),
                **fields,
            },
            actor=ALERTING,
            now=moment,
        )
        for event in planned.collect_events():
            self._events.append(event)
            self._decided.note(event, None)
