"""The monitors of the shards that are ours: into the schedule, and out of it.

Between the claims, which know shards only, and the parts that know monitors only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol

import trio

from checker.fleet.claims import shard_of
from checker.schedule.wall_clock import align
from store.ports.leases import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from checker.loop.check import Find
    from checker.loop.missed_checks import MissedChecks
    from checker.loop.monitor_registry import MonitorRegistry, ScheduledMonitor
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.schedule import Schedule
    from domain.clock import Clock


HANDFUL: Final = 500
"""How many monitors are scheduled at a stretch, so that a signal need not wait for all."""

FLUSH_SECONDS: Final = 0.1
_RATE_SECONDS: Final = 10.0
"""Over how long checks a second are counted."""


class Written(Protocol):
    """How far what was found is recorded: counts of checks."""

    @property
    def taken(self) -> int:
        """How many came in."""

    @property
    def written(self) -> int:
        """How many of them the log has judged."""


AbsentSince = Callable[[], Awaitable[float | None]]
"""Returns since when nobody checked from here, on the monotonic clock; None: since ever."""


class ShardMonitors:
    """Follows the claims."""

    def __init__(
        self,
        who: Heartbeat,
        registry: MonitorRegistry,
        schedule: Schedule,
        missed_checks: MissedChecks,
        recorder: Written,
        *,
        status: CheckerMetrics,
        find: Find,
        wall: Clock,
        absent_since: AbsentSince,
        on_change: Callable[[], None],
    ) -> None:
        """Take the parts; `who` says who and where this checker is."""
        self._on_change = on_change
        self._who = who
        self._registry = registry
        self._schedule = schedule
        self._missed_checks = missed_checks
        self._recorder = recorder
        self._metrics = status
        self._find = find
        self._wall = wall
        self._absent_since = absent_since
        self._nursery: trio.Nursery | None = None
        self._running: dict[int, list[UUID]] = {}
        self._marks: dict[int, int] = {}
        self._counts: deque[tuple[float, int]] = deque()

    def look_in(self, nursery: trio.Nursery) -> None:
        """Name the nursery in which the log is searched for what was missed."""
        self._nursery = nursery

    def beat(self) -> Heartbeat:
        """Return what is to be said of this checker."""
        now, due = trio.current_time(), self._schedule.next_due()
        return Heartbeat(
            holder=self._who.holder,
            country=self._who.country,
            lag_seconds=max(0.0, now - due) if due is not None else 0.0,
            checks_per_second=self._rate(now),
            clock_offset_seconds=self._metrics.clock_offset_seconds,
        )

    async def gained(self, shards: Collection[int]) -> None:
        """Go on with the monitors of shards at their own phase; look for what was missed."""
        align(self._schedule, self._wall)
        for shard in shards:
            self._running.pop(shard, None)
            self._marks.pop(shard, None)
        absent_since = await self._absent_since()
        self._schedule.expect(len(self._registry))
        ids = []
        for number, monitor in enumerate(self._of(shards), start=1):
            # One that was just changed is there already, and is checked at once.
            if not self._schedule.has(monitor.monitor_id):
                self._resume(monitor, absent_since)
            ids.append(monitor.monitor_id)
            if number % HANDFUL == 0:
                await trio.lowlevel.checkpoint()
        self._metrics.watched = len(self._schedule)
        self._on_change()
        if self._nursery is not None:
            self._nursery.start_soon(self._look, ids)

    async def lost(self, shards: Collection[int]) -> None:
        """Drop the monitors of shards. Their checks under way end, and are recorded."""
        for shard in shards:
            self._running[shard] = []
            self._marks.pop(shard, None)
        for number, monitor in enumerate(self._of(shards), start=1):
            if self._schedule.is_running(monitor.monitor_id):
                self._running[shard_of(monitor.monitor_id)].append(monitor.monitor_id)
            self._schedule.remove(monitor.monitor_id)
            if number % HANDFUL == 0:
                await trio.lowlevel.checkpoint()
        self._metrics.watched = len(self._schedule)

    def has_settled(self, shard: int) -> bool:
        """Return whether every check of a lost shard that had begun is recorded."""
        running = [each for each in self._running.get(shard, ()) if self._schedule.is_running(each)]
        self._running[shard] = running
        if running:
            return False
        mark = self._marks.setdefault(shard, self._recorder.taken)
        return self._recorder.written >= mark

    def _of(self, shards: Collection[int]) -> list[ScheduledMonitor]:
        wanted = frozenset(shards)
        watched = self._registry.all_watched()
        return [each for each in watched if shard_of(each.monitor_id) in wanted]

    def _resume(self, monitor: ScheduledMonitor, absent_since: float | None) -> None:
        self._schedule.resume(
            monitor.monitor_id,
            monitor.interval_seconds,
            trio.current_time(),
            absent_since,
            monitor.changed_at,
        )

    async def _look(self, ids: list[UUID]) -> None:
        """Compare with the log, when what we know ourselves stands there."""
        mark = self._recorder.taken
        while self._recorder.written < mark:  # noqa: ASYNC110 - a store may be away meanwhile
            await trio.sleep(FLUSH_SECONDS)
        await self._missed_checks.look(ids, self._find, self._wall)

    def _rate(self, now: float) -> float:
        counts = self._counts
        counts.append((now, self._metrics.recorded))
        while now - counts[0][0] > _RATE_SECONDS:
            counts.popleft()
        seconds, checks = now - counts[0][0], counts[-1][1] - counts[0][1]
        return checks / seconds if seconds else 0.0
