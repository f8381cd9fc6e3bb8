"""Keeping the schedule with the wall clock, which may be set while the checker runs.

Due times are those of the wall clock, but waiting for them is not: monotonic time is.

The clock that the checkers of a database share: the database's own.

Their hosts' clocks may be minutes apart; due times must not be. The offset to the
database's clock is measured with each look, and between the looks the monotonic clock
counts on. May be read in any thread.
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

LOOK_SECONDS: Final = 1.0
TOLERATED_SECONDS: Final = 0.001
"""Differences up to here are those of reading two clocks one after the other."""

SET_SECONDS: Final = 2.0
"""A clock that moves by so much at once was set."""


async def follow_clock(schedule: Schedule, wall: Clock) -> None:
    """Compare the schedule with the wall clock, for ever."""
    while True:
        await trio.sleep(LOOK_SECONDS)
        moved = align(schedule, wall)
        if abs(moved) > SET_SECONDS:
            log.warning(
                "the clock was set by %+.1f s: due times follow it from the next checks on", moved
            )


def align(schedule: Schedule, wall: Clock) -> float:
    """Let the schedule go by the wall clock; return by how many seconds that had moved."""
    before = trio.current_time()
    origin = before - wall().timestamp()
    if trio.current_time() - before > TOLERATED_SECONDS:
        return 0.0  # held up between the two clocks
    moved = schedule.origin - origin
    if abs(moved) > TOLERATED_SECONDS:
        schedule.rebase(origin)
    return moved


SAMPLES: Final = 8
"""The quickest answer of so many is trusted: it leaves the least room for error."""

SLEW_SECONDS: Final = 0.001
"""By so much a measurement moves the clock, so that no due time jumps."""

STEP_SECONDS: Final = 0.25
"""A clock that is so wrong was set, or never measured, and is set as well."""


class _Sample(NamedTuple):
    round_trip: float
    offset: float


class SharedClock:
    """Returns the database's time; the host's until it was measured."""

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
        """Return the time by which `note` measures round trips."""
        return self._monotonic()

    def note(self, database_time: float, sent: float, received: float) -> None:
        """Take in what the database's clock showed between two monotonic times."""
        sample = _Sample(received - sent, database_time - (sent + received) / 2)
        if (
            not self._samples
            or abs(sample.offset - self._offset) > STEP_SECONDS + sample.round_trip
        ):
            self._samples.clear()
            self._offset = sample.offset
        self._samples.append(sample)
        missing = min(self._samples).offset - self._offset
        self._offset += max(-SLEW_SECONDS, min(SLEW_SECONDS, missing))
