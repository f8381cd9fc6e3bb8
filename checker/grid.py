"""The grid of a monitor's due times, and the monitor's place on it.

Pure. Knows wall time only, in seconds since 1970: two processes that have nothing else in
common find the same due times.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from math import ceil, floor
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
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
