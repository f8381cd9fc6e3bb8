"""Numeric ids: one stream for each kind of thing; the version of an event is the number.

The event that gives a number is saved in one transaction with the thing that gets it, so
numbers are unique and have no gaps. When two writers race, the one that is second stores
nothing and tries again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, get_args
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import DomainEvent
from eventsourcing.utils import register_topic

from domain.kinds import Kind

if TYPE_CHECKING:
    from datetime import datetime

    from eventsourcing.persistence import EventStore

    from domain.actor import Actor


NumberedKind = Literal[
    "organization",
    "customer",
    "access_token",
    Kind,
    "location",
    "incident",
    "maintenance_window",
    "notification_channel",
    "tag",
    "package_config",
]

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:numbers")
_STREAM_OF: Final[dict[NumberedKind, UUID]] = {
    kind: uuid5(_NAMESPACE, kind) for kind in get_args(NumberedKind)
}
_KIND_OF: Final[dict[UUID, str]] = {stream: kind for kind, stream in _STREAM_OF.items()}


@dataclass(frozen=True)
class Registered(DomainEvent):
    """A number was assigned to a thing. The number is the event's version in its stream.

    `sort` is the kind of thing. Events of version 1 lack it: there the id of the stream
    determines the kind.
    """

    TOPIC = "Registered"
    class_version: ClassVar[int] = 2

    registered_id: str
    sort: str
    actor: Actor

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Add the kind of thing, which the id of the stream determines."""
        state["sort"] = _KIND_OF[state["originator_id"]]


register_topic(Registered.TOPIC, Registered)


def next_number(events: EventStore[UUID], kind: NumberedKind) -> int:
    """Return the number that comes next, unless another writer takes it first."""
    # Only the version is needed: the event is not decoded.
    last = events.recorder.select_events(_STREAM_OF[kind], desc=True, limit=1)
    return last[0].originator_version + 1 if last else 1


def number_given(
    kind: NumberedKind, number: int, thing: UUID, *, actor: Actor, timestamp: datetime
) -> Registered:
    """Return the event that gives `number` to `thing`."""
    return Registered(
        originator_id=_STREAM_OF[kind],
        originator_version=number,
        timestamp=timestamp,
        registered_id=str(thing),
        sort=kind,
        actor=actor,
    )
