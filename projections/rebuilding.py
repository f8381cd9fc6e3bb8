"""Building a view anew beside the live one while everything runs, and swapping the two.

What a killed rebuild has built is still there, and the next one goes on from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from domain.storage.locks import LostError
from projections.applying import apply, is_another_history
from projections.draft import Draft

if TYPE_CHECKING:
    from domain.log_reader import LogReader
    from domain.numbered_log import Turn
    from domain.storage.locks import Hold
    from projections.projection import Projection
    from projections.view import Transaction, View

Report = Callable[[int, int], None]
"""Is told the position reached and the head of the log. An exception from it ends a rebuild."""

BATCH: Final = 10_000
"""The most events that a rebuild folds and then writes at once."""


class Rebuilding:
    """Fills the shadow side of a view. Whoever does it wants to hold the rebuild's lock."""

    def __init__(self, projection: Projection, log: LogReader, view: View, turn: Turn) -> None:
        self._projection = projection
        self._log = log
        self._view = view
        self._turn = turn

    @property
    def batch(self) -> int:
        """How many events are taken at once."""
        return min(self._projection.rebuild_batch, BATCH)

    def left_over(self) -> int | None:
        """Return how far a rebuild is, under way or broken off; None when there is none."""
        return self._view.position("shadow") if self._can_go_on() else None

    def run(self, report: Report, *, from_start: bool = False) -> None:
        """Go on with what is there already, unless that is not wanted; swap at the end."""
        if from_start or not self._can_go_on():
            self._view.start_shadow()
        report(self._view.position("shadow"), self._log.head())
        while self.step():
            report(self._view.position("shadow"), self._log.head())
        with self._turn():
            self._view.swap(self._finish)
        report(self._view.position(), self._log.head())

    def step(self) -> int:
        """Apply the next events; return how many. The shadow has one writer: us.

        They are read and folded before anybody is kept from writing to the live side.
        """
        draft = Draft(self._view, "shadow")
        events = self._log.each_after(draft.position(), self.batch)
        applied = apply(self._projection, events, draft)
        if applied:
            with self._turn():
                draft.write()
        return applied

    def _can_go_on(self) -> bool:
        position, mark = self._view.reached("shadow")
        return (
            self._view.is_current("shadow")
            and position <= self._log.last_given()
            and not is_another_history(self._log, position, mark)
        )

    def _finish(self, transaction: Transaction) -> None:
        """Apply what came meanwhile, in the transaction of the swap."""
        while apply(
            self._projection,
            self._log.each_after(transaction.position(), self.batch),
            transaction,
        ):
            pass


def while_held(hold: Hold, report: Report) -> Report:
    """Return a report that ends a rebuild which another process may have taken over."""

    def told(position: int, head: int) -> None:
        if hold.is_lost:
            raise LostError("the rebuild was broken off: its lock is lost; it may be begun again")
        report(position, head)

    return told
