"""Organizations and their customers: who owns monitors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from eventsourcing.domain import Aggregate

from domain.fields import CUSTOMER_DEFAULTS, CUSTOMER_FIELDS, assign, current_values
from domain.values import real_changes

if TYPE_CHECKING:
    from datetime import datetime

    from domain.actor import Actor
    from domain.commands import CreateCustomer


class Organization(Aggregate):
    """A company that runs monitors; nothing is visible across organizations."""

    TOPIC = "Organization"

    class Event(Aggregate.Event):
        """Base of an organization's events."""

        TOPIC = "OrganizationEvent"

    class Created(Event, Aggregate.Created):
        """An organization was created. `number` is its id in responses."""

        TOPIC = "OrganizationCreated"

        number: int
        name: str
        actor: Actor

    def __init__(self, *, number: int, name: str) -> None:
        self.number = number
        self.name = name

    @classmethod
    def create(cls, number: int, name: str, *, actor: Actor, now: datetime) -> Organization:
        """Return a new organization, still to be saved."""
        return cls._create(
            cls.Created, id=uuid4(), timestamp=now, number=number, name=name, actor=actor
        )


class Customer(Aggregate):
    """A customer of an organization: the scope of monitors and of scoped tokens."""

    TOPIC = "Customer"

    class Event(Aggregate.Event):
        """Base of a customer's events."""

        TOPIC = "CustomerEvent"

    class Created(Event, Aggregate.Created):
        """A customer was created. `details` holds the optional fields that were set."""

        TOPIC = "CustomerCreated"

        number: int
        organization_id: str
        name: str
        email: str | None
        details: dict[str, Any]
        actor: Actor

    class Updated(Event):
        """Some fields changed. In `changes`: absent is unchanged, null is cleared."""

        TOPIC = "CustomerUpdated"

        changes: dict[str, Any]
        actor: Actor

        def apply(self, aggregate: Customer) -> None:
            """Assign what changed."""
            assign(aggregate, self.changes)

    def __init__(
        self,
        *,
        number: int,
        organization_id: str,
        name: str,
        email: str | None,
        details: dict[str, Any],
    ) -> None:
        self.number = number
        self.organization_id = organization_id
        self.name = name
        self.email = email
        assign(self, {**CUSTOMER_DEFAULTS, **details})

    @classmethod
    def create(
        cls, number: int, command: CreateCustomer, *, actor: Actor, now: datetime
    ) -> Customer:
        """Return a new customer, still to be saved."""
        return cls._create(
            cls.Created,
            id=uuid4(),
            timestamp=now,
            number=number,
            organization_id=str(command.organization_id),
            name=command.name,
            email=command.email,
            details=real_changes(command.details, dict(CUSTOMER_DEFAULTS)),
            actor=actor,
        )

    def update(self, changes: dict[str, Any], *, actor: Actor, now: datetime) -> bool:
        """Record what really changes; return whether anything did."""
        real = real_changes(changes, current_values(self, CUSTOMER_FIELDS))
        if real:
            self.trigger_event(Customer.Updated, timestamp=now, changes=real, actor=actor)
        return bool(real)
