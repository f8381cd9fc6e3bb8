"""Schedules the monitors of the shards that this checker holds.

Connects the claims, which know shards only, with the schedule, which knows monitors only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from checker.fleet.claims import shard_of
from checker.schedule.wall_clock import align

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from uuid import UUID

    from checker.loop.missed_checks import MissedChecks
    from checker.loop.monitor_registry import MonitorRegistry, ScheduledMonitor
    from checker.recording.recorder import RecordingProgress
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.schedule import Schedule
    from domain.clock import Clock


CHUNK_MONITORS: Final = 500
"""After so many monitors other tasks run, so that a signal need not wait for all monitors."""


class ShardMonitors:
    """Starts and stops the checks of shards, as the claims say."""

    def __init__(
        self,
        registry: MonitorRegistry,
        schedule: Schedule,
        progress: RecordingProgress,
        missed_checks: MissedChecks,
        *,
        metrics: CheckerMetrics,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        """Take the parts. `wake` is called when checks may have become due."""
        self._registry = registry
        self._schedule = schedule
        self._progress = progress
        self._missed_checks = missed_checks
        self._metrics = metrics
        self._clock = clock
        self._wake = wake
        self._running: dict[int, list[UUID]] = {}
        self._received: dict[int, int] = {}

    async def start(self, shards: Collection[int], absent_since: float | None) -> None:
        """Schedule the monitors of shards at their own phase, and look for missed checks.

        `absent_since`: since when no checker checked them, in monotonic time; None: never.
        """
        align(self._schedule, self._clock)
        for shard in shards:
            self._running.pop(shard, None)
            self._received.pop(shard, None)
        self._schedule.widen_spread(len(self._registry))
        monitor_ids = []
        for number, monitor in enumerate(self._monitors_of(shards), start=1):
            monitor_ids.append(monitor.monitor_id)
            # A monitor that was just changed is scheduled already, and is checked at once.
            if not self._schedule.has(monitor.monitor_id):
                self._schedule.resume(
                    monitor.monitor_id,
                    monitor.interval_seconds,
                    trio.current_time(),
                    absent_since,
                    monitor.changed_at,
                )
            if number % CHUNK_MONITORS == 0:
                await trio.lowlevel.checkpoint()
        self._metrics.watched = len(self._schedule)
        self._wake()
        self._missed_checks.request(monitor_ids)

    async def stop(self, shards: Collection[int]) -> None:
        """Remove the monitors of shards. Their running checks end, and are recorded."""
        for shard in shards:
            self._running[shard] = []
            self._received.pop(shard, None)
        for number, monitor in enumerate(self._monitors_of(shards), start=1):
            if self._schedule.is_running(monitor.monitor_id):
                self._running[shard_of(monitor.monitor_id)].append(monitor.monitor_id)
            self._schedule.remove(monitor.monitor_id)
            if number % CHUNK_MONITORS == 0:
                await trio.lowlevel.checkpoint()
        self._metrics.watched = len(self._schedule)

    def is_drained(self, shard: int) -> bool:
        """Return whether every check of a stopped shard has ended and is recorded."""
        running = [each for each in self._running.get(shard, ()) if self._schedule.is_running(each)]
        self._running[shard] = running
        if running:
            return False
        received = self._received.setdefault(shard, self._progress.received)
        return self._progress.processed >= received

    def _monitors_of(self, shards: Collection[int]) -> list[ScheduledMonitor]:
        wanted = frozenset(shards)
        return [each for each in self._registry.find_all() if shard_of(each.monitor_id) in wanted]
