"""The `checks` log: one stream for each monitor and location."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast
from uuid import UUID

from eventsourcing.application import Application

from domain.check import CheckPerformed, check_log_id
from domain.event_mapper import EventMapper, as_uuid, stored_event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from eventsourcing.utils import EnvType

    from domain.actor import Actor
    from domain.event_mapper import Row


class CheckRows(Protocol):
    """What a log's recorder offers in addition to the library's interface."""

    def append(self, rows: Sequence[tuple[str, int, str, bytes]]) -> None:
        """Append stream, version, topic and state of new rows, durably, all or none."""

    def last_rows_of(
        self, streams: Sequence[UUID], limit: int
    ) -> Sequence[tuple[str, int, str, bytes]]:
        """Return stream, version, topic and state of the last rows of streams, newest first."""


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
    """The end of a monitor's stream: the version of its last event."""

    stream: UUID
    version: int
    monitor_id: str


class OlderChecks(Protocol):
    """Finds checks that were archived and deleted from the log's own file."""

    def before(self, stream: UUID, version: int, limit: int) -> Sequence[Row]:
        """Return up to `limit` rows of a stream before a version, newest first."""
        ...


class Checks(Application[UUID]):
    """The log of checks. Appends them in batches, one transaction a batch."""

    name = "checks"

    def __init__(self, env: EnvType | None = None) -> None:
        super().__init__(env)
        self.older: OlderChecks | None = None
        self._tails: dict[tuple[UUID, str], _Tail] = {}
        # The library's attributes are wider than the parts that this store's engine gives.
        self._to_row = cast("EventMapper", self.mapper).row
        self._to_event = cast("EventMapper", self.mapper).event
        self._rows = cast("CheckRows", self.recorder)

    def construct_mapper(self) -> EventMapper:
        """Return the mapper, whose transcoder foreign data cannot poison."""
        return EventMapper()

    def record(self, batch: Sequence[PerformedCheck], *, location: str, actor: Actor) -> None:
        """Append a batch of checks, all or none.

        Raises IntegrityError when another process recorded checks of the same monitors
        meanwhile; nothing is stored then, and the next call starts from the log again.
        """
        tails = self._tails_of([check.monitor_id for check in batch], location)
        try:
            # Not `save`: it checks three times for each event whether it is an aggregate,
            # which costs more than everything else here.
            self._rows.append(
                [
                    self._to_row(CheckPerformed, *_next_event(check, tail, location, actor))
                    for check, tail in zip(batch, tails, strict=True)
                ]
            )
        except BaseException:
            # The batch may or may not be stored: the next call reads the log.
            for check in batch:
                self._tails.pop((check.monitor_id, location), None)
            raise

    def look(
        self, monitor_ids: Sequence[UUID], location: str, limit: int
    ) -> dict[UUID, list[CheckPerformed]]:
        """Return of each monitor up to `limit` of the newest checks that are not archived.

        Newest first. The next `record` continues after these checks: a check that another
        process appends from now on makes it raise IntegrityError.
        """
        found = self._last_of(monitor_ids, location, limit)
        for monitor_id, checks in found.items():
            version = checks[0].originator_version if checks else 0
            stream = check_log_id(monitor_id, location)
            self._tails[monitor_id, location] = _Tail(stream, version, str(monitor_id))
        return found

    def last_of(self, monitor_ids: Sequence[UUID], location: str) -> dict[UUID, CheckPerformed]:
        """Return the last check of each monitor that was ever checked at a location.

        The last check is never archived. `record` does not continue from here.
        """
        found = self._last_of(monitor_ids, location, 1)
        return {monitor_id: checks[0] for monitor_id, checks in found.items() if checks}

    def newest(
        self, monitor_id: UUID, location: str, limit: int, *, up_to: int | None = None
    ) -> list[CheckPerformed]:
        """Return the newest checks of a monitor at a location, newest first.

        With `up_to`, the newest of those up to this version of the stream. Checks that are not
        in the log's own file any more are read from the archive.
        """
        stream = check_log_id(monitor_id, location)
        found = list(self.recorder.select_events(stream, lte=up_to, desc=True, limit=limit))
        first_missing = 1 if up_to is None else up_to + 1
        oldest = found[-1].originator_version if found else first_missing
        if self.older is not None and len(found) < limit and oldest > 1:
            rows = self.older.before(stream, oldest, limit - len(found))
            found += map(stored_event, rows)
        events = map(self.mapper.to_domain_event, found)
        return [event for event in events if isinstance(event, CheckPerformed)]

    def _last_of(
        self, monitor_ids: Sequence[UUID], location: str, limit: int
    ) -> dict[UUID, list[CheckPerformed]]:
        """Read the newest checks of some monitors at once."""
        found: dict[UUID, list[CheckPerformed]] = {each: [] for each in monitor_ids}
        streams = {check_log_id(each, location): each for each in found}
        for row in self._rows.last_rows_of(list(streams), limit):
            stream = as_uuid(row[0])
            # These streams hold no other events.
            found[streams[stream]].append(cast("CheckPerformed", self._to_event(stream, *row[1:])))
        return found

    def _tails_of(self, monitor_ids: Sequence[UUID], location: str) -> list[_Tail]:
        unknown = {each for each in monitor_ids if (each, location) not in self._tails}
        if unknown:
            self.look(list(unknown), location, 1)
        return [self._tails[each, location] for each in monitor_ids]


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
