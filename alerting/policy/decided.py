"""What was decided so far: the incidents and plans of the `incidents` log, folded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast, get_args

from domain.event_mapper import as_uuid
from domain.incident import Incident, IncidentType
from domain.notification import Notification
from domain.numbering import Registered

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from alerting.policy.facts import Timing


@dataclass(slots=True)
class Told:
    """What a channel heard of an incident.

    `generation` is the newest one that it was alerted of. `is_outstanding`: it heard of a
    trouble and not yet of its end. `knows_unstable`: the newest that it heard is that the
    incident is unstable.
    """

    generation: int = 0
    is_outstanding: bool = False
    knows_unstable: bool = False


@dataclass(slots=True)
class Group:
    """The messages of a channel about one server, until all that it heard of is well.

    `opened_by` names the incident that began it and its generation.
    """

    opened_by: str
    members: set[UUID] = field(default_factory=set)
    messages: int = 0
    last_at: float = float("-inf")
    reminded_at: float = float("-inf")
    reminders: int = 0


class Decided:
    """The fold of the `incidents` log."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.incidents: dict[UUID, Incident] = {}
        self.newest: dict[tuple[str, str], Incident] = {}
        """The newest incident of each subject and type."""
        self.by_server: dict[str, set[UUID]] = {}
        """Downtimes of which something may still be told."""
        self.groups: dict[tuple[str, str], Group] = {}
        self.unfinished: dict[UUID, Notification.Created] = {}
        """Plans of messages of which nothing says yet what became of them."""
        self.last_number = 0
        self._openings: dict[tuple[str, str], deque[float]] = {}
        self._told: dict[UUID, dict[str, Told]] = {}
        self._single: set[tuple[UUID, str, str]] = set()

    def fold(self, event: Any) -> None:  # noqa: ANN401 - any event of the log
        """Apply an event of the log; one that is applied already changes nothing."""
        match event:
            case Registered():
                self.last_number = max(self.last_number, event.originator_version)
            case Incident.Created():
                if event.originator_id not in self.incidents:
                    self._apply(event, cast("Incident", event.mutate(None)))
            case Incident.Event():
                incident = self.incidents.get(event.originator_id)
                if incident is not None and incident.version < event.originator_version:
                    event.mutate(incident)
                    self._apply(event, incident)
            case Notification.Created():
                self._note_plan(event)
            case Notification.Skipped():
                self.unfinished.pop(event.originator_id, None)

    def note(self, event: Any, incident: Incident | None) -> None:  # noqa: ANN401 - as above
        """Take a new decision, which its aggregate has applied already."""
        if isinstance(event, Notification.Created):
            self._note_plan(event)
        elif isinstance(event, Registered):
            self.last_number = event.originator_version
        elif incident is not None:
            self._apply(event, incident)

    def open_incident(self, subject: str, incident_type: IncidentType) -> Incident | None:
        """Return the open incident of a type; None without one."""
        found = self.newest.get((subject, incident_type))
        return found if found is not None and found.is_open else None

    def open_incidents(self, subject: str) -> list[Incident]:
        """Return the open incidents of a monitor, of every type."""
        found = (self.open_incident(subject, each) for each in get_args(IncidentType))
        return [each for each in found if each is not None]

    def count_open(self) -> int:
        """Return how many incidents are open."""
        return sum(each.is_open for each in self.newest.values())

    def is_any_open(self, incidents: Iterable[dict[str, Any]]) -> bool:
        """Return whether any of the incidents that a plan lists is open."""
        found = (self.incidents.get(as_uuid(each["id"])) for each in incidents)
        return any(each is not None and each.is_open for each in found)

    def openings(self, subject: str, incident_type: str, now: float) -> int:
        """Return how often incidents were opened within the time that counts for flapping."""
        moments = self._openings.get((subject, incident_type), ())
        return sum(each > now - self._timing.flapping_within for each in moments)

    def told(self, incident_id: UUID, channel_id: str) -> Told:
        """Return what a channel heard of an incident."""
        return self._told.get(incident_id, {}).get(channel_id) or Told()

    def was_told(self, incident_id: UUID) -> bool:
        """Return whether any channel heard of the present generation of an incident."""
        generation = self.incidents[incident_id].generation
        return any(
            each.generation >= generation for each in self._told.get(incident_id, {}).values()
        )

    def is_outstanding(self, incident_id: UUID) -> bool:
        """Return whether some channel heard of an incident and not of its end."""
        return any(each.is_outstanding for each in self._told.get(incident_id, {}).values())

    def was_planned(self, incident_id: UUID, channel_id: str, what: str) -> bool:
        """Return whether a message of a kind that is planned once was planned."""
        return (incident_id, channel_id, what) in self._single

    def _apply(self, event: Any, incident: Incident) -> None:  # noqa: ANN401 - as above
        key = (incident.subject, incident.type)
        match event:
            case Incident.Created():
                before = self.newest.get(key)
                if before is not None:
                    self._forget_if_finished(before)
                self.incidents[incident.id] = incident
                self.newest[key] = incident
                self._note_opening(key, event.timestamp.timestamp())
            case Incident.Reopened():
                self._note_opening(key, event.timestamp.timestamp())
            case Incident.Steady():
                self._openings.pop(key, None)
        if incident.type == "downtime":
            self.by_server.setdefault(incident.server, set()).add(incident.id)
            self._forget_if_finished(incident)

    def _note_opening(self, key: tuple[str, str], moment: float) -> None:
        most = self._timing.flapping_openings
        self._openings.setdefault(key, deque(maxlen=most)).append(moment)

    def _note_plan(self, event: Any) -> None:  # noqa: ANN401 - as above
        self.unfinished[event.originator_id] = event
        if event.kind in ("certificate", "configuration"):
            for each in event.incidents:
                what = f"{event.kind}/{each.get('what', '')}"
                self._single.add((as_uuid(each["id"]), event.channel_id, what))
            return
        key = (event.channel_id, event.group)
        group = self.groups.setdefault(key, Group(event.opened_by))
        group.messages = event.number
        group.last_at = event.timestamp.timestamp()
        if event.kind == "reminder":
            group.reminders, group.reminded_at = event.reminder, group.last_at
        elif group.reminded_at == float("-inf"):
            group.reminded_at = group.last_at
        for each in event.incidents:
            self._note_told(event, group, as_uuid(each["id"]), each["generation"])
        if not group.members:
            del self.groups[key]

    def _note_told(self, event: Any, group: Group, incident_id: UUID, generation: int) -> None:  # noqa: ANN401 - as above
        told = self._told.setdefault(incident_id, {}).setdefault(event.channel_id, Told())
        told.knows_unstable = event.kind == "unstable"
        if event.kind in ("recovery", "closed"):
            told.is_outstanding = False
            group.members.discard(incident_id)
            incident = self.incidents.get(incident_id)
            if incident is not None:
                self._forget_if_finished(incident)
            return
        told.generation = max(told.generation, generation)
        told.is_outstanding = True
        group.members.add(incident_id)

    def _forget_if_finished(self, incident: Incident) -> None:
        """Forget an incident of which nothing is to be told any more.

        The newest one of a subject and type stays: it may be reopened.
        """
        if incident.is_open or incident.is_unstable or self.is_outstanding(incident.id):
            return
        servers = self.by_server.get(incident.server)
        if servers is not None:
            servers.discard(incident.id)
            if not servers:
                del self.by_server[incident.server]
        if self.newest.get((incident.subject, incident.type)) is not incident:
            self.incidents.pop(incident.id, None)
            self._told.pop(incident.id, None)
