"""The clock that the checkers of a database share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from checker.schedule.wall_clock import SAMPLES, SLEW_SECONDS, SharedClock

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class World:
    """A host whose clock is wrong, and a database whose clock counts."""

    def __init__(self, host_ahead_seconds: float) -> None:
        self.passed = 0.0
        self.host_ahead_seconds = host_ahead_seconds
        self.database_ahead_seconds = 0.0
        self.clock = SharedClock(self.host, lambda: 500.0 + self.passed)

    def host(self) -> datetime:
        return NOON + timedelta(seconds=self.passed + self.host_ahead_seconds)

    @property
    def database(self) -> float:
        return NOON.timestamp() + self.passed + self.database_ahead_seconds

    @property
    def error(self) -> float:
        """How far the shared clock is ahead of the database's."""
        return self.clock().timestamp() - self.database

    def ask(self, there: float = 0.001, back: float = 0.001) -> None:
        """Ask the database for its time, on a way of so many seconds."""
        sent = self.clock.monotonic()
        self.passed += there
        answer = self.database
        self.passed += back
        self.clock.note(answer, sent, self.clock.monotonic())
        self.passed += 1


@pytest.mark.parametrize("ahead", [0.0, 180.0, -3600.0])
def test_host_that_is_minutes_wrong_uses_the_database_time_from_the_first_answer_on(
    ahead: float,
) -> None:
    world = World(ahead)
    assert world.error == pytest.approx(ahead)
    world.ask()

    assert world.error == pytest.approx(0, abs=0.001)
    assert world.clock.host_offset_seconds == pytest.approx(ahead, abs=0.001)


def test_slow_answers_do_not_move_it() -> None:
    world = World(0)
    world.ask()
    for _ in range(SAMPLES - 1):
        world.ask(there=0.4, back=0.001)
    assert world.error == pytest.approx(0, abs=0.002)


def test_small_errors_are_corrected_gradually() -> None:
    world = World(0)
    world.ask(there=0.2, back=0.0)
    wrong = world.error
    assert abs(wrong) == pytest.approx(0.1, abs=0.01)
    times = []
    for _ in range(150):
        world.ask()
        times.append(world.clock().timestamp() - world.passed)

    assert world.error == pytest.approx(0, abs=0.002)
    steps = [abs(later - earlier) for earlier, later in pairwise(times)]
    assert max(steps) <= SLEW_SECONDS + 1e-6


@pytest.mark.parametrize("seconds", [30.0, -30.0])
def test_database_whose_clock_is_set_is_followed(seconds: float) -> None:
    world = World(0)
    for _ in range(20):
        world.ask()
    world.database_ahead_seconds = seconds
    world.ask()
    assert world.error == pytest.approx(0, abs=0.002)
    for _ in range(20):
        world.ask()
    assert world.error == pytest.approx(0, abs=0.002)
