"""The grid of a monitor's due times, and the monitor's place on it.

Pure. Knows wall time only, in seconds since 1970: two processes that have nothing else in
common find the same due times.

Who comes next: a heap of due times in which older ones of a monitor are left to go stale.

Pure. An item that no longer counts is not looked for when a monitor gets another time, which
would cost a walk through the heap; it is passed over when it comes to the top.
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
"""By so much a step has moved when the clock was set while it waited."""

ROUNDED_SECONDS: Final = 0.002
"""Due times that were recorded are cut to milliseconds."""


class Due(NamedTuple):
    """A monitor that is to be checked now.

    `due` is when its check was to begin. `at` is the due time that the check is recorded
    for, in seconds of the wall clock: a step of the grid, or when the monitor was changed.
    It is the same number in every process that comes to make this check.
    """

    monitor_id: UUID
    due: float
    at: float


@dataclass(slots=True)
class Entry:
    """One monitor's place in time.

    `phase` is the time of step 0, `moment` the due time of an urgent check. `settled` is the
    last step of the grid that was taken or skipped. `pending` is the step that the entry in
    the heap stands for; equal to `settled` when it is a check between two steps. An entry of
    the heap with another `generation` is stale. `resumed` says that nothing was checked from
    here since it was resumed.
    """

    interval: float
    phase: float
    moment: float = 0.0
    generation: int = 0
    settled: int = 0
    pending: int = 0
    urgent: bool = False
    running: bool = False
    changed: bool = False
    removed: bool = False
    resumed: bool = False

    def time_of(self, step: int) -> float:
        """Return when a step is due."""
        return self.phase + step * self.interval

    def last_step(self, wall: float) -> int:
        """Return the last step up to a time."""
        return floor((wall - self.phase) / self.interval)

    def next_step(self, wall: float) -> int:
        """Return the first step from now on. Never one that is settled, however we round.

        Unless that one lies ahead, because the clock was set back: nobody waits for it.
        """
        coming = ceil((wall - self.phase) / self.interval)
        return max(self.settled + 1, coming) if self.settled <= coming else coming


def unit_fraction(monitor_id: UUID) -> float:
    """Return a number from 0 up to 1 that is the monitor's own and evenly spread."""
    digest = blake2b(monitor_id.bytes, digest_size=6).digest()
    return int.from_bytes(digest) / (1 << 48)


_SMALL: Final = 64
_MOST_STALE: Final = 1.25
"""How many items there may be for each monitor before the stale ones are thrown away."""


class DueHeap:
    """At most one time of each monitor counts: the last one that was given."""

    def __init__(self, entries: Mapping[UUID, Entry]) -> None:
        """Take the places of all monitors; what is said of one that has none is stale."""
        self._entries = entries
        self._items: list[tuple[float, int, UUID]] = []
        self._generation = 0

    def __len__(self) -> int:
        """Return how many items are kept, stale ones among them."""
        return len(self._items)

    def __iter__(self) -> Iterator[tuple[float, UUID]]:
        """Go through the times that count, and whose they are, in no order."""
        for item in self._items:
            if not self._is_stale(item):
                yield item[0], item[2]

    def push(self, monitor_id: UUID, entry: Entry, due: float) -> None:
        """Give a monitor its next time. The one it had before counts no more."""
        self._generation += 1
        entry.generation = self._generation
        heappush(self._items, (due, self._generation, monitor_id))
        if len(self._items) > _MOST_STALE * len(self._entries) + _SMALL:
            # Monitors change faster than they are due: keep the heap in proportion.
            self._items = [item for item in self._items if not self._is_stale(item)]
            heapify(self._items)

    def first(self) -> float | None:
        """Return the first time that counts; None when there is none."""
        items = self._items
        while items and self._is_stale(items[0]):
            heappop(items)
        return items[0][0] if items else None

    def pop(self, now: float) -> tuple[float, UUID] | None:
        """Take out the first time that counts, and whose it is; None when none has come yet."""
        items = self._items
        while items and items[0][0] <= now:
            item = heappop(items)
            if not self._is_stale(item):
                return item[0], item[2]
        return None

    def _is_stale(self, item: tuple[float, int, UUID]) -> bool:
        entry = self._entries.get(item[2])
        return entry is None or entry.generation != item[1]
