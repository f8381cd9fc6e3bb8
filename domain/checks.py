"""The `checks` log: one stream for each monitor and location."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast
from uuid import UUID

from eventsourcing.application import Application

from domain.check import CheckPerformed, check_log_id
from domain.event_mapper import EventMapper
from domain.log_reader import stored_event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from eventsourcing.utils import EnvType

    from domain.actor import Actor
    from domain.proof.leaf import Row


class NewRows(Protocol):
    """What a log's recorder offers beside what the library asks of it."""

    def append(self, rows: Sequence[tuple[str, int, str, bytes]]) -> None:
        """Append stream, version, topic and state of new rows, durably, all or none."""


@dataclass(frozen=True, slots=True)
class PerformedCheck:
    """A check that is still to be recorded."""

    monitor_id: UUID
    monitor_version: int
    kind: str
    due_at: str
    started_at: str
    finished_at: datetime
    outcome: dict[str, Any]


@dataclass(slots=True)
class _Tail:
    """A stream, the version of its last event, and whose it is."""

    stream: UUID
    version: int
    monitor_id: str


class OlderChecks(Protocol):
    """Finds checks that do not stand in the log's own file any more."""

    def before(self, stream: UUID, version: int, limit: int) -> Sequence[Row]:
        """Return up to `limit` rows of a stream before a version, newest first."""
        ...


class Checks(Application[UUID]):
    """Appends checks in batches: one transaction a batch."""

    name = "checks"

    def __init__(self, env: EnvType | None = None) -> None:
        super().__init__(env)
        self.older: OlderChecks | None = None
        self._tails: dict[tuple[UUID, str], _Tail] = {}
        # Both are what an application of this store is made with.
        self._to_row = cast("EventMapper", self.mapper).row
        self._rows = cast("NewRows", self.recorder)

    def construct_mapper(self) -> EventMapper:
        """Return the mapper, whose transcoder foreign data cannot poison."""
        return EventMapper()

    def record(self, batch: Sequence[PerformedCheck], *, location: str, actor: Actor) -> None:
        """Append a batch of checks, all or none.

        Raises IntegrityError when another process recorded checks of the same monitors
        meanwhile; nothing is stored then, and the next call starts from the log again.
        """
        tails = [self._tail(check.monitor_id, location) for check in batch]
        try:
            # Straight to the recorder: for each event `save` asks three times whether it is
            # an aggregate, which costs more than everything else here.
            self._rows.append(
                [
                    self._to_row(CheckPerformed, *_next_event(check, tail, location, actor))
                    for check, tail in zip(batch, tails, strict=True)
                ]
            )
        except BaseException:
            # Whether anything was stored, the log knows.
            for check in batch:
                self._tails.pop((check.monitor_id, location), None)
            raise

    def look(self, monitor_id: UUID, location: str, limit: int) -> list[CheckPerformed]:
        """Return up to `limit` of the newest checks that are not archived, newest first.

        The next `record` goes on from what was seen here: whatever another process appends
        from now on makes it raise IntegrityError.
        """
        stream = check_log_id(monitor_id, location)
        found = self.recorder.select_events(stream, desc=True, limit=limit)
        version = found[0].originator_version if found else 0
        self._tails[monitor_id, location] = _Tail(stream, version, str(monitor_id))
        events = map(self.mapper.to_domain_event, found)
        return [event for event in events if isinstance(event, CheckPerformed)]

    def newest(self, monitor_id: UUID, location: str, limit: int) -> list[CheckPerformed]:
        """Return the newest checks of a monitor at a location, newest first.

        The newest one always stands in the log's own file; most of the others do.
        """
        stream = check_log_id(monitor_id, location)
        found = list(self.recorder.select_events(stream, desc=True, limit=limit))
        oldest = found[-1].originator_version if found else 1
        if self.older is not None and len(found) < limit and oldest > 1:
            rows = self.older.before(stream, oldest, limit - len(found))
            found += map(stored_event, rows)
        events = map(self.mapper.to_domain_event, found)
        return [event for event in events if isinstance(event, CheckPerformed)]

    def _tail(self, monitor_id: UUID, location: str) -> _Tail:
        tail = self._tails.get((monitor_id, location))
        if tail is None:
            stream = check_log_id(monitor_id, location)
            last = self.recorder.select_events(stream, desc=True, limit=1)
            tail = _Tail(stream, last[0].originator_version if last else 0, str(monitor_id))
            self._tails[monitor_id, location] = tail
        return tail


def _next_event(
    check: PerformedCheck, tail: _Tail, location: str, actor: Actor
) -> tuple[UUID, int, dict[str, Any]]:
    """Return stream, version and fields of the `CheckPerformed` that comes next."""
    tail.version += 1
    fields = {
        "timestamp": check.finished_at,
        "monitor_id": tail.monitor_id,
        "monitor_version": check.monitor_version,
        "kind": check.kind,
        "location": location,
        "due_at": check.due_at,
        "started_at": check.started_at,
        "outcome": check.outcome,
        "actor": actor,
    }
    return tail.stream, tail.version, fields
