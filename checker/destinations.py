"""Politeness: no more than a few checks go to one server at a time.

Pure: knows neither time nor tasks. A place is an address; as a name is resolved only inside
a check, it is the address that the name led to last, and before that the name itself.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from checker.grid import Due


class Admitted(NamedTuple):
    """A check that may begin: its place is taken until it leaves it."""

    due: Due
    place: str
    was_held: bool


class Destinations:
    """Who is at which place, and who waits for it, in turn."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._addresses: dict[str, str] = {}
        self._busy: dict[str, int] = {}
        self._queues: dict[str, deque[Due]] = {}

    def enter(self, due: Due, hostname: str) -> Admitted | None:
        """Take a place, or wait for it when there is none: `leave` brings it up again then."""
        place = self._addresses.get(hostname, hostname)
        busy = self._busy.get(place, 0)
        if busy < self._limit:
            self._busy[place] = busy + 1
            return Admitted(due, place, was_held=False)
        self._queues.setdefault(place, deque()).append(due)
        return None

    def leave(self, place: str) -> Admitted | None:
        """Give a place back; return who has waited for it longest and has it now."""
        queue = self._queues.get(place)
        if queue:
            due = queue.popleft()
            if not queue:
                del self._queues[place]
            return Admitted(due, place, was_held=True)
        self._busy[place] -= 1
        if not self._busy[place]:
            del self._busy[place]
        return None

    def learn(self, hostname: str, address: str | None) -> None:
        """Remember where a name leads to."""
        if address is not None and address != hostname:
            self._addresses[hostname] = address
