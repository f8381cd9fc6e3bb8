"""The time of checks that are read late: what the clock said when they arrived.

The log does not say when a check arrived. Checks arrive in the order of their positions and soon
after their end, so the median of the ends around a check is close to it: neither one clock that
is an hour ahead nor a checker that delivers old checks moves it. It never goes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


RADIUS: Final = 25
"""How many checks before and after one count."""


def arrival_times(ends: Sequence[float], not_before: float, now: float) -> list[float]:
    """Return when checks arrived that ended at `ends`, at the latest `now`."""
    times: list[float] = []
    last = not_before
    for index in range(len(ends)):
        radius = min(RADIUS, index, len(ends) - 1 - index)
        around = ends[index - radius : index + radius + 1]
        last = min(max(last, sorted(around)[radius]), now)
        times.append(last)
    return times
