"""The grid of a monitor's due times, and the heap that finds the monitor that is due next.

Pure. The grid knows wall time only, in seconds since 1970: processes that share nothing else
compute the same due times. The heap does not search for the old item of a monitor that gets
another due time, which would cost a walk through the heap: it skips stale items when they
come to the top.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from math import ceil, floor
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID


REBASED_SECONDS: Final = 1.0
"""A step that has moved by more than this while it waited: the clock was set meanwhile."""

ROUNDED_SECONDS: Final = 0.002
"""The tolerance for recorded due times, which are cut to milliseconds."""


class Due(NamedTuple):
    """A monitor that is to be checked now.

    `due_monotonic` is when its check was to begin, on the monotonic clock. `due_wall` is the
    due time that the check is recorded for, in seconds since 1970: a step of the grid, or the
    time of the monitor's change. It is the same number in every process that makes this check.
    """

    monitor_id: UUID
    due_monotonic: float
    due_wall: float


@dataclass(slots=True)
class ScheduleEntry:
    """The schedule of one monitor.

    `phase` is the time of step 0, `urgent_due_wall` the due time of an urgent check.
    `settled_step` is the last step of the grid that was taken or skipped. `pending_step` is
    the step that the monitor's item in the heap stands for; it equals `settled_step` for a
    check between two steps. An item of the heap with another `generation` is stale.
    `resumed` says that no check has begun here since the monitor was resumed, `once` that the
    monitor is checked one time only. `taken_due_wall` is the due time of the last check that
    began here. `failures` counts failing checks in a row up to those that confirm a failure;
    `failing_since_wall` is the due time of the first of them.
    """

    interval: float
    phase: float
    urgent_due_wall: float = 0.0
    generation: int = 0
    settled_step: int = 0
    pending_step: int = 0
    urgent: bool = False
    running: bool = False
    changed: bool = False
    removed: bool = False
    resumed: bool = False
    once: bool = False
    taken_due_wall: float = 0.0
    failures: int = 0
    failing_since_wall: float = 0.0

    def time_of(self, step: int) -> float:
        """Return the wall time of a step."""
        return self.phase + step * self.interval

    def last_step(self, wall: float) -> int:
        """Return the last step up to a wall time."""
        return floor((wall - self.phase) / self.interval)

    def next_step(self, wall: float) -> int:
        """Return the first step from a wall time on, never a settled one, despite rounding.

        After the clock was set back, a settled step may lie ahead: it is due once more.
        """
        coming = ceil((wall - self.phase) / self.interval)
        return max(self.settled_step + 1, coming) if self.settled_step <= coming else coming


def unit_fraction(monitor_id: UUID) -> float:
    """Return the monitor's own number from 0 up to 1: a hash of its id, evenly distributed."""
    digest = blake2b(monitor_id.bytes, digest_size=6).digest()
    return int.from_bytes(digest) / (1 << 48)


_SMALL: Final = 64
_MOST_STALE: Final = 1.25
"""How many items there may be for each monitor before the stale ones are removed."""


class DueHeap:
    """Due times in order. Only the latest due time that was pushed for a monitor counts."""

    def __init__(self, entries: Mapping[UUID, ScheduleEntry]) -> None:
        """Take the entries of all monitors; the items of a monitor without an entry are stale."""
        self._entries = entries
        self._items: list[tuple[float, int, UUID]] = []
        self._generation = 0

    def __len__(self) -> int:
        """Return the number of items, stale ones included."""
        return len(self._items)

    def __iter__(self) -> Iterator[tuple[float, UUID]]:
        """Yield due time and monitor of each item that counts, in no order."""
        for item in self._items:
            if not self._is_stale(item):
                yield item[0], item[2]

    def push(self, monitor_id: UUID, entry: ScheduleEntry, due: float) -> None:
        """Set the next due time of a monitor, which makes its earlier item stale."""
        self._generation += 1
        entry.generation = self._generation
        heappush(self._items, (due, self._generation, monitor_id))
        if len(self._items) > _MOST_STALE * len(self._entries) + _SMALL:
            # Monitors change faster than they are due: keep the heap in proportion to them.
            self._items = [item for item in self._items if not self._is_stale(item)]
            heapify(self._items)

    def first(self) -> float | None:
        """Return the earliest due time, None when there is none."""
        items = self._items
        while items and self._is_stale(items[0]):
            heappop(items)
        return items[0][0] if items else None

    def pop(self, now: float) -> tuple[float, UUID] | None:
        """Remove the earliest due time up to `now`; return it and its monitor, None if none."""
        items = self._items
        while items and items[0][0] <= now:
            item = heappop(items)
            if not self._is_stale(item):
                return item[0], item[2]
        return None

    def _is_stale(self, item: tuple[float, int, UUID]) -> bool:
        entry = self._entries.get(item[2])
        return entry is None or entry.generation != item[1]
