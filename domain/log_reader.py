"""Reading a log in the order of its positions: what projections and the checker live on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from eventsourcing.application import Application


class LoggedEvent(NamedTuple):
    """An event and its position in the log's total order. Positions may have gaps."""

    position: int
    event: Any


class LogReader:
    """Reads one log; holds no position of its own."""

    def __init__(self, application: Application[UUID]) -> None:
        self.name = application.name
        self._recorder = application.recorder
        self._mapper = application.mapper

    def after(self, position: int, limit: int) -> Sequence[LoggedEvent]:
        """Return up to `limit` events that come after `position`, in order."""
        notifications = self._recorder.select_notifications(
            start=position, limit=limit, inclusive_of_start=False
        )
        return [LoggedEvent(each.id, self._mapper.to_domain_event(each)) for each in notifications]

    def head(self) -> int:
        """Return the position of the newest event, 0 for an empty log."""
        return self._recorder.max_notification_id() or 0

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""
        recorder: Any = self._recorder  # of our own storage: the library knows no pruning
        last: int = recorder.last_given()
        return last
