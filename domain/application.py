"""What every command on the `monitoring` log rests on: load, number, save, try again.

Knows aggregates and their numbers; knows no particular command.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast
from uuid import UUID

from eventsourcing.application import AggregateNotFoundError, Application, LRUCache
from eventsourcing.domain import Aggregate, CanMutateAggregate
from eventsourcing.persistence import IntegrityError

from domain.access_token import AccessToken
from domain.clock import Clock, utc_now
from domain.errors import ConflictError, LostEventsError, NotFoundError
from domain.event_mapper import EventMapper, as_uuid
from domain.location import MonitoringLocation
from domain.monitor import Monitor
from domain.numbering import NumberedKind, NumberStream, Registered
from domain.organization import Customer, Organization

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventsourcing.domain import DomainEventProtocol, MutableOrImmutableAggregate
    from eventsourcing.persistence import Recording
    from eventsourcing.utils import EnvType

    from domain.actor import Actor
    from domain.idempotency import IdempotencyKey


T = TypeVar("T", bound=Aggregate)
R = TypeVar("R")
Turn = Callable[[], AbstractContextManager[object]]
"""Lets one writer in after the other, where the store has such a thing."""

E = TypeVar("E", bound=Aggregate.Created)
N = TypeVar("N", Organization, Customer, AccessToken, Monitor, MonitoringLocation)

ATTEMPTS: Final = 100
"""How often a command is tried again after losing a race. In each round somebody wins."""

_CACHED_AGGREGATES: Final = 1000
"""Aggregates that a process keeps, brought up to date at each use by their new events."""


_JUST_MADE: Final = 100
"""Events kept for those who ask for them right after the command. Some never ask."""


class StreamRows(Protocol):
    """What the log's recorder offers beside what the library asks of it."""

    def rows_of(self, streams: Sequence[UUID]) -> Sequence[tuple[str, int, str, bytes]]:
        """Return stream, version, topic and state of all rows of some streams, each in order."""


class NumberedLog(Application[UUID]):
    """An application whose aggregates bear numbers."""

    def __init__(self, env: EnvType | None = None, clock: Clock = utc_now) -> None:
        super().__init__({"AGGREGATE_CACHE_MAXSIZE": str(_CACHED_AGGREGATES), **(env or {})})
        self.clock = clock
        self.observers: list[Callable[[list[Recording[UUID]]], None]] = []
        self.turn: Turn = nullcontext
        self._just_made: dict[UUID, object] = {}

    def construct_mapper(self) -> EventMapper:
        """Return the mapper, whose transcoder foreign data cannot poison."""
        return EventMapper()

    def save(
        self,
        *objs: MutableOrImmutableAggregate[UUID] | DomainEventProtocol[UUID] | None,
        **kwargs: object,
    ) -> list[Recording[UUID]]:
        """Record the new events of aggregates, and events by themselves, all or none.

        What the library does here beside that nobody asks for: it takes snapshots, and looks
        through every object for the methods of a protocol.
        """
        events: list[DomainEventProtocol[UUID]] = []
        for each in objs:
            if isinstance(each, Aggregate):
                events += each.collect_events()
            elif each is not None:
                events.append(cast("DomainEventProtocol[UUID]", each))
        recordings = self.events.put(events, **kwargs)
        self._notify(recordings)
        return recordings

    def _notify(self, recordings: list[Recording[UUID]]) -> None:
        """Tell observers what was recorded; it is on disk by now."""
        super()._notify(recordings)
        for observe in self.observers:
            observe(recordings)

    def load(self, aggregate_class: type[T], aggregate_id: UUID, missing: str) -> T:
        """Return an aggregate. Raises NotFoundError with the text `missing`."""
        try:
            found: Aggregate = self.repository.get(aggregate_id)
        except AggregateNotFoundError:
            raise NotFoundError(missing) from None
        if not isinstance(found, aggregate_class):
            raise NotFoundError(missing)
        return found

    def created_by(self, event_class: type[E], aggregate_id: UUID, missing: str) -> E:
        """Return the event that made an aggregate. Raises NotFoundError with the text `missing`."""
        just_made = self._just_made.pop(aggregate_id, None)
        if isinstance(just_made, event_class):
            return just_made
        for event in self.events.get(aggregate_id, limit=1):
            if isinstance(event, event_class):
                return event
        raise NotFoundError(missing)

    def _remember(self, created: CanMutateAggregate[UUID]) -> None:
        """Keep the event that made a thing for whoever shows it: it need not be read back."""
        if len(self._just_made) >= _JUST_MADE:
            self._just_made.clear()
        self._just_made[created.originator_id] = created

    def events_of(self, streams: Sequence[UUID]) -> list[list[DomainEventProtocol[UUID]]]:
        """Return all events of each of some streams, which are read at once."""
        found: dict[UUID, list[DomainEventProtocol[UUID]]] = {each: [] for each in streams}
        mapper = cast("EventMapper", self.mapper)
        for row in cast("StreamRows", self.recorder).rows_of(streams):
            stream = as_uuid(row[0])
            found[stream].append(mapper.event(stream, *row[1:]))
        return [found[each] for each in streams]

    def next_number(self, sort: NumberedKind) -> int:
        """Return the number that comes next, unless another writer takes it first."""
        return NumberStream(self.events, sort).next_number()

    def registered(
        self,
        sort: NumberedKind,
        thing: Organization | Customer | AccessToken | Monitor | MonitoringLocation,
        actor: Actor,
    ) -> Registered:
        """Return the event that gives a thing its number."""
        return NumberStream(self.events, sort).registration(
            thing.number, thing.id, actor=actor, timestamp=thing.created_on
        )

    def save_numbered(
        self,
        sort: NumberedKind,
        create: Callable[[int], N],
        actor: Actor,
        *,
        repeat: IdempotencyKey | None = None,
    ) -> N:
        """Save a new thing together with its number, and with the client's key for it.

        A request that was made before makes nothing: what it made then is returned, as it
        is now. Raises ConflictError when the key was used for another request.
        """

        def attempt() -> N:
            before = repeat.previous_result(self.events) if repeat else None
            if before is not None:
                found: N = self.repository.get(before)
                return found
            thing = create(self.next_number(sort))
            remembered = (
                repeat.answered(thing.id, actor=actor, now=thing.created_on) if repeat else None
            )
            created = thing.pending_events[0]
            self.save(remembered, self.registered(sort, thing, actor), thing)
            self._remember(created)
            return thing

        return self.retry(attempt)

    def retry(self, attempt: Callable[[], R]) -> R:
        """Try until no other writer came first. The text of the conflict holds event data."""
        for _ in range(ATTEMPTS):
            try:
                with self.turn():
                    return attempt()
            except LostEventsError:
                self.repository.cache = LRUCache(_CACHED_AGGREGATES)
            except IntegrityError:
                continue
        raise ConflictError("too many changes at the same time; try again")
