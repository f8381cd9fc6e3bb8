"""When to look again at what, although nothing happens until then."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Literal

Topic = Literal["unwatched", "steady", "location", "server"]
Deadline = tuple[Topic, str]
"""What to look at, and which one."""


class Deadlines:
    """The next look at each thing. A later deadline of the same thing replaces nothing."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, Deadline]] = []
        self._next: dict[Deadline, float] = {}

    def add(self, moment: float, topic: Topic, key: str) -> None:
        """Look at a thing at a moment, unless that is to happen earlier anyway."""
        deadline = (topic, key)
        if moment < self._next.get(deadline, float("inf")):
            self._next[deadline] = moment
            heappush(self._heap, (moment, deadline))

    def next_at(self) -> float:
        """Return when the next deadline comes, infinity without one."""
        while self._heap and self._next.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")

    def pop(self) -> tuple[float, Deadline]:
        """Take the next deadline."""
        self.next_at()
        moment, deadline = heappop(self._heap)
        del self._next[deadline]
        return moment, deadline
