"""The `incidents` log: what alerting decided, and what people decided about incidents.

Alerting stores its decisions together with the position of the log that they follow from, in one
transaction: a decision is stored once, whoever else tries to.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, DomainEvent
from eventsourcing.utils import register_topic

from domain.actor import Actor  # noqa: TC001 - part of the stored event's definition
from domain.application import CommandRunner, Turn
from domain.clock import Clock, utc_now
from domain.errors import NotFoundError
from domain.event_mapper import EventMapper
from domain.incident import Incident
from domain.notification import Notification

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventsourcing.domain import DomainEventProtocol
    from eventsourcing.utils import EnvType


AGGREGATES: Final = (Incident, Notification)
"""What the log holds the events of, beside those of this file and the numbers of incidents."""

ALERTING_ID: Final = uuid5(NAMESPACE_URL, "urn:postwatch:alerting")
"""The stream of the events about alerting itself."""


@dataclass(frozen=True)
class AlertingStarted(DomainEvent):
    """Alerting began to decide, after a first start, an import or a restored backup.

    It follows the `checks` log from `checks_position` on: of what was before no incident is
    made, and messages that were planned before are not sent any more.
    """

    TOPIC = "AlertingStarted"

    checks_position: int
    policy_version: int
    actor: Actor


register_topic(AlertingStarted.TOPIC, AlertingStarted)


class TrackingMove(NamedTuple):
    """Up to where the log `source` is decided on: before, None for not at all, and after."""

    source: str
    before: int | None
    after: int


class TrackingRows(Protocol):
    """What the recorder of this log offers in addition to the library's interface."""

    def append_tracked(
        self, rows: Sequence[tuple[str, int, str, bytes]], move: TrackingMove
    ) -> None:
        """Append rows and move a position, durably, all or none.

        Raises IntegrityError when the position is another than `move.before`.
        """

    def tracked(self, source: str) -> int | None:
        """Return up to where a log is decided on; None when deciding has not begun."""


class Incidents(Application[UUID]):
    """The log of incidents and notifications, and the commands of people on them."""

    name = "incidents"

    def __init__(
        self, env: EnvType | None = None, clock: Clock = utc_now, turn: Turn = nullcontext
    ) -> None:
        super().__init__(env)
        self.clock = clock
        self._turn = turn
        self._commands = CommandRunner(turn, lambda: None)
        self._rows = cast("TrackingRows", self.recorder)

    def construct_mapper(self) -> EventMapper:
        """Return the mapper, whose transcoder foreign data cannot poison."""
        return EventMapper()

    def record(self, events: Sequence[DomainEventProtocol[UUID]], move: TrackingMove) -> None:
        """Store decisions and the position that they follow from.

        Raises IntegrityError, and stores nothing, when another process decided meanwhile.
        """
        stored = [self.mapper.to_stored_event(each) for each in events]
        rows = [
            (cast("UUID", each.originator_id).hex, each.originator_version, each.topic, each.state)
            for each in stored
        ]
        with self._turn():
            self._rows.append_tracked(rows, move)

    def tracked(self, source: str) -> int | None:
        """Return up to where a log is decided on; None when deciding has not begun."""
        return self._rows.tracked(source)

    def start(self, checks_position: int, policy_version: int, actor: Actor) -> None:
        """Record that alerting begins to decide at a position.

        Raises IntegrityError when another process did so.
        """
        before = self.recorder.select_events(ALERTING_ID, desc=True, limit=1)
        started = AlertingStarted(
            originator_id=ALERTING_ID,
            originator_version=before[0].originator_version + 1 if before else 1,
            timestamp=self.clock(),
            checks_position=checks_position,
            policy_version=policy_version,
            actor=actor,
        )
        self.record([started], TrackingMove("checks", None, checks_position))

    def incident(self, incident_id: UUID) -> Incident:
        """Return an incident. Raises NotFoundError."""
        try:
            found: Aggregate = self.repository.get(incident_id)
        except AggregateNotFoundError:
            found = None  # type: ignore[assignment] # refused below
        if not isinstance(found, Incident):
            raise NotFoundError("Incident not found")
        return found

    def acknowledge(self, incident_id: UUID, actor: Actor, note: str | None = None) -> Incident:
        """Record that a person takes care of an incident; again records nothing.

        Raises NotFoundError, or ConflictError when it is over.
        """

        def decide(incident: Incident) -> bool:
            return incident.acknowledge(actor=actor, now=self.clock(), note=note)

        return self._change(incident_id, decide)

    def close_by_hand(self, incident_id: UUID, actor: Actor, note: str | None = None) -> Incident:
        """Close an incident; a monitor that goes on failing opens a new one.

        Raises NotFoundError, or ConflictError when it is over.
        """

        def decide(incident: Incident) -> bool:
            incident.close("by_hand", actor=actor, now=self.clock(), note=note)
            return True

        return self._change(incident_id, decide)

    def _change(self, incident_id: UUID, decide: Callable[[Incident], bool]) -> Incident:
        """Change an incident; a race with alerting is decided again on the newer state."""

        def attempt() -> Incident:
            incident = self.incident(incident_id)
            if decide(incident):
                self.events.put(list[Any](incident.collect_events()))
            return incident

        return self._commands.run(attempt)
