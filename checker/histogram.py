"""Counts values by size, cheaply enough to do it several times in each check."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Histogram:
    """How many values there were up to each bound, and their sum.

    Written by one thread. Another one may read meanwhile: it may miss the newest value.
    """

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def note(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def cumulated(self) -> Iterator[tuple[float, int]]:
        """Return how many values were up to each bound; the last bound is infinity."""
        so_far = 0
        for bound, count in zip((*self._bounds, float("inf")), list(self._counts), strict=True):
            so_far += count
            yield bound, so_far
