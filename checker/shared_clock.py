"""The clock that the checkers of a database share: the database's own.

Their hosts' clocks may be minutes apart; due times must not be. The offset to the
database's clock is measured with each look, and between the looks the monotonic clock
counts on. May be read in any thread.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from domain.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.clock import Clock

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
