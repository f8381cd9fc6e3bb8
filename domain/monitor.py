"""The monitor: what is watched, how and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventsourcing.domain import Aggregate

from domain.fields import MONITOR_FIELDS, assign, current_values
from domain.values import real_changes

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from domain.actor import Actor
    from domain.commands import CreateMonitor
    from domain.kinds import Config, Kind


class Monitor(Aggregate):
    """One mail server that is watched."""

    TOPIC = "Monitor"

    class Event(Aggregate.Event):
        """Base of a monitor's events."""

        TOPIC = "MonitorEvent"

    class Created(Event, Aggregate.Created):
        """A monitor was created.

        `kind` is `smtp` or `imap_pop`, `number` its id among those of its kind,
        `check_interval` in minutes, `port` null for the default of the protocol.
        `config` is the documented object with the secret sealed in its place.
        """

        TOPIC = "MonitorCreated"

        kind: Kind
        number: int
        organization_id: str
        customer_id: str
        name: str
        hostname: str
        port: int | None
        status: str
        check_interval: float
        timeout_seconds: float
        notification_email: str | None
        notification_phone_number: str | None
        allowed_check_country_codes: list[str] | None
        config: dict[str, Any]
        actor: Actor

    class Updated(Event):
        """Some fields changed. In `changes`: absent is unchanged, null is cleared.

        A config is replaced as a whole. An update that changes nothing is not recorded.
        """

        TOPIC = "MonitorUpdated"

        changes: dict[str, Any]
        actor: Actor

        def apply(self, aggregate: Monitor) -> None:
            """Assign what changed."""
            assign(aggregate, self.changes)

    class Deleted(Event):
        """A monitor was deleted: it is not checked or shown any more, its history stays."""

        TOPIC = "MonitorDeleted"

        actor: Actor

        def apply(self, aggregate: Monitor) -> None:
            """Note the deletion."""
            aggregate.deleted = True

    def __init__(
        self,
        *,
        kind: Kind,
        number: int,
        organization_id: str,
        customer_id: str,
        name: str,
        hostname: str,
        port: int | None,
        status: str,
        check_interval: float,
        timeout_seconds: float,
        notification_email: str | None,
        notification_phone_number: str | None,
        allowed_check_country_codes: list[str] | None,
        config: Config,
    ) -> None:
        self.kind = kind
        self.number = number
        self.organization_id = organization_id
        self.customer_id = customer_id
        self.name = name
        self.hostname = hostname
        self.port = port
        self.status = status
        self.check_interval = check_interval
        self.timeout_seconds = timeout_seconds
        self.notification_email = notification_email
        self.notification_phone_number = notification_phone_number
        self.allowed_check_country_codes = allowed_check_country_codes
        self.config = config
        self.deleted = False

    @classmethod
    def create(
        cls,
        number: int,
        command: CreateMonitor,
        *,
        monitor_id: UUID,
        config: Config,
        actor: Actor,
        now: datetime,
    ) -> Monitor:
        """Return a new monitor, still to be saved. `config` holds its secret sealed."""
        fields = {name: getattr(command, name) for name in MONITOR_FIELDS if name != "config"}
        return cls._create(
            cls.Created,
            id=monitor_id,
            timestamp=now,
            kind=command.kind,
            number=number,
            organization_id=str(command.organization_id),
            customer_id=str(command.customer_id),
            config=config,
            actor=actor,
            **fields,
        )

    def update(self, changes: dict[str, Any], *, actor: Actor, now: datetime) -> bool:
        """Record what really changes; return whether anything did."""
        real = real_changes(changes, current_values(self, MONITOR_FIELDS))
        if real:
            self.trigger_event(Monitor.Updated, timestamp=now, changes=real, actor=actor)
        return bool(real)

    def delete(self, *, actor: Actor, now: datetime) -> None:
        """Record the deletion."""
        self.trigger_event(Monitor.Deleted, timestamp=now, actor=actor)
