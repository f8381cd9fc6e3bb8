"""Numeric ids: a stream for each sort of thing, whose version is the next number.

The registration is saved in one transaction with the thing that gets the number, so
numbers are unique and without gaps; of two racing writers the loser stores nothing and
tries again.
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


NumberedKind = Literal["organization", "customer", "access_token", Kind, "location"]

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:numbers")
_STREAM_OF: Final[dict[NumberedKind, UUID]] = {
    each: uuid5(_NAMESPACE, each) for each in get_args(NumberedKind)
}
_SORT_OF: Final[dict[UUID, str]] = {stream: each for each, stream in _STREAM_OF.items()}
"""What sort of thing each stream gives numbers to."""


@dataclass(frozen=True)
class Registered(DomainEvent):
    """A number was given to a thing. The number is the event's version in its stream.

    `sort` says what sort of thing it is. Version 1 left that to the id of the stream, which
    nobody can read who does not know how such ids are made.
    """

    TOPIC = "Registered"
    class_version: ClassVar[int] = 2

    registered_id: str
    sort: str
    actor: Actor

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Name the sort. There is a stream for each, so nothing has to be guessed."""
        state["sort"] = _SORT_OF[state["originator_id"]]


register_topic(Registered.TOPIC, Registered)


class NumberStream:
    """Hands out the numbers of one sort of thing."""

    def __init__(self, events: EventStore[UUID], sort: NumberedKind) -> None:
        self._sort = sort
        self._stream = _STREAM_OF[sort]
        self._recorder = events.recorder

    def next_number(self) -> int:
        """Return the number that comes next, unless another writer takes it first."""
        # The version is all that is asked for: the event need not be decoded.
        last = self._recorder.select_events(self._stream, desc=True, limit=1)
        return last[0].originator_version + 1 if last else 1

    def registration(
        self, number: int, thing: UUID, *, actor: Actor, timestamp: datetime
    ) -> Registered:
        """Return the event that gives `number` to `thing`."""
        return Registered(
            originator_id=self._stream,
            originator_version=number,
            timestamp=timestamp,
            registered_id=str(thing),
            sort=self._sort,
            actor=actor,
        )
