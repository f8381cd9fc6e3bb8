"""What a checker can tell about itself: plain counters, read by whoever shows them.

Knows nothing of how they are shown. Written on the loop thread only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

LATENESS_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Upper bounds in seconds of the classes of `Status.lateness`; one more class is open."""


@dataclass(slots=True)
class Status:
    """Counters since the start, and the current state of each part.

    `checks` counts by kind and category. `lateness` counts starts by how late they were.
    `skipped` and `overrun` count due times that passed by, as in `Schedule`.
    `not_made` counts probes that were broken off at the end of a drain.
    """

    position: int = 0
    monitors: int = 0
    watched: int = 0
    in_flight: int = 0
    queued: int = 0
    recorded: int = 0
    skipped: int = 0
    overrun: int = 0
    not_made: int = 0
    lagged: int = 0
    store_away: bool = False
    stopping: bool = False
    worst_loop_lag: float = 0.0
    worst_lateness: float = 0.0
    checks: Counter[tuple[str, str]] = field(default_factory=Counter)
    lateness: Counter[float] = field(default_factory=Counter)

    def note_start(self, late: float) -> None:
        """Count a check that began this late."""
        self.worst_lateness = max(self.worst_lateness, late)
        bound = next((each for each in LATENESS_BOUNDS if late <= each), float("inf"))
        self.lateness[bound] += 1
