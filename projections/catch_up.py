"""Bringing a view up to its log: in batches, each with its position in one transaction.

Any process may do it at any time. Whoever comes second finds the position taken and
goes on from there, so an event is never applied twice.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from domain.storage.locks import HeldError, unopposed
from projections.applying import apply, is_another_history
from projections.just_recorded import JustRecorded
from projections.rebuilding import Rebuilding, while_held
from projections.view import ViewAwayError, not_made

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from domain.log_reader import LogReader
    from domain.numbered_log import Turn
    from domain.storage.locks import Hold
    from projections.projection import Projection
    from projections.rebuilding import Report
    from projections.view import Side, Transaction, View

BATCH: Final = 2000
"""The most events a transaction, for views that nobody waits for; others are let in sooner."""


class Projector:
    """Keeps one view at the head of its log."""

    def __init__(
        self,
        projection: Projection,
        log: LogReader,
        view: View,
        *,
        turn: Turn = nullcontext,
        alone: Callable[[], AbstractContextManager[Hold]] = unopposed,
    ) -> None:
        """Take `turn`, which lets one writer of the view in after the other.

        `alone` lets in one rebuild, and raises HeldError when there is another one.
        """
        self.projection = projection
        self.log = log
        self.view = view
        self._turn = turn
        self._alone = alone
        self._was_current = False
        self.rebuilding = Rebuilding(projection, log, view, turn)
        self.just_recorded = JustRecorded()

    @property
    def batch(self) -> int:
        """How many events a transaction takes, which shares its cost and lets others in."""
        return min(self.projection.batch, BATCH)

    def prepare(self) -> bool:
        """Make the view where it is missing or of another version; return whether it is usable.

        That is done here and now, in one transaction, when the log is short. A longer one
        wants a rebuild: nobody shall wait for that, or see a half-filled view.
        """
        if not self.is_current():
            events = self.log.after(0, self.batch)
            if len(events) == self.batch:
                return False
            self.view.create(lambda side: apply(self.projection, events, side))
        return self.is_current()

    def is_current(self) -> bool:
        """Return whether the view was made by this version of the code, for this log."""
        current = self.view.is_current()
        self._was_current = self._was_current or current
        return current

    def catch_up(self, *, makes: bool = True) -> int:
        """Apply everything that the log holds now; return how many events that took.

        Writers take turns. Who waited often finds that another one applied its events too.
        A view that was not made yet is built first; with `makes` false it raises ViewAwayError.
        Raises ViewAwayError also when another process builds the view, or when another version
        of the code has made the view its own.
        """
        position = self.view.current_position()
        if position is None:
            if not makes:
                raise self._away()
            self._renew()
            position = self.view.position()
        self._was_current = True
        head = self.log.head()
        if position >= head:
            return 0
        with self._turn():
            return self._follow(head)

    def step(self, side: Side = "live") -> int:
        """Apply the next batch to a side; return its size. The shadow wants to be held alone."""
        if side == "shadow":
            return self.rebuilding.step()
        with self.view.transaction() as transaction:
            return self._apply_next(transaction)

    def require_current(self) -> None:
        """Raise ViewAwayError unless what is recorded now can be shown right afterwards."""
        if not self.is_current():
            raise self._away()

    def rebuild(self, report: Report = lambda *_: None, *, from_start: bool = False) -> None:
        """Build the view anew beside the live one, then swap, while everything runs.

        Goes on where a rebuild was broken off, unless that is not wanted. Raises HeldError
        when another rebuild is at work on the view, LostError when one has taken over.
        """
        with self._alone() as hold:
            self.rebuilding.run(while_held(hold, report), from_start=from_start)

    def renew(self, report: Report) -> None:
        """Rebuild the view if it is still not usable when nobody else is at it."""
        with self._alone() as hold:
            if not self.is_current() or self.is_ahead():
                self.rebuilding.run(while_held(hold, report))

    def left_over(self) -> int | None:
        """Return how far a rebuild is, under way or broken off; None when there is none."""
        return self.rebuilding.left_over()

    def lag(self) -> int:
        """Return how many positions the view is behind its log; the whole log when unusable."""
        position = self.view.position() if self.is_current() else 0
        return max(self.log.head() - position, 0)

    def waiting_since(self) -> datetime | None:
        """Return when the oldest event was recorded that the view does not show yet."""
        found = self.log.after(self.view.position() if self.is_current() else 0, 1)
        return found[0].event.timestamp if found else None

    def disown_another_history(self) -> bool:
        """Note it, and return True, when the view has seen other events than its log holds.

        That happens when a log was put back from a copy. Either the log is shorter than the
        view has read, and would give the same positions to other events; or it has grown
        past the view since, and another event than the one that the view has seen stands
        at the view's position.
        """
        position, mark = self.view.reached()
        if position <= self.log.last_given() and not is_another_history(self.log, position, mark):
            return False
        self.view.disown(position)
        return True

    def is_ahead(self) -> bool:
        """Return whether the view shows events that its log does not have.

        That happens when a log was put back from a backup: the view must be rebuilt. A log
        whose newest events were pruned has had them.
        """
        return self.view.position() > self.log.last_given()

    def _follow(self, head: int) -> int:
        """Apply events up to a position, at least; return how many."""
        applied, position = 0, 0
        while position < head:
            with self.view.transaction() as transaction:
                step = self._apply_next(transaction) if transaction.position() < head else 0
                position = transaction.position()
            if not step:
                break
            applied += step
        return applied

    def _renew(self) -> None:
        if self._was_current:
            raise self._away()
        try:
            self.renew(lambda *_: None)
        except HeldError as error:
            raise self._away(error) from None

    def _away(self, holder: HeldError | None = None) -> ViewAwayError:
        name = self.projection.name
        if holder is None and self._was_current:
            return ViewAwayError(
                f"the view {name} belongs to another version of Postwatch now; "
                "start this process again"
            )
        if holder is None:
            return not_made(name)
        return ViewAwayError(
            f"the view {name} is being made: position {self.view.position('shadow')} of "
            f"{self.log.head()}, {holder}; try again in a moment"
        )

    def _apply_next(self, transaction: Transaction) -> int:
        position = transaction.position()
        events = self.just_recorded.after(position) or self.log.each_after(position, self.batch)
        return apply(self.projection, events, transaction)
