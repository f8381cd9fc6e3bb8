"""The pulse of the event loop: notices when the loop itself was late.

The loop is the instrument that times probes. When it is busy with something else, the
timings of that moment are too long, and the checks have to say so.
"""

from __future__ import annotations

from typing import Final

import trio

BEAT_SECONDS: Final = 0.05
TOLERATED_LAG_SECONDS: Final = 0.05


class Pulse:
    """Beats, and remembers the last time that a beat came late."""

    def __init__(self) -> None:
        self._next_beat = float("inf")
        self._lagged_at = float("-inf")
        self._lag = 0.0
        self.worst = 0.0

    async def beat(self) -> None:
        """Beat for ever."""
        while True:
            self._next_beat = trio.current_time() + BEAT_SECONDS
            await trio.sleep_until(self._next_beat)
            self._note(trio.current_time())

    def lag_since(self, began: float, now: float) -> float:
        """Return by how much the loop was late between two times, 0 when it was in time."""
        # The loop may have come late just now, before the beat had its turn.
        overdue = now - self._next_beat
        seen = self._lag if self._lagged_at >= began else 0.0
        lag = max(overdue, seen)
        return lag if lag > TOLERATED_LAG_SECONDS else 0.0

    def _note(self, now: float) -> None:
        lag = now - self._next_beat
        self.worst = max(self.worst, lag)
        if lag > TOLERATED_LAG_SECONDS:
            self._lag, self._lagged_at = lag, now
