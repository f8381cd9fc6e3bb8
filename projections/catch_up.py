"""Bringing a view up to its log: in batches, each with its position in one transaction.

Any process may do it at any time. Whoever comes second finds the position taken and
goes on from there, so an event is never applied twice.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.log_reader import LoggedEvent, LogReader
    from domain.numbered_log import Turn
    from projections.projection import Projection
    from projections.view import Side, Transaction, View

BATCH: Final = 500
"""Events a transaction: large enough to share its cost, small enough to let others in."""


class Projector:
    """Keeps one view at the head of its log."""

    def __init__(
        self, projection: Projection, log: LogReader, view: View, turn: Turn = nullcontext
    ) -> None:
        """Take `turn`, which lets one writer of the view in after the other."""
        self.projection = projection
        self.log = log
        self.view = view
        self._turn = turn

    def catch_up(self) -> int:
        """Apply everything that the log holds now; return how many events that took.

        Writers take turns. Who waited often finds that another one applied its events too.
        """
        head = self.log.head()
        applied = 0
        if self.view.position() < head:
            with self._turn():
                while self.view.position() < head and (step := self._locked_step("live")):
                    applied += step
        return applied

    def step(self, side: Side = "live") -> int:
        """Apply the next batch; return its size. Locks nothing when there is nothing new."""
        return self._locked_step(side) if self.view.position(side) < self.log.head() else 0

    def rebuild(self, progress: Callable[[int, int], None]) -> None:
        """Build the view anew beside the live one, then swap, while everything runs.

        `progress` is told the position reached and the head of the log after each batch.
        """
        self.view.start_shadow()
        while self.step("shadow"):
            progress(self.view.position("shadow"), self.log.head())
        self.view.swap(self._finish)
        progress(self.view.position(), self.log.head())

    def lag(self) -> int:
        """Return how many positions the view is behind its log."""
        return max(self.log.head() - self.view.position(), 0)

    def start_again_if_the_log_is_another(self) -> bool:
        """Empty the view, and return True, when it shows the events of another history.

        That happens when a log was put back from a copy. Either the log is shorter than the
        view has read, and would give the same positions to other events; or it has grown
        past the view since, and another event than the one that the view has seen stands
        at the view's position.
        """
        position, mark = self.view.reached()
        if not self.is_ahead():
            found = self.log.after(position - 1, 1) if position and mark else []
            if not found or found[0].position != position or _mark(found[0]) == mark:
                return False
        self.view.empty(position)
        return True

    def is_ahead(self) -> bool:
        """Return whether the view shows events that its log does not have.

        That happens when a log was put back from a backup: the view must be rebuilt. A log
        whose newest events were pruned has had them.
        """
        return self.view.position() > self.log.last_given()

    def _locked_step(self, side: Side) -> int:
        with self.view.transaction(side) as transaction:
            return self._apply_next(transaction)

    def _finish(self, transaction: Transaction) -> None:
        while self._apply_next(transaction) == BATCH:
            pass

    def _apply_next(self, transaction: Transaction) -> int:
        events = self.log.after(transaction.position(), BATCH)
        if events:
            self.projection.apply(events, transaction)
            transaction.set_position(events[-1].position, _mark(events[-1]))
        return len(events)


def _mark(logged: LoggedEvent) -> str:
    """Return what tells an event from any other one that could stand at its position."""
    event = logged.event
    return f"{event.originator_id} {event.originator_version} {event.timestamp.isoformat()}"
