"""Maps events to stored rows and back, and their state to JSON bytes with orjson.

Only the top-level `timestamp` is not plain JSON. The library's default transcoder gives a
meaning to dictionaries of a certain form, so a request body could make a log unreadable; here
a dictionary is always just a dictionary.

A state without `class_version` is of version 1. An older version is brought to today's form
by the event class's own `upcast_v1_v2` and so on. A newer one, which only a newer Postwatch
can have written, is refused instead of being read with fields that mean something else.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import orjson
from eventsourcing.persistence import Mapper, MapperDeserialisationError, StoredEvent, Transcoder
from eventsourcing.utils import TopicError, get_topic, resolve_topic

from domain.errors import StoreError

if TYPE_CHECKING:
    from eventsourcing.domain import DomainEvent, DomainEventProtocol


class OrjsonTranscoder(Transcoder):
    """Encodes event state whose values are JSON-native, but for `timestamp`."""

    def encode(self, obj: Any) -> bytes:  # noqa: ANN401 - the signature is the library's
        """Return the bytes of an event's state. Raises TypeError on values that are not JSON."""
        return orjson.dumps(obj)

    def decode(self, data: bytes) -> Any:  # noqa: ANN401 - the signature is the library's
        """Return the state as it was encoded."""
        state = orjson.loads(data)
        state["timestamp"] = datetime.fromisoformat(state["timestamp"])
        return state


_KNOWN_IDS: Final = 1 << 16
"""Ids cached: few streams occur very often, and parsing an id costs as much as the JSON."""

as_uuid: Final = lru_cache(_KNOWN_IDS)(UUID)
"""Return an id from its stored text."""


@lru_cache(_KNOWN_IDS)
def _as_text(identifier: UUID) -> str:
    return identifier.hex


class Row(NamedTuple):
    """An event as its log stores it, nothing decoded."""

    position: int
    originator_id: bytes
    version: bytes
    topic: bytes
    state: bytes


def stored_event(row: Row) -> StoredEvent:
    """Return a row in the form of the library's event store."""
    stream = as_uuid(row.originator_id.decode("ascii"))
    return StoredEvent(stream, int(row.version), row.topic.decode(), row.state)


class EventMapper(Mapper[UUID]):
    """Maps events whose states are plain JSON; written for rebuilds that read every event."""

    def __init__(self) -> None:
        super().__init__(OrjsonTranscoder())

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Return an event from the library's form of a row."""
        identifier = stored_event.originator_id
        event: DomainEventProtocol[UUID] = self.event(
            identifier if isinstance(identifier, UUID) else as_uuid(identifier),
            stored_event.originator_version,
            stored_event.topic,
            stored_event.state,
        )
        return event

    def event(self, originator_id: UUID, version: int, topic: str, state: bytes) -> Any:  # noqa: ANN401 - an event of any class
        """Return an event. Raises MapperDeserialisationError when its bytes are damaged.

        Raises StoreError when only a newer Postwatch can read it.
        """
        try:
            # As the transcoder does; this is the innermost loop of every rebuild.
            values: dict[str, Any] = orjson.loads(state)
            values["timestamp"] = datetime.fromisoformat(values["timestamp"])
        except (ValueError, KeyError, TypeError) as error:
            raise MapperDeserialisationError(
                f"event {version} of {originator_id} ({topic}) is damaged: {type(error).__name__}"
            ) from None
        event_class, today = _form(topic)
        values["originator_id"] = originator_id
        values["originator_version"] = version
        written = values.pop("class_version", 1)
        if written != today:
            _upcast(event_class, topic, written, today, values)
        event = object.__new__(event_class)
        # As the library does: an event is frozen, and its fields are what was stored.
        object.__setattr__(event, "__dict__", values)
        return event

    def values(self, topic: str, state: bytes) -> dict[str, Any]:
        """Return the fields of a state in today's form, its `timestamp` as text.

        For reads of many events that need a field or two: it takes half the time of `event`.
        Raises what `event` raises, and not for events whose upcast needs their stream.
        """
        try:
            values: dict[str, Any] = orjson.loads(state)
            written = values.pop("class_version", 1)
        except (ValueError, TypeError, AttributeError) as error:
            raise MapperDeserialisationError(
                f"an event {topic!r} is damaged: {type(error).__name__}"
            ) from None
        event_class, today = _form(topic)
        if written != today:
            _upcast(event_class, topic, written, today, values)
        return values

    def row(
        self, event_class: type[DomainEvent], stream: UUID, version: int, values: dict[str, Any]
    ) -> tuple[str, int, str, bytes]:
        """Return stream, version, topic and state of a new event, as a log stores them.

        `values` are all its fields but stream and version. No event object is made: that would
        cost as much as encoding the values.
        """
        topic, today = _writes(event_class)
        if today > 1:
            values = {**values, "class_version": today}
        return _as_text(stream), version, topic, orjson.dumps(values)


@cache
def _writes(event_class: type[DomainEvent]) -> tuple[str, int]:
    """Return the topic of a class of events and the version that this code writes."""
    return get_topic(event_class), getattr(event_class, "class_version", 1)


@cache
def _form(topic: str) -> tuple[type[Any], int]:
    """Return the class of a topic and the version that this code writes."""
    try:
        found = resolve_topic(topic)
    except TopicError:
        raise StoreError(f"the log holds an event {topic!r}, {_NEWER}") from None
    return found, getattr(found, "class_version", 1)


_NEWER: Final = (
    "which this version of Postwatch does not know; install the version that wrote it, or a newer"
)


def _upcast(
    event_class: type[Any], topic: str, written: int, today: int, values: dict[str, Any]
) -> None:
    if written > today:
        raise StoreError(f"the log holds an event {topic!r} of version {written}, {_NEWER}")
    try:
        for version in range(written, today):
            getattr(event_class, f"upcast_v{version}_v{version + 1}")(values)
    except (LookupError, TypeError, ValueError) as error:
        raise MapperDeserialisationError(
            f"an event {topic!r} of version {written} is damaged: {type(error).__name__}"
        ) from None
