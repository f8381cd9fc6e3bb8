"""Places from which servers are checked, as checkers make themselves known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from domain.changes import real_changes

if TYPE_CHECKING:
    from datetime import datetime

    from domain.actor import Actor

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:location")


def location_id(code: str) -> UUID:
    """Return the id of the location with a code."""
    return uuid5(_NAMESPACE, code)


class MonitoringLocation(Aggregate):
    """A place with at least one checker, past or present."""

    TOPIC = "MonitoringLocation"

    class Event(Aggregate.Event):
        """Base of a location's events."""

        TOPIC = "LocationEvent"

    class Created(Event, Aggregate.Created):
        """A checker began to work at a new place. `country` is ISO 3166-1 alpha-2 or null."""

        TOPIC = "LocationRegistered"

        number: int
        code: str
        name: str
        country: str | None
        actor: Actor

        def apply(self, aggregate: MonitoringLocation) -> None:
            """Assign the changeable fields."""
            aggregate.fields = {"name": self.name, "country": self.country}

    class Updated(Event):
        """The place has another name or country. In `changes`: absent is unchanged."""

        TOPIC = "LocationUpdated"

        changes: dict[str, str | None]
        actor: Actor

        def apply(self, aggregate: MonitoringLocation) -> None:
            """Assign what changed."""
            aggregate.fields.update(self.changes)

    def __init__(self, *, number: int, code: str) -> None:
        self.number = number
        self.code = code
        self.fields: dict[str, str | None] = {}

    @classmethod
    def register(
        cls,
        number: int,
        *,
        code: str,
        name: str,
        country: str | None,
        actor: Actor,
        now: datetime,
    ) -> MonitoringLocation:
        """Return a new location, still to be saved."""
        return cls._create(
            cls.Created,
            id=location_id(code),
            timestamp=now,
            number=number,
            code=code,
            name=name,
            country=country,
            actor=actor,
        )

    def update(self, *, name: str, country: str | None, actor: Actor, now: datetime) -> bool:
        """Record another name or country; return whether anything changed."""
        real = real_changes({"name": name, "country": country}, self.fields)
        if real:
            self.trigger_event(MonitoringLocation.Updated, timestamp=now, changes=real, actor=actor)
        return bool(real)
