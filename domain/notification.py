"""Notifications: who is to hear of which incidents, by which channel, and when.

A plan is a decision; its delivery is recorded in the same stream. The id follows from what is
planned, so nothing is planned twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

if TYPE_CHECKING:
    from datetime import datetime

    from domain.actor import Actor


NotificationKind = Literal[
    "alert", "reminder", "recovery", "unstable", "closed", "certificate", "configuration"
]
"""`closed`: an incident that people heard of ended without a recovery."""

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:notification")


def notification_id(channel_id: str, what: str) -> UUID:
    """Return the id of a notification of a channel. `what` names what it is about, once."""
    return uuid5(_NAMESPACE, f"{channel_id}/{what}")


class Notification(Aggregate):
    """One message by one channel."""

    TOPIC = "Notification"

    class Event(Aggregate.Event):
        """Base of a notification's events."""

        TOPIC = "NotificationEvent"

    class Created(Event, Aggregate.Created):
        """A message is to be sent.

        `incidents` lists the id and the generation (which counts reopenings) of each incident
        that it is about. `group` names the server, or the incident, whose messages belong
        together; `opened_by` the incident that began the group, and `number` counts its messages.
        `level`: days before the end of a certificate. `reminder`: which reminder it is.
        """

        TOPIC = "AlertPlanned"

        kind: str
        incidents: list[dict[str, Any]]
        organization_id: str
        channel_id: str
        channel_version: int
        group: str
        opened_by: str
        number: int
        reminder: int
        level: int | None
        due_at: str
        actor: Actor

    class Skipped(Event):
        """It is not sent: it was planned too long ago, or before a restore."""

        TOPIC = "AlertSkipped"

        reason: str
        actor: Actor

        def apply(self, aggregate: Notification) -> None:
            """Note that it is finished."""
            aggregate.is_finished = True

    def __init__(
        self,
        *,
        kind: NotificationKind,
        incidents: list[dict[str, Any]],
        organization_id: str,
        channel_id: str,
        channel_version: int,
        group: str,
        opened_by: str,
        number: int,
        reminder: int,
        level: int | None,
        due_at: str,
    ) -> None:
        self.kind = kind
        self.incidents = incidents
        self.organization_id = organization_id
        self.channel_id = channel_id
        self.channel_version = channel_version
        self.group = group
        self.opened_by = opened_by
        self.number = number
        self.reminder = reminder
        self.level = level
        self.due_at = due_at
        self.is_finished = False

    @classmethod
    def plan(
        cls, identifier: UUID, *, fields: dict[str, Any], actor: Actor, now: datetime
    ) -> Notification:
        """Return a new notification, still to be saved. `fields` are those of `Created`."""
        return cls._create(cls.Created, id=identifier, timestamp=now, actor=actor, **fields)

    def skip(self, reason: str, *, actor: Actor, now: datetime) -> None:
        """Record that it is not sent."""
        self.trigger_event(Notification.Skipped, timestamp=now, reason=reason, actor=actor)
