"""Tags: labels of an organization, and which monitors have them (contract part B, 14).

The tags of a monitor are a stream of their own: they must not move the version of the monitor,
which running checks and careful clients (`If-Match`) depend on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import Aggregate

from domain.errors import InvalidValueError
from domain.fields import FieldSpec, FieldSpecs
from domain.resource import Resource

if TYPE_CHECKING:
    from datetime import datetime

    from domain.actor import Actor
    from domain.monitor import Monitor


COLORS: Final = (
    "slate",
    "red",
    "amber",
    "green",
    "teal",
    "blue",
    "indigo",
    "violet",
    "pink",
    "gray",
)
MAX_NAME_LENGTH: Final = 50
MAX_TAGS: Final = 500
"""The most tags of an organization."""

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:monitor-tags")


def parse_color(value: object) -> str:
    """Return one of the documented colors. Raises InvalidValueError for another one."""
    if not isinstance(value, str) or value not in COLORS:
        raise InvalidValueError("invalidTagColor", f"must be one of {', '.join(COLORS)}")
    return value


_FIELDS: Final[FieldSpecs] = {
    each.name: each
    for each in (
        FieldSpec(name="name", key="name", is_required=True),
        FieldSpec(name="color", key="color", is_required=True),
    )
}


class Tag(Resource):
    """A label that people put on monitors."""

    TOPIC = "Tag"
    KIND = "tag"
    LABEL = "Tag"
    if TYPE_CHECKING:
        name: str
    FIELDS = _FIELDS

    class Event(Resource.Event):
        """Base of a tag's events."""

        TOPIC = "TagEvent"

    class Created(Event, Resource.Created):
        """A tag was created."""

        TOPIC = "TagCreated"

    class Updated(Event, Resource.Updated):
        """A tag has another name or color."""

        TOPIC = "TagUpdated"

    class Deleted(Event, Resource.Deleted):
        """A tag was deleted, and with it its assignments."""

        TOPIC = "TagDeleted"


def monitor_tags_id(monitor_id: UUID) -> UUID:
    """Return the id of the stream with the tags of a monitor."""
    return uuid5(_NAMESPACE, str(monitor_id))


class MonitorTags(Aggregate):
    """The tags of one monitor."""

    TOPIC = "MonitorTags"

    class Event(Aggregate.Event):
        """Base of the events."""

        TOPIC = "MonitorTagsEvent"

    class Created(Event, Aggregate.Created):
        """A monitor got its first tag."""

        TOPIC = "MonitorFirstTagged"

        monitor_id: str
        organization_id: str
        tag_id: str
        monitor_name: str
        tag_name: str
        actor: Actor

    class Assigned(Event):
        """A monitor got another tag."""

        TOPIC = "MonitorTagged"

        monitor_id: str
        tag_id: str
        monitor_name: str
        tag_name: str
        actor: Actor

        def apply(self, aggregate: MonitorTags) -> None:
            """Note the tag, and when the monitor got it."""
            aggregate.since[self.tag_id] = self.timestamp

    class Removed(Event):
        """A tag was taken from a monitor."""

        TOPIC = "MonitorUntagged"

        monitor_id: str
        tag_id: str
        monitor_name: str
        tag_name: str
        actor: Actor

        def apply(self, aggregate: MonitorTags) -> None:
            """Forget the tag."""
            del aggregate.since[self.tag_id]

    def __init__(self, *, monitor_id: str, organization_id: str, tag_id: str) -> None:
        self.monitor_id = monitor_id
        self.organization_id = organization_id
        self.since: dict[str, datetime] = {tag_id: self.created_on}

    @classmethod
    def create(cls, monitor: Monitor, tag: Tag, *, actor: Actor, now: datetime) -> MonitorTags:
        """Return the tags of a monitor that gets its first one, still to be saved."""
        return cls._create(
            cls.Created,
            id=monitor_tags_id(monitor.id),
            timestamp=now,
            organization_id=monitor.organization_id,
            actor=actor,
            **_named(monitor, tag),
        )

    def assign(self, monitor: Monitor, tag: Tag, *, actor: Actor, now: datetime) -> bool:
        """Record a tag of the monitor; return False when the monitor has it already."""
        if str(tag.id) in self.since:
            return False
        self.trigger_event(MonitorTags.Assigned, timestamp=now, actor=actor, **_named(monitor, tag))
        return True

    def remove(self, monitor: Monitor, tag: Tag, *, actor: Actor, now: datetime) -> bool:
        """Record that the monitor lost a tag; return False when it does not have it."""
        if str(tag.id) not in self.since:
            return False
        self.trigger_event(MonitorTags.Removed, timestamp=now, actor=actor, **_named(monitor, tag))
        return True


def _named(monitor: Monitor, tag: Tag) -> dict[str, str]:
    """Return what an event says of both, with the names of that time for the audit log."""
    return {
        "monitor_id": str(monitor.id),
        "tag_id": str(tag.id),
        "monitor_name": monitor.name,
        "tag_name": tag.name,
    }
