"""The pulse of the event loop: notices when the loop itself was late.

The loop is the instrument that times probes. When it is busy with something else, or the
machine does not let it run, the timings of that moment are too long, and the checks have
to say so.

A task that sleeps and looks how late it wakes would see half of it and cost a wake-up
each time. This listens to the loop instead: a pass is all that runs between two waits.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


TOLERATED_LAG_SECONDS: Final = 0.05


class LoopLagMeter(trio.abc.Instrument):
    """Remembers the last time that a pass of the loop was long, or began late."""

    def __init__(
        self,
        clock: Callable[[], float] = trio.current_time,
        on_lag: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Tell `on_lag` how long each pass took, and how late each one began."""
        self._clock = clock
        self._on_lag = on_lag
        self._pass_began = float("inf")
        self._wait_ends = float("inf")
        self._lag = 0.0
        self._lagged_at = float("-inf")
        self.worst = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the loop that runs us."""
        trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(self)

    def before_io_wait(self, timeout: float) -> None:
        """End a pass: note how long it held everybody up."""
        now = self._clock()
        self._note(now - self._pass_began, now)
        self._wait_ends = now + timeout

    def after_io_wait(self, timeout: float) -> None:
        """Begin a pass: note how late it is."""
        del timeout
        self._pass_began = self._clock()
        self._note(self._pass_began - self._wait_ends, self._pass_began)

    def lag_since(self, began: float, now: float) -> float:
        """Return by how much the loop was late between two times, 0 when it was in time."""
        this_pass = now - self._pass_began
        lag = max(this_pass, self._lag if self._lagged_at >= began else 0.0)
        return lag if lag > TOLERATED_LAG_SECONDS else 0.0

    def _note(self, lag: float, now: float) -> None:
        # Of the first pass, which nothing was heard of, no more is known than that.
        if lag < 0:
            return
        self._on_lag(lag)
        self.worst = max(self.worst, lag)
        if lag > TOLERATED_LAG_SECONDS:
            self._lag, self._lagged_at = lag, now
