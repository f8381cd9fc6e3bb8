"""When each monitor is due: the rules of time.

Pure: time is an argument, in monotonic seconds. Knows no monitors (only their ids), no
trio and no clock.

A monitor has a grid: times of the wall clock one interval apart, at a phase that follows
from its id. So it is the same one after a restart and in every checker, and due times are
counted on it in whole steps, so they do not drift. `origin` says where the wall clock is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from checker.schedule.grid import (
    REBASED_SECONDS,
    ROUNDED_SECONDS,
    Due,
    DueHeap,
    Entry,
    unit_fraction,
)

if TYPE_CHECKING:
    from uuid import UUID


GRACE_SECONDS: Final = 5.0
"""How late a due check may begin. What is later still is skipped: see `_postpone`."""

SPREAD_SECONDS: Final = 60.0
"""Over how long the checks that a stall left behind are spread, at least."""

SPREAD_PER_MONITOR_SECONDS: Final = 0.004
"""No more than 250 checks a second come on top of those that are due anyway, also when they
are to be made at once: otherwise those would be late because of these."""

OVERDUE_SECONDS: Final = 0.008
"""How far apart checks are that were due while nobody checked: what is new comes first."""

NEAR_SECONDS: Final = 5.0
"""A check at a monitor's own phase that comes so soon needs no other one before it, which
might still run then."""


class Schedule:
    """Who is due when. A monitor that was taken stays out until it is reported done."""

    def __init__(self, origin: float) -> None:
        """Tell where all grids are: `origin` is the monotonic time of the wall clock's zero."""
        self._origin = origin
        self._entries: dict[UUID, Entry] = {}
        self._heap = DueHeap(self._entries)
        self._spread = SPREAD_SECONDS
        self._hastened_until = float("-inf")
        self._overdue_until = float("-inf")
        self.skipped = 0
        """How many due times passed by because nothing could begin in time."""
        self.overrun = 0
        """How many due times passed by while the monitor's own check was still running."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def origin(self) -> float:
        """The monotonic time of the wall clock's zero."""
        return self._origin

    def rebase(self, origin: float) -> None:
        """Follow a wall clock that was set.

        What waits keeps its time. Each monitor goes on at its phase on the new clock when its
        next check is done, so that nothing is fired together and nothing waits for long.
        """
        self._origin = origin

    def expect(self, monitors: int) -> None:
        """Make the spread wide enough for so many monitors that are all overdue."""
        self._spread = max(SPREAD_SECONDS, monitors * SPREAD_PER_MONITOR_SECONDS)

    def resume(
        self,
        monitor_id: UUID,
        interval: float,
        now: float,
        absent_since: float | None,
        moment: float = float("-inf"),
    ) -> None:
        """Go on with a monitor that was not checked from here, at its own phase.

        When it was due while nobody checked (since `absent_since`; None is since ever), it
        is checked soon, one overdue monitor after the other. It was not due before `moment`,
        in wall time, when it was changed. One whose check still runs from before goes on
        when that is done.
        """
        entry = self._enter(monitor_id, interval)
        if entry.running:
            return
        entry.resumed = True
        entry.settled = entry.last_step(self._wall(now))
        is_overdue = entry.time_of(entry.settled) >= moment and (
            absent_since is None or entry.last_step(self._wall(absent_since)) < entry.settled
        )
        if not is_overdue or not self._make_up(monitor_id, entry, now):
            self._push_step(monitor_id, entry, entry.next_step(self._wall(now)))

    def make_up(self, monitor_id: UUID, now: float, last_due: float) -> None:
        """Check a resumed monitor soon if it was due after `last_due`, in wall time.

        Once, for the last of the due times that passed. Does nothing when it was checked since.
        """
        entry = self._entries.get(monitor_id)
        if entry is None or not entry.resumed or entry.pending == entry.settled:
            return
        if entry.last_step(last_due + ROUNDED_SECONDS) < entry.settled:
            self._make_up(monitor_id, entry, now)

    def hasten(self, monitor_id: UUID, now: float, moment: float | None = None) -> None:
        """Check a monitor soon that was resumed, and that was never checked as it is now.

        `moment` is when it was changed, in wall time; now by default.

        One after the other, at a pace that leaves room for those that are due. One whose own
        phase comes first, or soon after, is left to it.
        """
        entry = self._entries.get(monitor_id)
        if entry is None or not entry.resumed:
            return
        turn = max(now, self._hastened_until + SPREAD_PER_MONITOR_SECONDS)
        if turn + NEAR_SECONDS < self._next_time(entry, now):
            self._hastened_until = turn
            entry.moment = self._wall(now) if moment is None else moment
            self._push_urgent(monitor_id, entry, turn)

    def watch(
        self, monitor_id: UUID, interval: float, now: float, moment: float | None = None
    ) -> None:
        """Check a new or changed monitor at once, or as soon as its running check ends.

        `moment` is when it was changed, in wall time; now by default.
        """
        entry = self._enter(monitor_id, interval)
        entry.moment = self._wall(now) if moment is None else moment
        if entry.running:
            entry.changed = True
        else:
            entry.resumed = False
            self._push_urgent(monitor_id, entry, now)

    def remove(self, monitor_id: UUID) -> None:
        """Do not check a monitor any more. A running check still has to be reported."""
        entry = self._entries.get(monitor_id)
        if entry is None:
            return
        if entry.running:
            entry.removed = True
        else:
            del self._entries[monitor_id]

    def next_due(self) -> float | None:
        """Return when there is something to take, None when nothing is waiting."""
        return self._heap.first()

    def take(self, now: float, limit: int) -> list[Due]:
        """Return up to `limit` monitors that are due; each is running from now on."""
        taken: list[Due] = []
        while len(taken) < limit and (found := self._heap.pop(now)) is not None:
            due, monitor_id = found
            entry = self._entries[monitor_id]
            if self._is_too_late(entry, now - due):
                self._postpone(monitor_id, entry, now)
                continue
            entry.running, entry.resumed = True, False
            entry.generation = 0
            taken.append(Due(monitor_id, due, self._settle(entry, due, now)))
        return taken

    def again(self, due: Due) -> None:
        """Check a taken monitor once more when it is done: its check could not be made.

        For the same due time, unless the monitor was changed meanwhile.
        """
        entry = self._entries[due.monitor_id]
        if not entry.changed:
            entry.changed = True
            entry.moment = due.at

    def done(self, monitor_id: UUID, now: float) -> None:
        """Report that a taken monitor's check ended. Steps that it ran over are not made up for."""
        entry = self._entries[monitor_id]
        entry.running = False
        if entry.removed:
            del self._entries[monitor_id]
        elif entry.changed:
            entry.changed = False
            self._push_urgent(monitor_id, entry, now)
        else:
            step = entry.next_step(self._wall(now))
            self.overrun += max(step - 1 - entry.settled, 0)
            self._push_step(monitor_id, entry, step)

    def has(self, monitor_id: UUID) -> bool:
        """Return whether a monitor is to be checked."""
        entry = self._entries.get(monitor_id)
        return entry is not None and not entry.removed

    def is_running(self, monitor_id: UUID) -> bool:
        """Return whether a monitor was taken and is not reported done."""
        entry = self._entries.get(monitor_id)
        return entry is not None and entry.running

    def _wall(self, now: float) -> float:
        return now - self._origin

    def _settle(self, entry: Entry, due: float, now: float) -> float:
        """Note which step is being taken; return the due time that it is recorded for."""
        is_step = not entry.urgent and entry.pending != entry.settled
        at = entry.moment if entry.urgent else entry.time_of(entry.pending)
        if is_step and abs(at - self._wall(due)) < REBASED_SECONDS:
            entry.settled = entry.pending
        elif is_step:  # on the clock that was set it is another time, and no step
            at = self._wall(due)
            entry.settled = entry.last_step(self._wall(now))
        elif entry.urgent:
            entry.settled = entry.last_step(self._wall(now))
        return at

    def _next_time(self, entry: Entry, now: float) -> float:
        return self._origin + entry.time_of(entry.next_step(self._wall(now)))

    def _enter(self, monitor_id: UUID, interval: float) -> Entry:
        phase = unit_fraction(monitor_id) * interval
        entry = self._entries.get(monitor_id)
        if entry is None:
            entry = self._entries[monitor_id] = Entry(interval, phase)
        elif interval != entry.interval:
            # Steps of another grid mean nothing on this one. A running check sets
            # `settled` anew when it is taken again, as it is urgent then.
            entry.interval, entry.phase = interval, phase
        entry.removed = False
        return entry

    def _is_too_late(self, entry: Entry, late: float) -> bool:
        return not entry.urgent and late > min(GRACE_SECONDS, entry.interval / 2)

    def _postpone(self, monitor_id: UUID, entry: Entry, now: float) -> None:
        """Skip what a stall left behind, without a burst and without a long gap.

        The next step of the grid is soon enough for a short interval; a long interval
        gets one check at a place of its own within the spread.
        """
        passed = entry.next_step(self._wall(now)) - 1
        self.skipped += max(passed - entry.settled, 0)
        entry.settled = passed
        self._push_spread(monitor_id, entry, now)

    def _make_up(self, monitor_id: UUID, entry: Entry, now: float) -> bool:
        """Give an overdue monitor a turn; return False when its own phase comes first."""
        turn = max(now, self._overdue_until + OVERDUE_SECONDS)
        if turn + NEAR_SECONDS >= self._next_time(entry, now):
            return False
        self._overdue_until = turn
        self._push_between(monitor_id, entry, turn)
        return True

    def _push_urgent(self, monitor_id: UUID, entry: Entry, now: float) -> None:
        entry.urgent = True
        self._heap.push(monitor_id, entry, now)

    def _push_step(self, monitor_id: UUID, entry: Entry, step: int) -> None:
        entry.urgent = False
        entry.pending = step
        self._heap.push(monitor_id, entry, self._origin + entry.time_of(step))

    def _push_spread(self, monitor_id: UUID, entry: Entry, now: float) -> None:
        step = entry.next_step(self._wall(now))
        if entry.time_of(step) - self._wall(now) <= self._spread:
            self._push_step(monitor_id, entry, step)
        else:
            self._push_between(monitor_id, entry, now + unit_fraction(monitor_id) * self._spread)

    def _push_between(self, monitor_id: UUID, entry: Entry, due: float) -> None:
        entry.urgent = False
        entry.pending = entry.settled
        self._heap.push(monitor_id, entry, due)
