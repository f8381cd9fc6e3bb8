"""Reads the events of a log in the order of their positions, archived ones included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from domain.event_mapper import as_uuid, stored_event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from eventsourcing.application import Application

    from domain.event_mapper import EventMapper
    from store.archive.check_archive import ArchivedRows


class LoggedEvent(NamedTuple):
    """An event and its position in the log's total order. Positions may have gaps."""

    position: int
    event: Any


class RowRecorder(Protocol):
    """What the recorder of a log offers beside the library's interface."""

    def rows_after(self, position: int, limit: int) -> Sequence[tuple[int, str, int, str, bytes]]:
        """Return position, stream, version, topic and state of rows after a position, in order."""

    def max_notification_id(self) -> int | None:
        """Return the position of the newest row."""

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""


class LogReader:
    """Reads one log. Keeps no position of its own."""

    def __init__(self, application: Application[UUID], rows: ArchivedRows | None = None) -> None:
        """Take `rows`, which has the events that were archived, where a log has such."""
        self.name = application.name
        # The applications of this package are made with these two.
        self._recorder = cast("RowRecorder", application.recorder)
        self._mapper = cast("EventMapper", application.mapper)
        self._rows = rows

    def after(self, position: int, limit: int) -> Sequence[LoggedEvent]:
        """Return up to `limit` events that come after `position`, in order."""
        return list(self.each_after(position, limit))

    def each_after(self, position: int, limit: int) -> Iterator[LoggedEvent]:
        """Yield those events, each decoded when it is asked for."""
        found = self._recorder.rows_after(position, limit)
        # The newest event of each stream stays in the log, so nothing is archived after the
        # last one there.
        if (
            self._rows is None
            or not found
            or self._rows.is_complete([row[0] for row in found], position)
        ):
            event = self._mapper.event
            for row, stream, version, topic, state in found:
                yield LoggedEvent(row, event(as_uuid(stream), version, topic, state))
            return
        for each in self._rows.after(position, limit):
            yield LoggedEvent(each.position, self._mapper.to_domain_event(stored_event(each)))

    def head(self) -> int:
        """Return the position of the newest event, 0 for an empty log."""
        return self._recorder.max_notification_id() or 0

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""
        return self._recorder.last_given()
