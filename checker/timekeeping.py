"""Keeping the schedule with the wall clock, which may be set while the checker runs.

Due times are those of the wall clock, but waiting for them is not: monotonic time is.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from checker.schedule import Schedule
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
