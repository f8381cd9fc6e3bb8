"""Who comes next: a heap of due times in which older ones of a monitor are left to go stale.

Pure. An item that no longer counts is not looked for when a monitor gets another time, which
would cost a walk through the heap; it is passed over when it comes to the top.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID

    from checker.grid import Entry

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
