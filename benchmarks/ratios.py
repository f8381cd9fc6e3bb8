"""The speed of one operation relative to a minimal one, measured round by round."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

Times = tuple[float, float]
"""Seconds by the clock, and of CPU in this process."""


@dataclass(slots=True)
class Ratio:
    """Rounds of a comparison. `goal` is the least share of the other's speed."""

    name: str
    goal: float
    count: int
    rounds: list[tuple[Times, Times]] = field(default_factory=list)

    def add(self, mine: Times, other: Times) -> None:
        """Take a round."""
        self.rounds.append((mine, other))

    def show(self) -> bool:
        """Print the medians; return whether the goal is met by the clock."""
        clock, cpu = ([other[i] / mine[i] for mine, other in self.rounds] for i in (0, 1))
        met = statistics.median(clock) >= self.goal
        rates = [self.count / statistics.median(each[i][0] for each in self.rounds) for i in (0, 1)]
        spent = [
            statistics.median(each[i][1] for each in self.rounds) / self.count * 1e6 for i in (0, 1)
        ]
        print(
            f"{self.name}: {statistics.median(clock):.2f} of the speed "
            f"(rounds {min(clock):.2f} to {max(clock):.2f}), goal at least {self.goal}: "
            f"{'met' if met else 'MISSED'}\n"
            f"  {rates[0]:,.0f} a second against {rates[1]:,.0f}; CPU {spent[0]:.1f} us each "
            f"against {spent[1]:.1f} us, {statistics.median(cpu):.2f} of the speed",
            flush=True,
        )
        return met
