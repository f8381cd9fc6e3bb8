"""Organizations and their customers: who owns monitors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from eventsourcing.domain import Aggregate

from domain.values import real_changes

if TYPE_CHECKING:
    from collections.abc import Mapping
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


CUSTOMER_DEFAULTS: Final[Mapping[str, Any]] = {
    "notification_email": None,
    "notification_phone_number": None,
    "package_type": None,
    "status": "active",
    "allowed_check_country_codes": None,
    "custom_fields": None,
    "monthly_reports_enabled": True,
    "alert_location_threshold_count": 1,
}
"""What a customer's optional fields are until somebody sets them."""


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

        def apply(self, aggregate: Customer) -> None:
            """Assign the changeable fields."""
            own = {"name": self.name, "email": self.email}
            aggregate.fields = {**CUSTOMER_DEFAULTS, **self.details, **own}

    class Updated(Event):
        """Some fields changed. In `changes`: absent is unchanged, null is cleared."""

        TOPIC = "CustomerUpdated"

        changes: dict[str, Any]
        actor: Actor

        def apply(self, aggregate: Customer) -> None:
            """Assign what changed."""
            aggregate.fields.update(self.changes)

    def __init__(self, *, number: int, organization_id: str) -> None:
        self.number = number
        self.organization_id = organization_id
        self.fields: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """What people call the customer."""
        name: str = self.fields["name"]
        return name

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
        real = real_changes(changes, self.fields)
        if real:
            self.trigger_event(Customer.Updated, timestamp=now, changes=real, actor=actor)
        return bool(real)
