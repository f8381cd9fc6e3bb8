"""Reading a log in the order of its positions: what projections and the checker live on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from domain.archive.rows import is_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventsourcing.application import Application

    from domain.proof.leaf import EventRows, Row


class LoggedEvent(NamedTuple):
    """An event and its position in the log's total order. Positions may have gaps."""

    position: int
    event: Any


class LogReader:
    """Reads one log; holds no position of its own.

    `rows` gives events that do not stand in the log's own file any more.
    """

    def __init__(self, application: Application[UUID], rows: EventRows | None = None) -> None:
        self.name = application.name
        self._recorder = application.recorder
        self._mapper = application.mapper
        self._rows = rows

    def after(self, position: int, limit: int) -> Sequence[LoggedEvent]:
        """Return up to `limit` events that come after `position`, in order."""
        notifications = self._recorder.select_notifications(
            start=position, limit=limit, inclusive_of_start=False
        )
        if self._rows is None or is_whole([each.id for each in notifications], position):
            return [
                LoggedEvent(each.id, self._mapper.to_domain_event(each)) for each in notifications
            ]
        return [
            LoggedEvent(row.position, self._mapper.to_domain_event(stored_event(row)))
            for row in self._rows.after(position, limit)
        ]

    def head(self) -> int:
        """Return the position of the newest event, 0 for an empty log."""
        return self._recorder.max_notification_id() or 0

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""
        recorder: Any = self._recorder  # of our own storage: the library knows no pruning
        last: int = recorder.last_given()
        return last


def stored_event(row: Row) -> StoredEvent:
    """Return a row as the event store knows it."""
    stream = UUID(row.originator_id.decode("ascii"))
    return StoredEvent(stream, int(row.version), row.topic.decode(), row.state)
