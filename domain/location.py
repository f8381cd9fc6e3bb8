"""Locations: the places from which servers are checked. A checker registers its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from domain.errors import ConflictError, RetiredError
from domain.fields import assign
from domain.values import real_changes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from domain.actor import Actor


_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:location")


def location_id(code: str) -> UUID:
    """Return the id of the location with a code."""
    return uuid5(_NAMESPACE, code)


def may_check(country: str | None, country_codes: Collection[str] | None) -> bool:
    """Return whether a location in a country may check what these countries may check.

    None and an empty list mean every location.
    """
    return not country_codes or country in country_codes


class LocationChange(NamedTuple):
    """A changed field of a location: the value before, and the value now."""

    was: str | None
    now: str | None


class Registration(NamedTuple):
    """What the start of a checker changed about its location.

    `changes` are the fields that had other values before. `is_back`: it was retired until now.
    """

    location: MonitoringLocation
    changes: Mapping[str, LocationChange]
    is_back: bool

    @property
    def is_news(self) -> bool:
        """Whether the start changed anything about a known location."""
        return self.is_back or bool(self.changes)


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

    class Updated(Event):
        """The place has another name or country. In `changes`: absent is unchanged."""

        TOPIC = "LocationUpdated"

        changes: dict[str, str | None]
        actor: Actor

        def apply(self, aggregate: MonitoringLocation) -> None:
            """Assign what changed."""
            assign(aggregate, self.changes)

    class Retired(Event):
        """No checks are made at the place any more. The checks made there keep its name."""

        TOPIC = "LocationRetired"

        actor: Actor

        def apply(self, aggregate: MonitoringLocation) -> None:
            """Note that it is retired."""
            aggregate.is_retired = True

    class Restored(Event):
        """A checker began to work at a retired place again."""

        TOPIC = "LocationRestored"

        actor: Actor

        def apply(self, aggregate: MonitoringLocation) -> None:
            """Note that it is not retired any more."""
            aggregate.is_retired = False

    def __init__(self, *, number: int, code: str, name: str, country: str | None) -> None:
        self.number = number
        self.code = code
        self.name = name
        self.country = country
        self.is_retired = False

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

    def update(
        self, *, name: str, country: str | None, actor: Actor, now: datetime
    ) -> Mapping[str, LocationChange]:
        """Record another name or country; return what changed."""
        before: dict[str, str | None] = {"name": self.name, "country": self.country}
        real = real_changes({"name": name, "country": country}, before)
        changes = {field: LocationChange(before[field], now_is) for field, now_is in real.items()}
        if real:
            self.trigger_event(MonitoringLocation.Updated, timestamp=now, changes=real, actor=actor)
        return changes

    def renew(
        self, *, name: str, country: str | None, may_restore: bool, actor: Actor, now: datetime
    ) -> Registration:
        """Record that a checker starts here again, under what name and country.

        Raises RetiredError when the location is retired and may not be restored.
        """
        if self.is_retired and not may_restore:
            raise RetiredError(f"location {self.code} is retired")
        is_back = self.restore(actor=actor, now=now)
        changes = self.update(name=name, country=country, actor=actor, now=now)
        return Registration(self, changes, is_back)

    def retire(self, *, actor: Actor, now: datetime) -> None:
        """Stop checks from here. Raises ConflictError if the location is retired already."""
        if self.is_retired:
            raise ConflictError(f"location {self.code} is retired already")
        self.trigger_event(MonitoringLocation.Retired, timestamp=now, actor=actor)

    def restore(self, *, actor: Actor, now: datetime) -> bool:
        """Record that a checker works here again; return whether it was retired."""
        was_retired = self.is_retired
        if was_retired:
            self.trigger_event(MonitoringLocation.Restored, timestamp=now, actor=actor)
        return was_retired
