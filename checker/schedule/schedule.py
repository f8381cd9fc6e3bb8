"""The schedule: when each monitor is due.

Pure: time is an argument, in monotonic seconds. Knows monitors by their ids only.

The due times of a monitor are a grid: times of the wall clock one interval apart, at a phase
that follows from the monitor's id. So every checker computes the same due times, also after a
restart, and they do not drift, because the schedule counts whole steps. `origin` relates the
wall clock to the monotonic one.

A failing check that follows a good one is confirmed sooner than the grid would: by checks at
the due time of the first failing one plus one, two, ... times `RECHECK_SECONDS`. These due
times, too, are the same in every checker.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from checker.schedule.grid import (
    REBASED_SECONDS,
    ROUNDED_SECONDS,
    Due,
    DueHeap,
    ScheduleEntry,
    unit_fraction,
)

if TYPE_CHECKING:
    from uuid import UUID


GRACE_SECONDS: Final = 5.0
"""How late a due check may begin. A later one is skipped: see `_postpone`."""

SPREAD_SECONDS: Final = 60.0
"""The least time over which missed checks are spread after a stall."""

SPREAD_PER_MONITOR_SECONDS: Final = 0.004
"""The least distance of additional checks: 250 a second. More of them would delay the checks
that are due at their own time."""

OVERDUE_SECONDS: Final = 0.008
"""The distance of checks that were missed while no checker ran: changed monitors come first."""

NEAR_SECONDS: Final = 5.0
"""No additional check is made so shortly before a check at the monitor's own phase: it might
still run then."""


CONFIRMING_CHECKS: Final = 3
"""So many failing checks in a row confirm a failure."""

RECHECK_SECONDS: Final = 60.0
"""The distance of the checks that confirm a failure, when the interval is longer than that."""


class Schedule:
    """The due times of all monitors. A monitor that `take` returned rests until `finish`."""

    def __init__(self, origin: float, *, confirming_checks: int = CONFIRMING_CHECKS) -> None:
        """`origin` is the monotonic time at which the wall clock shows 1970."""
        self._origin = origin
        self._confirming_checks = confirming_checks
        self._entries: dict[UUID, ScheduleEntry] = {}
        self._heap = DueHeap(self._entries)
        self._spread = SPREAD_SECONDS
        self._expedited_until = float("-inf")
        self._overdue_until = float("-inf")
        self.skipped = 0
        """How many due times were missed because nothing could begin in time."""
        self.overrun = 0
        """How many due times were missed because the monitor's last check was still running."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def origin(self) -> float:
        """The monotonic time at which the wall clock shows 1970."""
        return self._origin

    def rebase(self, origin: float) -> None:
        """Follow a wall clock that was set.

        Waiting checks keep their monotonic time. Each monitor returns to its phase on the new
        clock after its next check, so that no burst and no long gap follows.
        """
        self._origin = origin

    def widen_spread(self, monitors: int) -> None:
        """Widen the spread so that it has room for so many overdue monitors."""
        self._spread = max(SPREAD_SECONDS, monitors * SPREAD_PER_MONITOR_SECONDS)

    def resume(
        self,
        monitor_id: UUID,
        interval: float,
        now: float,
        absent_since: float | None,
        changed_at: float = float("-inf"),
    ) -> None:
        """Schedule a monitor that was not checked from here, at its own phase.

        A monitor that was due while no checker ran (since `absent_since` in monotonic time;
        None means ever) is checked soon, overdue monitors one after another. It was not due
        before `changed_at`, the wall time of its change. If a check of it still runs, the
        monitor goes on after that.
        """
        entry = self._enter(monitor_id, interval)
        if entry.running:
            return
        entry.resumed = True
        entry.settled_step = entry.last_step(self._wall(now))
        is_overdue = entry.time_of(entry.settled_step) >= changed_at and (
            absent_since is None or entry.last_step(self._wall(absent_since)) < entry.settled_step
        )
        if not is_overdue or not self._catch_up(monitor_id, entry, now):
            self._push_step(monitor_id, entry, entry.next_step(self._wall(now)))

    def catch_up(self, monitor_id: UUID, now: float, last_due: float) -> None:
        """Check a resumed monitor soon if it was due after `last_due`, in wall time.

        One check stands for all missed due times. Does nothing when a check began meanwhile.
        """
        entry = self._entries.get(monitor_id)
        if entry is None or not entry.resumed or entry.pending_step == entry.settled_step:
            return
        if entry.last_step(last_due + ROUNDED_SECONDS) < entry.settled_step:
            self._catch_up(monitor_id, entry, now)

    def expedite(self, monitor_id: UUID, now: float, changed_at: float | None = None) -> None:
        """Check a resumed monitor soon that was never checked in its current version.

        `changed_at` is the wall time of its change; now by default. Such checks follow one
        another at a pace that leaves room for due ones. A monitor whose own phase comes
        earlier, or soon after, waits for that.
        """
        entry = self._entries.get(monitor_id)
        if entry is None or not entry.resumed:
            return
        turn = max(now, self._expedited_until + SPREAD_PER_MONITOR_SECONDS)
        if turn + NEAR_SECONDS < self._next_time(entry, now):
            self._expedited_until = turn
            entry.urgent_due_wall = self._wall(now) if changed_at is None else changed_at
            self._push_urgent(monitor_id, entry, turn)

    def check_now(
        self, monitor_id: UUID, interval: float, now: float, changed_at: float | None = None
    ) -> None:
        """Check a new or changed monitor at once, or as soon as its running check ends.

        `changed_at` is the wall time of its change; now by default.
        """
        entry = self._enter(monitor_id, interval)
        entry.failures = 0
        self._check_at_once(
            monitor_id, entry, now, self._wall(now) if changed_at is None else changed_at
        )

    def request(
        self,
        monitor_id: UUID,
        interval: float,
        now: float,
        requested_at: float,
        *,
        once: bool = False,
    ) -> None:
        """Check a monitor at once, because people asked for it at a wall time.

        With `once` the monitor is one that is not checked otherwise.
        """
        entry = self._enter(monitor_id, interval)
        entry.once = once
        # A due time before the last one would be out of order in the log.
        due_wall = max(requested_at, entry.taken_due_wall + ROUNDED_SECONDS)
        self._check_at_once(monitor_id, entry, now, due_wall)

    def hasten(self, monitor_id: UUID, now: float, due_wall: float) -> None:
        """Check a monitor now that was not due since `due_wall`, in wall time; for that time.

        Does nothing when a check runs, or comes soon.
        """
        entry = self._entries.get(monitor_id)
        if entry is None or entry.running or entry.removed or entry.urgent:
            return
        last_due_wall = max(entry.taken_due_wall, entry.time_of(entry.settled_step))
        if last_due_wall < due_wall and now + NEAR_SECONDS < self._next_time(entry, now):
            self._check_at_once(monitor_id, entry, now, due_wall)

    def note_failing(self, monitor_id: UUID, now: float, due_wall: float) -> None:
        """Note that the last check of a resumed monitor failed, which was due at a wall time."""
        entry = self._entries.get(monitor_id)
        if entry is None or not entry.resumed:
            return
        is_old = self._wall(now) - due_wall > self._confirming_checks * RECHECK_SECONDS
        entry.failures = self._confirming_checks if is_old else 1
        entry.failing_since_wall = due_wall

    def remove(self, monitor_id: UUID) -> None:
        """Stop checking a monitor. A check of it that runs still needs `finish`."""
        entry = self._entries.get(monitor_id)
        if entry is None:
            return
        if entry.running:
            entry.removed = True
        else:
            del self._entries[monitor_id]

    def next_due(self) -> float | None:
        """Return the earliest due time, None when no monitor waits."""
        return self._heap.first()

    def take(self, now: float, limit: int) -> list[Due]:
        """Return up to `limit` due monitors; each counts as running from now on."""
        taken: list[Due] = []
        while len(taken) < limit and (found := self._heap.pop(now)) is not None:
            due, monitor_id = found
            entry = self._entries[monitor_id]
            if self._is_too_late(entry, now - due):
                self._postpone(monitor_id, entry, now)
                continue
            entry.running, entry.resumed = True, False
            entry.generation = 0
            entry.taken_due_wall = self._take_step(entry, due, now)
            taken.append(Due(monitor_id, due, entry.taken_due_wall))
        return taken

    def repeat(self, due: Due) -> None:
        """Check a running monitor again after `finish`: this host lacked resources for its check.

        The repeated check has the same due time, unless the monitor was changed meanwhile.
        """
        entry = self._entries[due.monitor_id]
        if not entry.changed:
            entry.changed = True
            entry.urgent_due_wall = due.due_wall

    def finish(self, monitor_id: UUID, now: float, *, failed: bool | None = None) -> bool:
        """Report that the check of a monitor ended. Due times that it overran are not caught up.

        `failed` says what it found; None is a check that neither confirms nor ends a failure.
        Returns whether this is the first failing check after a good one.
        """
        entry = self._entries[monitor_id]
        entry.running = False
        if failed is not None:
            entry.failures = min(entry.failures + 1, self._confirming_checks) if failed else 0
        if failed and entry.failures == 1:
            entry.failing_since_wall = entry.taken_due_wall
        recheck_due_wall = self._recheck_due(entry, now) if failed else None
        if entry.removed or (entry.once and not entry.changed):
            del self._entries[monitor_id]
        elif entry.changed:
            entry.changed = False
            self._push_urgent(monitor_id, entry, now)
        elif recheck_due_wall is not None:
            entry.urgent_due_wall = recheck_due_wall
            self._push_urgent(monitor_id, entry, self._origin + recheck_due_wall)
        else:
            step = entry.next_step(self._wall(now))
            self.overrun += max(step - 1 - entry.settled_step, 0)
            self._push_step(monitor_id, entry, step)
        return bool(failed) and entry.failures == 1

    def has(self, monitor_id: UUID) -> bool:
        """Return whether a monitor is scheduled or running."""
        entry = self._entries.get(monitor_id)
        return entry is not None and not entry.removed

    def is_once(self, monitor_id: UUID) -> bool:
        """Return whether a monitor is checked one time only."""
        entry = self._entries.get(monitor_id)
        return entry is not None and entry.once

    def is_running(self, monitor_id: UUID) -> bool:
        """Return whether a check of a monitor runs."""
        entry = self._entries.get(monitor_id)
        return entry is not None and entry.running

    def _recheck_due(self, entry: ScheduleEntry, now: float) -> float | None:
        """Return the due time that confirms a failure, in wall time; None: that of the grid."""
        if entry.failures >= self._confirming_checks or entry.interval <= RECHECK_SECONDS:
            return None
        # A check that takes longer than the distance does not make the next one late.
        passed = ceil((self._wall(now) - entry.failing_since_wall) / RECHECK_SECONDS)
        return entry.failing_since_wall + RECHECK_SECONDS * max(entry.failures, passed)

    def _check_at_once(
        self, monitor_id: UUID, entry: ScheduleEntry, now: float, due_wall: float
    ) -> None:
        entry.urgent_due_wall = due_wall
        if entry.running:
            entry.changed = True
        else:
            entry.resumed = False
            self._push_urgent(monitor_id, entry, now)

    def _wall(self, now: float) -> float:
        return now - self._origin

    def _take_step(self, entry: ScheduleEntry, due: float, now: float) -> float:
        """Settle the step that is taken; return the due time in wall time to record."""
        is_step = not entry.urgent and entry.pending_step != entry.settled_step
        at = entry.urgent_due_wall if entry.urgent else entry.time_of(entry.pending_step)
        if is_step and abs(at - self._wall(due)) < REBASED_SECONDS:
            entry.settled_step = entry.pending_step
        elif is_step:  # The clock was set: this is no step of the grid any more.
            at = self._wall(due)
            entry.settled_step = entry.last_step(self._wall(now))
        elif entry.urgent:
            entry.settled_step = entry.last_step(self._wall(now))
        return at

    def _next_time(self, entry: ScheduleEntry, now: float) -> float:
        return self._origin + entry.time_of(entry.next_step(self._wall(now)))

    def _enter(self, monitor_id: UUID, interval: float) -> ScheduleEntry:
        phase = unit_fraction(monitor_id) * interval
        entry = self._entries.get(monitor_id)
        if entry is None:
            entry = self._entries[monitor_id] = ScheduleEntry(interval, phase)
        elif interval != entry.interval:
            # Steps of another grid mean nothing on this one. A running check sets
            # `settled` anew when it is taken again, as it is urgent then.
            entry.interval, entry.phase = interval, phase
        entry.removed = entry.once = False
        return entry

    def _is_too_late(self, entry: ScheduleEntry, late: float) -> bool:
        return not entry.urgent and late > min(GRACE_SECONDS, entry.interval / 2)

    def _postpone(self, monitor_id: UUID, entry: ScheduleEntry, now: float) -> None:
        """Skip the due times that a stall missed, without a burst and without a long gap.

        With a short interval the monitor waits for its next step. With a long one it gets one
        check at its own place within the spread.
        """
        passed = entry.next_step(self._wall(now)) - 1
        self.skipped += max(passed - entry.settled_step, 0)
        entry.settled_step = passed
        self._push_spread(monitor_id, entry, now)

    def _catch_up(self, monitor_id: UUID, entry: ScheduleEntry, now: float) -> bool:
        """Schedule an overdue monitor soon; return False when its own phase comes first."""
        turn = max(now, self._overdue_until + OVERDUE_SECONDS)
        if turn + NEAR_SECONDS >= self._next_time(entry, now):
            return False
        self._overdue_until = turn
        self._push_between(monitor_id, entry, turn)
        return True

    def _push_urgent(self, monitor_id: UUID, entry: ScheduleEntry, now: float) -> None:
        entry.urgent = True
        self._heap.push(monitor_id, entry, now)

    def _push_step(self, monitor_id: UUID, entry: ScheduleEntry, step: int) -> None:
        entry.urgent = False
        entry.pending_step = step
        self._heap.push(monitor_id, entry, self._origin + entry.time_of(step))

    def _push_spread(self, monitor_id: UUID, entry: ScheduleEntry, now: float) -> None:
        step = entry.next_step(self._wall(now))
        if entry.time_of(step) - self._wall(now) <= self._spread:
            self._push_step(monitor_id, entry, step)
        else:
            self._push_between(monitor_id, entry, now + unit_fraction(monitor_id) * self._spread)

    def _push_between(self, monitor_id: UUID, entry: ScheduleEntry, due: float) -> None:
        entry.urgent = False
        entry.pending_step = entry.settled_step
        self._heap.push(monitor_id, entry, due)
