"""Bringing a view up to its log: in batches, each with its position in one transaction.

Any process may do it at any time. Whoever comes second finds the position taken and
goes on from there, so an event is never applied twice.

Events that this process has just recorded: a view that follows at once need not read them.

Building a view anew beside the live one while everything runs, and swapping the two.

What a killed rebuild has built is still there, and the next one goes on from it.

What a batch of events makes of a side that nobody else writes to, worked out before the lock.

So a view is locked for the writing alone, and not while events are read and folded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Final

from projections.core.projection import apply, has_diverged
from projections.core.table import (
    Record,
    Table,
    Transaction,
    View,
    ViewSide,
    ViewUnavailableError,
    not_built,
)
from store.log_reader import LoggedEvent
from store.ports.locks import LockHeldError, LockLostError, uncontested_lock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from datetime import datetime
    from uuid import UUID

    from eventsourcing.persistence import Recording

    from domain.application import Turn
    from projections.core.projection import Projection
    from store.log_reader import LogReader
    from store.ports.locks import LockHandle


_MOST: Final = 1000
"""Events kept. Commands record one to three, and most are asked for within milliseconds."""

KEPT_SECONDS: Final = 1.0
"""How long an event is given from here. A server that is promoted may lack an older one."""


class RecentEvents:
    """The newest events of this process by their positions in one log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._events: dict[int, tuple[float, LoggedEvent]] = {}
        self._lock = Lock()

    def note(self, recordings: list[Recording[UUID]]) -> None:
        """Keep what was recorded; an observer of a log, told when it is on disk."""
        now = self._clock()
        with self._lock:
            for recording in recordings:
                position = recording.notification.id
                self._events[position] = now, LoggedEvent(position, recording.domain_event)
            while len(self._events) > _MOST:
                del self._events[next(iter(self._events))]

    def after(self, position: int) -> list[LoggedEvent]:
        """Return the events that follow a position with nothing between; often none."""
        found: list[LoggedEvent] = []
        since = self._clock() - KEPT_SECONDS
        while (following := self._events.get(position + 1)) is not None and following[0] >= since:
            found.append(following[1])
            position += 1
        return found


class BufferedTransaction(Transaction):
    """Takes the place of a transaction while a projection folds: reads the side, gathers rows.

    A projection reads a row at most once and before it writes it, so that what was gathered
    need not be found again.
    """

    def __init__(self, view: View, side: ViewSide) -> None:
        self._view = view
        self._side: ViewSide = side
        self._rows: list[tuple[Table, list[tuple[str, Record | None]]]] = []
        self._from = view.position(side)
        self._reached: tuple[int, str] | None = None

    def position(self) -> int:
        """Return the position of the last event that the rows show."""
        return self._reached[0] if self._reached else self._from

    def set_position(self, position: int, last_event_id: str = "") -> None:
        """Note up to which event the rows show the log, and what that event is."""
        self._reached = (position, last_event_id)

    def get(self, table: Table, key: str) -> Record | None:
        """Return a record."""
        return self._view.get(table, key, self._side)

    def get_all(self, table: Table, keys: Iterable[str]) -> dict[str, Record]:
        """Return the records that there are of some keys."""
        return self._view.get_all(table, keys, self._side)

    def put(self, table: Table, key: str, record: Record | None) -> None:
        """Gather a record."""
        self._rows.append((table, [(key, record)]))

    def put_all(self, table: Table, rows: Iterable[tuple[str, Record | None]]) -> None:
        """Gather many records."""
        self._rows.append((table, list(rows)))

    def write(self) -> None:
        """Lock the side and write what was gathered, with the position, in one transaction.

        Raises LockLostError, and writes nothing, when somebody else has moved the side meanwhile:
        a process that was frozen may find its work done, and would spoil it.
        """
        with self._view.transaction(self._side) as transaction:
            if transaction.position() != self._from:
                raise LockLostError("another process goes on with this rebuild")
            for table, rows in self._rows:
                transaction.put_all(table, rows)
            if self._reached is not None:
                transaction.set_position(*self._reached)


OnProgress = Callable[[int, int], None]
"""Is told the position reached and the head of the log. An exception from it ends a rebuild."""

REBUILD_BATCH: Final = 10_000
"""The most events that a rebuild folds and then writes at once."""


class Rebuild:
    """Fills the shadow side of a view. Whoever does it wants to hold the rebuild's lock."""

    def __init__(self, projection: Projection, log: LogReader, view: View, turn: Turn) -> None:
        self._projection = projection
        self._log = log
        self._view = view
        self._turn = turn

    @property
    def batch(self) -> int:
        """How many events are taken at once."""
        return min(self._projection.rebuild_batch, REBUILD_BATCH)

    def rebuild_position(self) -> int | None:
        """Return how far a rebuild is, under way or broken off; None when there is none."""
        return self._view.position("shadow") if self._can_go_on() else None

    def run(self, report: OnProgress, *, from_start: bool = False) -> None:
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
        draft = BufferedTransaction(self._view, "shadow")
        events = self._log.each_after(draft.position(), self.batch)
        applied = apply(self._projection, events, draft)
        if applied:
            with self._turn():
                draft.write()
        return applied

    def _can_go_on(self) -> bool:
        position, last_event_id = self._view.tracked_position("shadow")
        return (
            self._view.is_current("shadow")
            and position <= self._log.last_given()
            and not has_diverged(self._log, position, last_event_id)
        )

    def _finish(self, transaction: Transaction) -> None:
        """Apply what came meanwhile, in the transaction of the swap."""
        while apply(
            self._projection,
            self._log.each_after(transaction.position(), self.batch),
            transaction,
        ):
            pass


def while_held(hold: LockHandle, report: OnProgress) -> OnProgress:
    """Return a report that ends a rebuild which another process may have taken over."""

    def told(position: int, head: int) -> None:
        if hold.is_lost:
            raise LockLostError(
                "the rebuild was broken off: its lock is lost; it may be begun again"
            )
        report(position, head)

    return told


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
        alone: Callable[[], AbstractContextManager[LockHandle]] = uncontested_lock,
    ) -> None:
        """Take `turn`, which lets one writer of the view in after the other.

        `alone` lets in one rebuild, and raises LockHeldError when there is another one.
        """
        self.projection = projection
        self.log = log
        self.view = view
        self._turn = turn
        self._alone = alone
        self._was_current = False
        self.rebuilding = Rebuild(projection, log, view, turn)
        self.recent_events = RecentEvents()

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
        A view that was not made yet is built first, unless `makes` is false. Raises
        ViewUnavailableError then, and when another process builds the view, or when another
        version of the code has made the view its own.
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

    def step(self, side: ViewSide = "live") -> int:
        """Apply the next batch to a side; return its size. The shadow wants to be held alone."""
        if side == "shadow":
            return self.rebuilding.step()
        with self.view.transaction() as transaction:
            return self._apply_next(transaction)

    def require_current(self) -> None:
        """Raise ViewUnavailableError unless what is recorded now can be shown right afterwards."""
        if not self.is_current():
            raise self._away()

    def rebuild(self, report: OnProgress = lambda *_: None, *, from_start: bool = False) -> None:
        """Build the view anew beside the live one, then swap, while everything runs.

        Goes on where a rebuild was broken off, unless that is not wanted. Raises LockHeldError
        when another rebuild is at work on the view, LockLostError when one has taken over.
        """
        with self._alone() as hold:
            self.rebuilding.run(while_held(hold, report), from_start=from_start)

    def rebuild_if_needed(self, report: OnProgress) -> None:
        """Rebuild the view if it is still not usable when nobody else is at it."""
        with self._alone() as hold:
            if not self.is_current() or self.is_ahead():
                self.rebuilding.run(while_held(hold, report))

    def rebuild_position(self) -> int | None:
        """Return how far a rebuild is, under way or broken off; None when there is none."""
        return self.rebuilding.rebuild_position()

    def lag(self) -> int:
        """Return how many positions the view is behind its log; the whole log when unusable."""
        position = self.view.position() if self.is_current() else 0
        return max(self.log.head() - position, 0)

    def oldest_unapplied_at(self) -> datetime | None:
        """Return when the oldest event was recorded that the view does not show yet."""
        found = self.log.after(self.view.position() if self.is_current() else 0, 1)
        return found[0].event.timestamp if found else None

    def invalidate_if_diverged(self) -> bool:
        """Note it, and return True, when the view has seen other events than its log holds.

        That happens when a log was put back from a copy. Either the log is shorter than the
        view has read, and would give the same positions to other events; or it has grown
        past the view since, and another event than the one that the view has seen stands
        at the view's position.
        """
        position, last_event_id = self.view.tracked_position()
        if position <= self.log.last_given() and not has_diverged(
            self.log, position, last_event_id
        ):
            return False
        self.view.invalidate(position)
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
            self.rebuild_if_needed(lambda *_: None)
        except LockHeldError as error:
            raise self._away(error) from None

    def _away(self, holder: LockHeldError | None = None) -> ViewUnavailableError:
        name = self.projection.name
        if holder is None and self._was_current:
            return ViewUnavailableError(
                f"the view {name} belongs to another version of Postwatch now; "
                "start this process again"
            )
        if holder is None:
            return not_built(name)
        return ViewUnavailableError(
            f"the view {name} is being made: position {self.view.position('shadow')} of "
            f"{self.log.head()}, {holder}; try again in a moment"
        )

    def _apply_next(self, transaction: Transaction) -> int:
        position = transaction.position()
        events = self.recent_events.after(position) or self.log.each_after(position, self.batch)
        return apply(self.projection, events, transaction)
