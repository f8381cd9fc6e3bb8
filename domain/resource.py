"""What people set up for an organization beside monitors: numbered, changed and deleted.

Maintenance windows, notification channels, tags and packages record their changes in the same
way. A class of them names its fields (`FIELDS`) and checks them (`check`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from eventsourcing.domain import Aggregate

from domain.errors import NotFoundError, StaleVersionError
from domain.fields import FieldSpecs, assign, current_values
from domain.values import real_changes

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from domain.actor import Actor
    from domain.numbering import NumberedKind


Fields = dict[str, Any]
"""Fields by their name in the domain, in JSON-native values."""


class Resource(Aggregate):
    """One numbered thing of an organization. `number` is its id in responses."""

    # Not seen by the library, which would make a dataclass of a class with annotations.
    if TYPE_CHECKING:
        FIELDS: ClassVar[FieldSpecs]
        KIND: ClassVar[NumberedKind]
        LABEL: ClassVar[str]
        """What people call it: the first word of its errors."""
        number: int
        organization_id: str

    class Event(Aggregate.Event):
        """Base of the events."""

        TOPIC = "ResourceEvent"

    class Created(Event, Aggregate.Created):
        """It was created. `fields` holds the fields that differ from their defaults."""

        TOPIC = "ResourceCreated"

        number: int
        organization_id: str
        fields: Fields
        actor: Actor

    class Updated(Event):
        """Some fields changed. In `changes`: absent is unchanged, null is cleared."""

        TOPIC = "ResourceUpdated"

        changes: Fields
        actor: Actor

        def apply(self, aggregate: Resource) -> None:
            """Assign what changed."""
            assign(aggregate, self.changes)

    class Deleted(Event):
        """It was deleted; its history stays."""

        TOPIC = "ResourceDeleted"

        actor: Actor

        def apply(self, aggregate: Resource) -> None:
            """Note the deletion."""
            aggregate.deleted = True

    def __init__(self, *, number: int, organization_id: str, fields: Fields) -> None:
        self.number = number
        self.organization_id = organization_id
        self.deleted = False
        assign(self, {**self.defaults(), **fields})

    @classmethod
    def defaults(cls) -> Fields:
        """Return the value of each field that a create leaves out."""
        return {name: spec.default for name, spec in cls.FIELDS.items()}

    @classmethod
    def check(cls, fields: Fields) -> None:
        """Refuse fields that contradict each other. Raises InvalidInputError."""

    @classmethod
    def create(
        cls,
        number: int,
        organization_id: UUID,
        fields: Fields,
        *,
        resource_id: UUID,
        actor: Actor,
        now: datetime,
    ) -> Self:
        """Return a new one, still to be saved. Raises InvalidInputError."""
        cls.check({**cls.defaults(), **fields})
        return cls._create(
            cls.Created,
            id=resource_id,
            timestamp=now,
            number=number,
            organization_id=str(organization_id),
            fields=real_changes(fields, cls.defaults()),
            actor=actor,
        )

    def update(self, changes: Fields, *, actor: Actor, now: datetime) -> bool:
        """Record what really changes; return whether anything did. Raises InvalidInputError."""
        current = current_values(self, self.FIELDS)
        real = real_changes(changes, current)
        if real:
            self.check({**current, **real})
            self.trigger_event(self.Updated, timestamp=now, changes=real, actor=actor)
        return bool(real)

    def delete(self, *, actor: Actor, now: datetime) -> None:
        """Record the deletion."""
        self.trigger_event(self.Deleted, timestamp=now, actor=actor)

    def require(self, organization_id: UUID, expected_version: int | None = None) -> None:
        """Refuse a change of a deleted or foreign one, or of another version than expected.

        Raises NotFoundError or StaleVersionError.
        """
        if self.deleted or self.organization_id != str(organization_id):
            raise NotFoundError(f"{self.LABEL} not found")
        if expected_version is not None and self.version != expected_version:
            raise StaleVersionError(
                f"The {self.LABEL.lower()} was changed meanwhile; read it again"
            )
