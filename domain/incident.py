"""Incidents: what is wrong since when, why Postwatch says so, and how it ended.

`alerting` opens and ends incidents; people acknowledge and close them. Times are ISO 8601 UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from domain.errors import ConflictError

if TYPE_CHECKING:
    from datetime import datetime

    from domain.actor import Actor


IncidentType = Literal[
    "downtime", "ssl_expiry", "performance", "configuration", "unwatched", "location"
]
IncidentState = Literal["open", "resolved", "closed"]
"""`resolved`: it recovered. `closed`: nobody watches any more, or a person closed it."""

CloseReason = Literal["disabled", "deleted", "by_hand"]

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:incident")


def incident_id(subject: str, incident_type: IncidentType, evidence: str) -> UUID:
    """Return the id of an incident: it follows from what it rests on.

    `subject` is the id of a monitor, or the code of a location. `evidence` names the deciding
    check by its stream and version, so a second decider makes the same id and is refused.
    """
    return uuid5(_NAMESPACE, f"{subject}/{incident_type}/{evidence}")


class Incident(Aggregate):
    """One incident of a monitor; of type `location`, of a place that cannot be trusted."""

    TOPIC = "Incident"

    class Event(Aggregate.Event):
        """Base of an incident's events."""

        TOPIC = "IncidentEvent"

    class Created(Event, Aggregate.Created):
        """It was confirmed.

        `outage_started_at` is the end of the first failing check. `rests_on` lists the deciding
        check of each place: `location`, `version` of its stream, `category`. `voters` and
        `threshold`: how many places had a vote, and how many had to fail. `server` is the
        address or name by which notices are grouped. `held`: a maintenance window holds its
        notices back.
        """

        TOPIC = "IncidentOpened"

        number: int
        type: str
        organization_id: str | None
        customer_id: str | None
        monitor_id: str | None
        location: str | None
        server: str
        outage_started_at: str
        rests_on: list[dict[str, Any]]
        voters: int
        threshold: int
        held: bool
        actor: Actor

    class Reopened(Event):
        """It was confirmed again soon after it was resolved."""

        TOPIC = "IncidentReopened"

        outage_started_at: str
        rests_on: list[dict[str, Any]]
        voters: int
        threshold: int
        held: bool
        actor: Actor

        def apply(self, aggregate: Incident) -> None:
            """Open it anew; an acknowledgement of the time before does not count."""
            aggregate.begin_generation(self.timestamp, held=self.held)

    class Resolved(Event):
        """It recovered. `rests_on` lists the good checks that say so."""

        TOPIC = "IncidentResolved"

        rests_on: list[dict[str, Any]]
        actor: Actor

        def apply(self, aggregate: Incident) -> None:
            """Note the end."""
            aggregate.end("resolved", self.timestamp)

    class Closed(Event):
        """It ended without a recovery: nobody watches the server any more, or a person says so."""

        TOPIC = "IncidentClosed"

        reason: str
        note: str | None
        actor: Actor

        def apply(self, aggregate: Incident) -> None:
            """Note the end and its reason."""
            aggregate.end("closed", self.timestamp)
            aggregate.close_reason = self.reason
            aggregate.is_unstable = False

    class Acknowledged(Event):
        """A person takes care of it: no reminders and no further channels from now on."""

        TOPIC = "IncidentAcknowledged"

        note: str | None
        actor: Actor

        def apply(self, aggregate: Incident) -> None:
            """Note who and when."""
            aggregate.acknowledged_at = self.timestamp
            aggregate.acknowledged_by = self.actor

    class Unstable(Event):
        """It opens and recovers again and again: its changes are not told until it is steady."""

        TOPIC = "IncidentUnstable"

        openings: int
        actor: Actor

        def apply(self, aggregate: Incident) -> None:
            """Note that it is flapping."""
            aggregate.is_unstable = True

    class Steady(Event):
        """Nothing changed for a while. `is_down`: it is steadily down, which is told anew."""

        TOPIC = "IncidentSteady"

        is_down: bool
        actor: Actor

        def apply(self, aggregate: Incident) -> None:
            """Tell its changes again."""
            aggregate.is_unstable = False
            if self.is_down:
                aggregate.generation += 1
                aggregate.alert_from = self.timestamp

    class Released(Event):
        """An untrusted place has been so for long: what only it can see is believed again."""

        TOPIC = "LocationReleased"

        actor: Actor

        def apply(self, aggregate: Incident) -> None:
            """Note the time."""
            aggregate.released_at = self.timestamp

    def __init__(
        self,
        *,
        number: int,
        type: IncidentType,  # noqa: A002 - the documented name
        organization_id: str | None,
        customer_id: str | None,
        monitor_id: str | None,
        location: str | None,
        server: str,
        outage_started_at: str,
        rests_on: list[dict[str, Any]],
        voters: int,
        threshold: int,
        held: bool,
    ) -> None:
        del rests_on, voters, threshold
        self.number = number
        self.type = type
        self.organization_id = organization_id
        self.customer_id = customer_id
        self.monitor_id = monitor_id
        self.location = location
        self.server = server
        self.outage_started_at = outage_started_at
        self.generation = 0
        self.is_unstable = False
        self.close_reason: str | None = None
        self.acknowledged_by: Actor | None = None
        self.released_at: datetime | None = None
        self.begin_generation(self.created_on, held=held)

    @property
    def subject(self) -> str:
        """The monitor, or the location, that it is about."""
        return self.monitor_id or self.location or ""

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self.state == "open"

    def begin_generation(self, now: datetime, *, held: bool) -> None:
        """Open it, for the first time or anew. `generation` counts what is to be told."""
        self.state: IncidentState = "open"
        self.generation += 1
        self.opened_at = now
        self.alert_from = now
        self.changed_at = now
        self.ended_at: datetime | None = None
        self.acknowledged_at: datetime | None = None
        self.held = held

    def end(self, state: IncidentState, now: datetime) -> None:
        """Note that it is over."""
        self.state = state
        self.ended_at = now
        self.changed_at = now

    @classmethod
    def open(
        cls, identifier: UUID, number: int, *, fields: dict[str, Any], actor: Actor, now: datetime
    ) -> Incident:
        """Return a new incident, still to be saved. `fields` are those of `Created`."""
        return cls._create(
            cls.Created, id=identifier, timestamp=now, number=number, actor=actor, **fields
        )

    def reopen(self, *, fields: dict[str, Any], actor: Actor, now: datetime) -> None:
        """Open it again. `fields` are those of `Reopened`."""
        self.trigger_event(Incident.Reopened, timestamp=now, actor=actor, **fields)

    def resolve(self, rests_on: list[dict[str, Any]], *, actor: Actor, now: datetime) -> None:
        """Record the recovery."""
        self.trigger_event(Incident.Resolved, timestamp=now, rests_on=rests_on, actor=actor)

    def close(
        self, reason: CloseReason, *, actor: Actor, now: datetime, note: str | None = None
    ) -> None:
        """Record its end without a recovery. Raises ConflictError when it is over."""
        if not self.is_open:
            raise ConflictError("The incident is over already")
        self.trigger_event(Incident.Closed, timestamp=now, reason=reason, note=note, actor=actor)

    def acknowledge(self, *, actor: Actor, now: datetime, note: str | None = None) -> bool:
        """Record that a person takes care of it; return whether anything changed.

        Raises ConflictError when it is over.
        """
        if not self.is_open:
            raise ConflictError("The incident is over already")
        if self.acknowledged_at is not None:
            return False
        self.trigger_event(Incident.Acknowledged, timestamp=now, note=note, actor=actor)
        return True

    def become_unstable(self, openings: int, *, actor: Actor, now: datetime) -> None:
        """Record that it is flapping."""
        self.trigger_event(Incident.Unstable, timestamp=now, openings=openings, actor=actor)

    def become_steady(self, *, actor: Actor, now: datetime) -> None:
        """Record that it has not changed for long."""
        self.trigger_event(Incident.Steady, timestamp=now, is_down=self.is_open, actor=actor)

    def release(self, *, actor: Actor, now: datetime) -> None:
        """Record that what only this place sees is believed again."""
        self.trigger_event(Incident.Released, timestamp=now, actor=actor)
