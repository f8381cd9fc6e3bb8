"""Measures the lag of the event loop: how long its passes take, and how late they begin.

The loop times the probes. While it is busy with something else, or the machine does not let
it run, the timings are too long, and the checks of that moment have to say so.

A task that sleeps and compares its wake-up time with the planned one would see half of the
lag and cost a wake-up each time. A trio instrument sees every pass, that is all that runs
between two waits for I/O.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


TOLERATED_LAG_SECONDS: Final = 0.05


class LoopLagMeter(trio.abc.Instrument):
    """Remembers the last pass of the loop that took too long or began too late."""

    def __init__(
        self,
        clock: Callable[[], float] = trio.current_time,
        on_lag: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Call `on_lag` with the seconds that each pass took, and by which each began late."""
        self._clock = clock
        self._on_lag = on_lag
        self._pass_began = float("inf")
        self._wait_ends = float("inf")
        self._lag = 0.0
        self._lagged_at = float("-inf")

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Measure the running loop while the block runs."""
        trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(self)

    @override
    def before_io_wait(self, timeout: float) -> None:
        now = self._clock()
        self._note(now - self._pass_began, now)
        self._wait_ends = now + timeout

    @override
    def after_io_wait(self, timeout: float) -> None:
        self._pass_began = self._clock()
        self._note(self._pass_began - self._wait_ends, self._pass_began)

    def lag_since(self, began: float, now: float) -> float:
        """Return the lag in seconds between two times of the loop's clock, 0 when tolerable."""
        this_pass = now - self._pass_began
        lag = max(this_pass, self._lag if self._lagged_at >= began else 0.0)
        return lag if lag > TOLERATED_LAG_SECONDS else 0.0

    def _note(self, lag: float, now: float) -> None:
        # Negative for the first pass: when it began is not known.
        if lag < 0:
            return
        self._on_lag(lag)
        if lag > TOLERATED_LAG_SECONDS:
            self._lag, self._lagged_at = lag, now
