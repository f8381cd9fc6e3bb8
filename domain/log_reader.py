"""Reading a log in the order of its positions: what projections and the checker live on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from eventsourcing.persistence import StoredEvent

from domain.event_mapper import as_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from eventsourcing.application import Application

    from domain.archive.rows import ArchivedRows
    from domain.event_mapper import EventMapper
    from domain.proof.leaf import Row


class LoggedEvent(NamedTuple):
    """An event and its position in the log's total order. Positions may have gaps."""

    position: int
    event: Any


class Recorder(Protocol):
    """What a log's recorder offers beside what the library asks of it."""

    def rows_after(self, position: int, limit: int) -> Sequence[tuple[int, str, int, str, bytes]]:
        """Return position, stream, version, topic and state of rows after a position, in order."""

    def max_notification_id(self) -> int | None:
        """Return the position of the newest row."""

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""


class LogReader:
    """Reads one log; holds no position of its own.

    `rows` gives events that do not stand in the log's own file any more.
    """

    def __init__(self, application: Application[UUID], rows: ArchivedRows | None = None) -> None:
        self.name = application.name
        # Both are what the applications of this package are made with.
        self._recorder = cast("Recorder", application.recorder)
        self._mapper = cast("EventMapper", application.mapper)
        self._rows = rows

    def after(self, position: int, limit: int) -> Sequence[LoggedEvent]:
        """Return up to `limit` events that come after `position`, in order."""
        return list(self.each_after(position, limit))

    def each_after(self, position: int, limit: int) -> Iterator[LoggedEvent]:
        """Yield those events, each decoded when it is asked for."""
        event = self._mapper.event
        found = self._recorder.rows_after(position, limit)
        # The newest event of each stream stays in the log: behind the last one stands nothing.
        if (
            self._rows is None
            or not found
            or self._rows.is_complete([row[0] for row in found], position)
        ):
            for row, stream, version, topic, state in found:
                yield LoggedEvent(row, event(as_uuid(stream), version, topic, state))
            return
        for elsewhere in self._rows.after(position, limit):
            yield LoggedEvent(
                elsewhere.position, self._mapper.to_domain_event(stored_event(elsewhere))
            )

    def head(self) -> int:
        """Return the position of the newest event, 0 for an empty log."""
        return self._recorder.max_notification_id() or 0

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""
        return self._recorder.last_given()


def stored_event(row: Row) -> StoredEvent:
    """Return a row as the event store knows it."""
    stream = as_uuid(row.originator_id.decode("ascii"))
    return StoredEvent(stream, int(row.version), row.topic.decode(), row.state)
