"""Folding events into a side of a view, and leaving a mark of the last one beside its position.

The mark tells that event from any other one that could stand at its position, as happens
when a log was put back from a copy and has grown since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.log_reader import LoggedEvent, LogReader
    from projections.projection import Projection
    from projections.view import Transaction


def apply(projection: Projection, events: Iterable[LoggedEvent], transaction: Transaction) -> int:
    """Fold events, which may be decoded one after the other; return how many there were."""
    counted = Counted(events)
    projection.apply(counted, transaction)
    if counted.last is not None:
        transaction.set_position(counted.last.position, _mark(counted.last))
    return counted.count


def is_another_history(log: LogReader, position: int, mark: str) -> bool:
    """Return whether another event than the marked one stands in the log at its position."""
    found = log.after(position - 1, 1) if position and mark else []
    return bool(found) and found[0].position == position and _mark(found[0]) != mark


class Counted:
    """Events on their way to a projection. An event that is folded need not be kept."""

    def __init__(self, events: Iterable[LoggedEvent]) -> None:
        self._events = events
        self.last: LoggedEvent | None = None
        self.count = 0

    def __iter__(self) -> Iterator[LoggedEvent]:
        for logged in self._events:
            self.last = logged
            self.count += 1
            yield logged


def _mark(logged: LoggedEvent) -> str:
    event = logged.event
    return f"{event.originator_id} {event.originator_version} {event.timestamp.isoformat()}"
