"""Runs `postwatch` with a wall clock that goes faster: `python -m benchmarks.virtual_clock ...`.

Only what a process calls the time of day is virtual. Its pauses take as long as they take, so
that whatever it does in the background happens more seldom in virtual time than in real time.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from domain import clock

_VARIABLE = "BENCHMARK_VIRTUAL_CLOCK"


@dataclass(frozen=True, slots=True)
class VirtualClock:
    """It showed `start` at the Unix time `began`, and is `speed` times as fast as the real one."""

    start: datetime
    began: float
    speed: float

    def now(self) -> datetime:
        """Return the virtual time."""
        return self.start + timedelta(seconds=(time.time() - self.began) * self.speed)

    def environment(self) -> dict[str, str]:
        """Return what a process needs to have the same clock."""
        return {_VARIABLE: f"{self.start.isoformat()} {self.began} {self.speed}"}

    @classmethod
    def from_environment(cls) -> Self:
        """Return the clock that another process has set."""
        start, began, speed = os.environ[_VARIABLE].split()
        return cls(datetime.fromisoformat(start), float(began), float(speed))


def command(*arguments: str) -> list[str]:
    """Return the command line of a `postwatch` with this clock."""
    return [sys.executable, "-m", "benchmarks.virtual_clock", *arguments]


def main() -> None:
    """Set the clock before any module takes it, and run the command."""
    clock.utc_now = VirtualClock.from_environment().now
    # Imported only here: they take the clock.
    from cli.main import main as postwatch  # noqa: PLC0415 - as said above
    from service import supervised_part  # noqa: PLC0415 - as said above

    supervised_part.postwatch_command = command
    postwatch()


if __name__ == "__main__":
    main()
