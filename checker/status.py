"""What a checker can tell about itself: plain counters, read by whoever shows them.

Knows nothing of how they are shown. Written on the loop thread only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from checker.histogram import Histogram

if TYPE_CHECKING:
    from domain.outcome import Outcome

LATENESS_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""In seconds, for what is ours to keep small."""

PHASE_BOUNDS_MS: Final = (
    0.5,
    1,
    2.5,
    5,
    10,
    25,
    50,
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10_000,
    30_000,
)
"""In milliseconds, as the timings of outcomes are: what the servers and the way to them take."""


@dataclass(slots=True)
class Status:
    """Counters since the start, and the current state of each part.

    `checks` counts by kind and category, `phases` holds durations by kind and phase.
    `lateness` counts starts by how late they were; those that were held back out of
    politeness are counted in `held_back` instead, and `waiting` for it now. `skipped` and
    `overrun` count due times that passed by, as in `Schedule`. `exhausted` counts checks that
    could not be made for lack of something of ours, `not_made` those that were broken off at
    the end of a drain. `fenced` counts checks that another checker had recorded first.
    `clock_offset_seconds` is how far this host's clock is ahead of the database's.
    """

    position: int = 0
    monitors: int = 0
    watched: int = 0
    in_flight: int = 0
    queued: int = 0
    recorded: int = 0
    fenced: int = 0
    skipped: int = 0
    overrun: int = 0
    not_made: int = 0
    exhausted: int = 0
    held_back: int = 0
    waiting: int = 0
    lagged: int = 0
    shards_held: int = 0
    clock_offset_seconds: float = 0.0
    store_away: bool = False
    stopping: bool = False
    worst_loop_lag: float = 0.0
    worst_lateness: float = 0.0
    checks: Counter[tuple[str, str]] = field(default_factory=Counter)
    phases: dict[tuple[str, str], Histogram] = field(default_factory=dict)
    lateness: Histogram = field(default_factory=lambda: Histogram(LATENESS_BOUNDS))
    loop_lag: Histogram = field(default_factory=lambda: Histogram(LATENESS_BOUNDS))

    def note_start(self, late: float) -> None:
        """Count a check that began this late."""
        self.worst_lateness = max(self.worst_lateness, late)
        self.lateness.note(late)

    def note_outcome(self, kind: str, outcome: Outcome) -> None:
        """Count a check that was made."""
        self.checks[kind, outcome.category] += 1
        for phase, milliseconds in outcome.timings_ms.items():
            histogram = self.phases.get((kind, phase))
            if histogram is None:
                histogram = self.phases[kind, phase] = Histogram(PHASE_BOUNDS_MS)
            histogram.note(milliseconds)
