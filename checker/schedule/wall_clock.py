"""The wall clock of the schedule: follows a clock that is set, and the database's clock.

Due times are times of the wall clock, but the checker waits for them by the monotonic clock.
So the schedule has to be rebased when the wall clock was set while the checker runs.

Several checkers that share a database take the database's clock for their wall clock, because
the clocks of their hosts may be minutes apart. `SharedClock` measures the offset to it again
and again; between the measurements the monotonic clock counts on. Any thread may read it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from domain.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from checker.schedule.schedule import Schedule
    from domain.clock import Clock


log = logging.getLogger("postwatch.checker")

COMPARE_SECONDS: Final = 1.0
TOLERATED_SECONDS: Final = 0.001
"""A smaller difference comes from reading two clocks one after the other."""

SET_SECONDS: Final = 2.0
"""A clock that moves by more than this at once was set."""


async def follow_clock(schedule: Schedule, wall: Clock) -> None:
    """Keep the schedule in step with the wall clock, until cancelled."""
    while True:
        await trio.sleep(COMPARE_SECONDS)
        moved = align(schedule, wall)
        if abs(moved) > SET_SECONDS:
            log.warning(
                "the clock was set by %+.1f s: due times follow it from the next checks on", moved
            )


def align(schedule: Schedule, wall: Clock) -> float:
    """Rebase the schedule on the wall clock; return the seconds by which that had moved."""
    before = trio.current_time()
    origin = before - wall().timestamp()
    if trio.current_time() - before > TOLERATED_SECONDS:
        return 0.0  # The process was held up between reading the two clocks.
    moved = schedule.origin - origin
    if abs(moved) > TOLERATED_SECONDS:
        schedule.rebase(origin)
    return moved


SAMPLES: Final = 8
"""Of so many measurements the one with the shortest round trip counts: it is the most exact."""

SLEW_SECONDS: Final = 0.001
"""The most by which one measurement moves the clock, so that no due time jumps."""

STEP_SECONDS: Final = 0.25
"""A larger error means that the database's clock was set: the shared clock jumps to it."""


class _Sample(NamedTuple):
    round_trip: float
    offset: float


class SharedClock:
    """Returns the database's time, or the host's time until the first measurement."""

    def __init__(
        self, host: Clock = utc_now, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._host = host
        self._monotonic = monotonic
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES)
        self._offset = host().timestamp() - monotonic()

    def __call__(self) -> datetime:
        """Return the current time, aware and in UTC."""
        return datetime.fromtimestamp(self._monotonic() + self._offset, UTC)

    @property
    def host_offset_seconds(self) -> float:
        """How far the host's clock is ahead of the database's."""
        return self._host().timestamp() - self._monotonic() - self._offset

    def monotonic(self) -> float:
        """Return the time of the clock that `note` expects, in seconds."""
        return self._monotonic()

    def note(self, database_time: float, sent: float, received: float) -> None:
        """Add a measurement: the database's time, and the monotonic times around the query."""
        sample = _Sample(received - sent, database_time - (sent + received) / 2)
        if (
            not self._samples
            or abs(sample.offset - self._offset) > STEP_SECONDS + sample.round_trip
        ):
            self._samples.clear()
            self._offset = sample.offset
        self._samples.append(sample)
        error = min(self._samples).offset - self._offset
        self._offset += max(-SLEW_SECONDS, min(SLEW_SECONDS, error))
