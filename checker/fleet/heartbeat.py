"""Measures what a checker reports of itself to the other checkers of its location."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from store.ports.leases import Heartbeat

if TYPE_CHECKING:
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.schedule import Schedule


RATE_SECONDS: Final = 10.0
"""The period over which checks per second are averaged."""


class HeartbeatMeter:
    """Makes the heartbeats of one checker."""

    def __init__(
        self, holder: str, country: str | None, schedule: Schedule, metrics: CheckerMetrics
    ) -> None:
        """`holder` names the process, `country` is where it says that it runs."""
        self._holder = holder
        self._country = country
        self._schedule = schedule
        self._metrics = metrics
        self._counts: deque[tuple[float, int]] = deque()

    def measure(self) -> Heartbeat:
        """Return the next heartbeat."""
        now, due = trio.current_time(), self._schedule.next_due()
        return Heartbeat(
            holder=self._holder,
            country=self._country,
            lag_seconds=max(0.0, now - due) if due is not None else 0.0,
            checks_per_second=self._rate(now),
            clock_offset_seconds=self._metrics.clock_offset_seconds,
        )

    def _rate(self, now: float) -> float:
        counts = self._counts
        counts.append((now, self._metrics.recorded))
        while now - counts[0][0] > RATE_SECONDS:
            counts.popleft()
        seconds, checks = now - counts[0][0], counts[-1][1] - counts[0][1]
        return checks / seconds if seconds else 0.0
