"""Bringing a view to the head of its log, and rebuilding it.

Any process may do either at any time. A batch of events and its position are stored in one
transaction, so a process that comes second finds the position taken, goes on from there, and
applies no event twice.

A rebuild fills the shadow side while everything else runs, then swaps it in. What a killed
rebuild has stored stays, and the next one goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from projections.core.joined_log import (
    JoinedLog,
    events_after,
    has_diverged,
    position_in,
)
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
    from projections.core.joined_log import FollowedLog
    from projections.core.projection import Projection
    from store.ports.locks import LockHandle


OnProgress = Callable[[int, int], None]
"""Takes the position reached and the head of the log. An exception from it ends a rebuild."""

KEPT_SECONDS: Final = 1.0
"""How long `RecentEvents` gives an event. A database that is promoted may lack an older one."""


class Projector:
    """Keeps one view at the head of its log."""

    def __init__(
        self,
        projection: Projection,
        log: FollowedLog,
        view: View,
        *,
        turn: Turn = nullcontext,
        rebuild_lock: Callable[[], AbstractContextManager[LockHandle]] = uncontested_lock,
    ) -> None:
        """Take `turn`, which lets one writer of the view in at a time.

        `rebuild_lock` lets in one rebuild, and raises LockHeldError during another one.
        """
        self.projection = projection
        self.log = log
        self.view = view
        self.rebuilder = Rebuilder(projection, log, view, turn)
        self.recent_events = RecentEvents()
        self.batch = projection.batch
        self._turn = turn
        self._rebuild_lock = rebuild_lock
        self._was_current = False

    def prepare(self) -> bool:
        """Build the view if it is missing or of another version; return whether it is current.

        Does so in one transaction, and only where one batch of events suffices. A longer log
        needs a rebuild: no caller waits for that, or sees a half-filled view.
        """
        if not self.is_current():
            events = list(events_after(self.log, (0, ""), self.batch))
            if len(events) == self.batch:
                return False
            self.view.create(lambda side: self.projection.apply(events, side))
        return self.is_current()

    def is_current(self) -> bool:
        """Return whether this version of the code made the view, from this log."""
        current = self.view.is_current()
        self._was_current = self._was_current or current
        return current

    def require_current(self) -> None:
        """Raise ViewUnavailableError unless the view can show what is recorded now."""
        if not self.is_current():
            raise self._unavailable()

    def catch_up(self, *, may_build: bool = True) -> int:
        """Apply everything that the log holds now; return the number of events.

        Writers take turns. One that waited often finds that the one before applied its events
        too. Builds a view that does not exist yet, unless `may_build` is false. Raises
        ViewUnavailableError then, while another process builds the view, and when another
        version of the code has replaced the view.
        """
        position = self.view.current_position()
        if position is None:
            if not may_build or self._was_current:
                raise self._unavailable()
            try:
                self.rebuild_if_needed(lambda *_: None)
            except LockHeldError as error:
                raise self._unavailable(error) from None
            position = self.view.position()
        self._was_current = True
        head = self.log.head()
        if position >= head:
            return 0
        with self._turn():
            return self._follow(head)

    def follow(self, log: str) -> None:
        """Apply what one of the joined logs holds now; the others may have far more to apply.

        Raises ViewUnavailableError when another version of the code made the view.
        """
        if not isinstance(self.log, JoinedLog):
            raise TypeError(f"the view {self.projection.name} is folded from one log")
        applied = self.batch
        while applied == self.batch:
            with self._turn(), self.view.transaction() as transaction:
                _, mark = transaction.tracked_position()
                events = self.log.each_from(mark, self.batch, only=log)
                applied = self.projection.apply(events, transaction)

    def step(self) -> int:
        """Apply the next batch to the live side; return the number of its events."""
        with self.view.transaction() as transaction:
            return self._apply_next(transaction)

    def rebuild(self, report: OnProgress = lambda *_: None, *, from_start: bool = False) -> None:
        """Rebuild the view while everything runs; resume a broken rebuild unless `from_start`.

        Raises LockHeldError during another rebuild of the view, LockLostError when another one has
        taken over.
        """
        with self._rebuild_lock() as handle:
            self.rebuilder.run(_report_while_held(handle, report), from_start=from_start)

    def rebuild_if_needed(self, report: OnProgress) -> None:
        """Rebuild the view if it is still not usable once no other process rebuilds it."""
        with self._rebuild_lock() as handle:
            if not self.is_current() or self.is_ahead():
                self.rebuilder.run(_report_while_held(handle, report))

    def lag(self) -> int:
        """Return how many positions the view is behind its log; the whole log when unusable."""
        position = self.view.position() if self.is_current() else 0
        return max(self.log.head() - position, 0)

    def oldest_unapplied_at(self) -> datetime | None:
        """Return the time of the oldest event that the view does not show yet."""
        tracked = self.view.tracked_position() if self.is_current() else (0, "")
        found: datetime | None = None
        for logged in events_after(self.log, tracked, 1):
            found = logged.event.timestamp
        return found

    def position_in(self, log: str) -> int | None:
        """Return up to where the view has read a log; None when it is not folded from it."""
        return position_in(self.log, log, self.view.tracked_position())

    def is_ahead(self) -> bool:
        """Return whether the view shows events that its log does not have, and needs a rebuild.

        That happens after the log was restored from a backup. Pruned events do not count: the
        log had them.
        """
        position, mark = self.view.tracked_position()
        if isinstance(self.log, JoinedLog):
            return self.log.has_diverged(mark)
        return position > self.log.last_given()

    def invalidate_if_diverged(self) -> bool:
        """Invalidate a view that includes events its log lacks; return whether it did.

        That happens after the log was restored from a backup. Either the log is shorter than
        the view's position, and would give the same positions to other events; or it has grown
        past that position since, and has another event there.
        """
        position, event_id = self.view.tracked_position()
        if position <= self.log.last_given() and not has_diverged(self.log, position, event_id):
            return False
        self.view.invalidate(position)
        return True

    def _follow(self, head: int) -> int:
        """Apply events at least up to the position `head`; return the number of events."""
        applied, position = 0, 0
        while position < head:
            with self.view.transaction() as transaction:
                step = self._apply_next(transaction) if transaction.position() < head else 0
                position = transaction.position()
            if not step:
                break
            applied += step
        return applied

    def _apply_next(self, transaction: Transaction) -> int:
        tracked = transaction.tracked_position()
        recent = self.recent_events.after(tracked[0])
        events = recent or events_after(self.log, tracked, self.batch)
        return self.projection.apply(events, transaction)

    def _unavailable(self, holder: LockHeldError | None = None) -> ViewUnavailableError:
        name = self.projection.name
        if holder is not None:
            return ViewUnavailableError(
                f"the view {name} is being made: position {self.view.position('shadow')} of "
                f"{self.log.head()}, {holder}; try again in a moment"
            )
        if self._was_current:
            return ViewUnavailableError(
                f"the view {name} belongs to another version of Postwatch now; "
                "start this process again"
            )
        return not_built(name)


class Rebuilder:
    """Fills the shadow side of a view and swaps it in. The caller holds the rebuild's lock."""

    def __init__(self, projection: Projection, log: FollowedLog, view: View, turn: Turn) -> None:
        self.batch = projection.rebuild_batch
        self._projection = projection
        self._log = log
        self._view = view
        self._turn = turn

    def position(self) -> int | None:
        """Return how far a rebuild is, running or broken off; None when there is none."""
        return self._view.position("shadow") if self._can_resume() else None

    def run(self, report: OnProgress, *, from_start: bool = False) -> None:
        """Resume a broken rebuild unless `from_start`, and swap the sides at the end."""
        if from_start or not self._can_resume():
            self._view.start_shadow()
        report(self._view.position("shadow"), self._log.head())
        while self.step():
            report(self._view.position("shadow"), self._log.head())
        with self._turn():
            self._view.swap(self._finish)
        report(self._view.position(), self._log.head())

    def step(self) -> int:
        """Apply the next events to the shadow; return how many.

        Reads and folds them before it locks the view, which writers to the live side need too.
        """
        buffer = BufferedTransaction(self._view, "shadow")
        events = events_after(self._log, buffer.tracked_position(), self.batch)
        applied = self._projection.apply(events, buffer)
        if applied:
            with self._turn():
                buffer.write()
        return applied

    def _can_resume(self) -> bool:
        position, event_id = self._view.tracked_position("shadow")
        return (
            self._view.is_current("shadow")
            and position <= self._log.last_given()
            and not has_diverged(self._log, position, event_id)
        )

    def _finish(self, transaction: Transaction) -> None:
        """Apply the events recorded since the last step, in the transaction of the swap."""
        while self._projection.apply(
            events_after(self._log, transaction.tracked_position(), self.batch), transaction
        ):
            pass


class BufferedTransaction(Transaction):
    """Reads a side that has no other writer, and buffers the changed rows until `write`.

    A projection reads a row at most once and before it writes it, so no read needs to find a
    collected row.
    """

    def __init__(self, view: View, side: ViewSide) -> None:
        self._view = view
        self._side: ViewSide = side
        self._rows: list[tuple[Table, list[tuple[str, Record | None]]]] = []
        self._begin = view.tracked_position(side)
        self._end: tuple[int, str] | None = None

    @override
    def tracked_position(self) -> tuple[int, str]:
        return self._end or self._begin

    @override
    def set_position(self, position: int, last_event_id: str = "") -> None:
        self._end = (position, last_event_id)

    @override
    def get(self, table: Table, key: str) -> Record | None:
        return self._view.get(table, key, self._side)

    @override
    def get_all(self, table: Table, keys: Iterable[str]) -> dict[str, Record]:
        return self._view.get_all(table, keys, self._side)

    @override
    def put(self, table: Table, key: str, record: Record | None) -> None:
        self.put_all(table, [(key, record)])

    @override
    def put_all(self, table: Table, rows: Iterable[tuple[str, Record | None]]) -> None:
        self._rows.append((table, list(rows)))

    def write(self) -> None:
        """Lock the side, and store the collected rows and the position in one transaction.

        Raises LockLostError, and writes nothing, when another process has moved the side since:
        after a suspension this process may find that another one has finished the rebuild, and
        must not write to it.
        """
        with self._view.transaction(self._side) as transaction:
            if transaction.position() != self._begin[0]:
                raise LockLostError("another process goes on with this rebuild")
            for table, rows in self._rows:
                transaction.put_all(table, rows)
            if self._end is not None:
                transaction.set_position(*self._end)


class RecentEvents:
    """The newest events of this process by their positions in one log.

    A view that follows each command at once applies them without reading the log.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = 1000) -> None:
        """Take the number of events to keep. Commands record one to three each."""
        self._clock = clock
        self._most = most
        self._events: dict[int, tuple[float, LoggedEvent]] = {}
        self._lock = Lock()

    def note(self, recordings: list[Recording[UUID]]) -> None:
        """Keep events that are on disk; an observer of the log (`NumberedLog.observers`)."""
        now = self._clock()
        with self._lock:
            for recording in recordings:
                position = recording.notification.id
                self._events[position] = now, LoggedEvent(position, recording.domain_event)
            while len(self._events) > self._most:
                del self._events[next(iter(self._events))]

    def after(self, position: int) -> list[LoggedEvent]:
        """Return the events that follow a position without a gap; often none."""
        found: list[LoggedEvent] = []
        since = self._clock() - KEPT_SECONDS
        while (following := self._events.get(position + 1)) is not None and following[0] >= since:
            found.append(following[1])
            position += 1
        return found


def _report_while_held(handle: LockHandle, report: OnProgress) -> OnProgress:
    """Return a report that ends a rebuild when another process may have taken it over."""

    def checked(position: int, head: int) -> None:
        if handle.is_lost:
            raise LockLostError(
                "the rebuild was broken off: its lock is lost; it may be begun again"
            )
        report(position, head)

    return checked
