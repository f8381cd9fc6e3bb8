"""When each monitor is due: a heap, and the rules of time.

Pure: time is an argument, in monotonic seconds. Knows no monitors (only their ids), no
trio and no clock.

A monitor has a grid: times one interval apart, at a phase that follows from its id. The
grid is anchored to the wall clock of the start (`origin`), so it is the same one after a
restart, and due times are counted on it in whole steps, so they do not drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from math import ceil, floor
from typing import TYPE_CHECKING, Final, NamedTuple

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

_SMALL_HEAP: Final = 64


class Due(NamedTuple):
    """A monitor that is to be checked now, and when it should have been."""

    monitor_id: UUID
    due: float


@dataclass(slots=True)
class _Entry:
    """One monitor's place in time.

    `settled` is the last step of the grid that was taken or skipped. `pending` is the step
    that the entry in the heap stands for; equal to `settled` when it is a check between
    two steps. An entry of the heap with another `generation` is stale. `resumed` says that
    nothing was checked since the restart.
    """

    interval: float
    anchor: float
    generation: int = 0
    settled: int = 0
    pending: int = 0
    urgent: bool = False
    running: bool = False
    changed: bool = False
    removed: bool = False
    resumed: bool = False

    def time_of(self, step: int) -> float:
        return self.anchor + step * self.interval

    def last_step(self, now: float) -> int:
        return floor((now - self.anchor) / self.interval)

    def next_step(self, now: float) -> int:
        """Return the first step from now on. Never one that is settled, however we round."""
        return max(self.settled + 1, ceil((now - self.anchor) / self.interval))


class Schedule:
    """Who is due when. A monitor that was taken stays out until it is reported done."""

    def __init__(self, origin: float) -> None:
        """Anchor all grids: `origin` is the monotonic time of the wall clock's zero."""
        self._origin = origin
        self._entries: dict[UUID, _Entry] = {}
        self._heap: list[tuple[float, int, UUID]] = []
        self._generation = 0
        self._spread = SPREAD_SECONDS
        self._hastened_until = float("-inf")
        self._overdue_until = float("-inf")
        self.skipped = 0
        """How many due times passed by because nothing could begin in time."""
        self.overrun = 0
        """How many due times passed by while the monitor's own check was still running."""

    def __len__(self) -> int:
        return len(self._entries)

    def expect(self, monitors: int) -> None:
        """Make the spread wide enough for so many monitors that are all overdue."""
        self._spread = max(SPREAD_SECONDS, monitors * SPREAD_PER_MONITOR_SECONDS)

    def resume(
        self, monitor_id: UUID, interval: float, now: float, absent_since: float | None
    ) -> None:
        """Go on with a monitor after a restart, at its own phase.

        When it was due while nobody checked (since `absent_since`; None is since ever), it
        is checked soon, one overdue monitor after the other.
        """
        entry = self._enter(monitor_id, interval)
        entry.resumed = True
        entry.settled = entry.last_step(now)
        step = entry.next_step(now)
        turn = max(now, self._overdue_until + OVERDUE_SECONDS)
        is_overdue = absent_since is None or entry.last_step(absent_since) < entry.settled
        if is_overdue and turn + NEAR_SECONDS < entry.time_of(step):
            self._overdue_until = turn
            self._push_between(monitor_id, entry, turn)
        else:
            self._push_step(monitor_id, entry, step)

    def hasten(self, monitor_id: UUID, now: float) -> None:
        """Check a monitor soon that was resumed, and that was never checked as it is now.

        One after the other, at a pace that leaves room for those that are due. One whose own
        phase comes first, or soon after, is left to it.
        """
        entry = self._entries.get(monitor_id)
        if entry is None or not entry.resumed:
            return
        turn = max(now, self._hastened_until + SPREAD_PER_MONITOR_SECONDS)
        if turn + NEAR_SECONDS < entry.time_of(entry.next_step(now)):
            self._hastened_until = turn
            self._push_urgent(monitor_id, entry, turn)

    def watch(self, monitor_id: UUID, interval: float, now: float) -> None:
        """Check a new or changed monitor at once, or as soon as its running check ends."""
        entry = self._enter(monitor_id, interval)
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
        while self._heap and self._is_stale(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: float, limit: int) -> list[Due]:
        """Return up to `limit` monitors that are due; each is running from now on."""
        taken: list[Due] = []
        while len(taken) < limit and self._heap and self._heap[0][0] <= now:
            item = heappop(self._heap)
            if self._is_stale(item):
                continue
            due, _, monitor_id = item
            entry = self._entries[monitor_id]
            if self._is_too_late(entry, now - due):
                self._postpone(monitor_id, entry, now)
                continue
            entry.running, entry.resumed = True, False
            entry.generation = 0
            entry.settled = entry.last_step(now) if entry.urgent else entry.pending
            taken.append(Due(monitor_id, due))
        return taken

    def again(self, monitor_id: UUID) -> None:
        """Check a taken monitor once more when it is done: its check could not be made."""
        self._entries[monitor_id].changed = True

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
            step = entry.next_step(now)
            self.overrun += step - 1 - entry.settled
            self._push_step(monitor_id, entry, step)

    def _enter(self, monitor_id: UUID, interval: float) -> _Entry:
        anchor = self._origin + unit_fraction(monitor_id) * interval
        entry = self._entries.get(monitor_id)
        if entry is None:
            entry = self._entries[monitor_id] = _Entry(interval, anchor)
        elif interval != entry.interval:
            # Steps of another grid mean nothing on this one. A running check sets
            # `settled` anew when it is taken again, as it is urgent then.
            entry.interval, entry.anchor = interval, anchor
        entry.removed = False
        return entry

    def _is_stale(self, item: tuple[float, int, UUID]) -> bool:
        entry = self._entries.get(item[2])
        return entry is None or entry.generation != item[1]

    def _is_too_late(self, entry: _Entry, late: float) -> bool:
        return not entry.urgent and late > min(GRACE_SECONDS, entry.interval / 2)

    def _postpone(self, monitor_id: UUID, entry: _Entry, now: float) -> None:
        """Skip what a stall left behind, without a burst and without a long gap.

        The next step of the grid is soon enough for a short interval; a long interval
        gets one check at a place of its own within the spread.
        """
        passed = entry.next_step(now) - 1
        self.skipped += passed - entry.settled
        entry.settled = passed
        self._push_spread(monitor_id, entry, now)

    def _push_urgent(self, monitor_id: UUID, entry: _Entry, now: float) -> None:
        entry.urgent = True
        self._push(monitor_id, entry, now)

    def _push_step(self, monitor_id: UUID, entry: _Entry, step: int) -> None:
        entry.urgent = False
        entry.pending = step
        self._push(monitor_id, entry, entry.time_of(step))

    def _push_spread(self, monitor_id: UUID, entry: _Entry, now: float) -> None:
        step = entry.next_step(now)
        if entry.time_of(step) - now <= self._spread:
            self._push_step(monitor_id, entry, step)
        else:
            self._push_between(monitor_id, entry, now + unit_fraction(monitor_id) * self._spread)

    def _push_between(self, monitor_id: UUID, entry: _Entry, due: float) -> None:
        entry.urgent = False
        entry.pending = entry.settled
        self._push(monitor_id, entry, due)

    def _push(self, monitor_id: UUID, entry: _Entry, due: float) -> None:
        self._generation += 1
        entry.generation = self._generation
        heappush(self._heap, (due, self._generation, monitor_id))
        if len(self._heap) > 1.25 * len(self._entries) + _SMALL_HEAP:
            self._drop_stale()

    def _drop_stale(self) -> None:
        """Keep the heap in proportion when monitors change faster than they are due."""
        self._heap = [item for item in self._heap if not self._is_stale(item)]
        heapify(self._heap)


def unit_fraction(monitor_id: UUID) -> float:
    """Return a number from 0 up to 1 that is the monitor's own and evenly spread."""
    digest = blake2b(monitor_id.bytes, digest_size=6).digest()
    return int.from_bytes(digest) / (1 << 48)
