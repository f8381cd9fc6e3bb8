"""One checker process: feed, schedule, probes and recorder in one nursery.

The composition of the parts; each of them is explained where it stands. Knows no
settings: everything comes as an argument.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING

import trio

from checker.fleet.claims import AllShards, Claims
from checker.fleet.shard_monitors import ShardMonitors
from checker.loop.check import Ports, Probe
from checker.loop.dispatcher import Dispatcher
from checker.loop.event_feed import Batch, EventFeed, Feed
from checker.loop.login_backoff import LoginBackoff
from checker.loop.missed_checks import MissedChecks
from checker.loop.monitor_registry import MonitorRegistry
from checker.loop.target_builder import TargetCache
from checker.recording.check_log import CheckLog
from checker.recording.recorder import Recorder
from checker.runtime.limits import Limits
from checker.runtime.loop_lag import LoopLagMeter
from checker.runtime.metrics import CheckerMetrics
from checker.runtime.store_retry import StoreRetry
from checker.schedule.schedule import Schedule
from checker.schedule.wall_clock import follow_clock
from domain.clock import Clock, utc_now
from store.log_reader import LogReader
from store.ports.leases import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from uuid import UUID

    from checker.loop.monitor_registry import ScheduledMonitor
    from checker.runtime.location import Location
    from domain.check import CheckPerformed
    from store.store import Store


log = logging.getLogger("postwatch.checker")


async def run_checker(
    store: Store,
    probe: Probe,
    *,
    location: Location,
    policy: str = "default",
    limits: Limits | None = None,
    status: CheckerMetrics | None = None,
    stop: trio.Event | None = None,
    on_ready: Callable[[CheckerMetrics], None] = lambda _: None,
    wall: Clock = utc_now,
    claims: Claims | None = None,
) -> None:
    """Check what the store says, until stopped; then drain and return.

    `stop` ends it when set; without one SIGTERM and SIGINT do, and a second signal cuts
    the drain short. `on_ready` is called when the configuration was read. `policy` is
    text for the start line. `claims` says which monitors are ours, when other checkers of the
    location have a share of them, and `wall` is the clock of all of them then. A bug raises,
    after what was found out is recorded; so does RetiredError, when the location is retired.
    """
    checker = _Checker(
        store,
        probe,
        location=location,
        limits=limits or Limits(),
        status=status or CheckerMetrics(),
        wall=wall,
        claims=claims,
    )

    def ready() -> None:
        log.info(
            "checker ready: location %s, position %d, %d of %d monitors, policy %s",
            *(location, checker.status.position),
            *(checker.status.watched, checker.status.monitors, policy),
        )
        on_ready(checker.status)

    async with trio.open_nursery() as nursery:
        if stop is None:
            stop = trio.Event()
            await nursery.start(_stop_on_signals, stop, checker)
        await checker.run(stop, ready)
        nursery.cancel_scope.cancel()


class _Checker:
    """The parts of one process, put together."""

    def __init__(
        self,
        store: Store,
        probe: Probe,
        *,
        location: Location,
        limits: Limits,
        status: CheckerMetrics,
        wall: Clock,
        claims: Claims | None,
    ) -> None:
        self.status = status
        self._store = store
        self._wall = wall
        self._limits = limits
        self._lag_meter = LoopLagMeter(on_lag=status.loop_lag.note)
        self._targets = TargetCache(store.monitoring.unsealed)
        self._is_shared = claims is not None
        self._claims: Claims = claims or AllShards()
        self._check_log = CheckLog(store.checks, location, wall=wall, is_shared=self._is_shared)
        self._recorder = Recorder(self._check_log.append, limits, status, on_room=self._nudge)
        self._registry = registry = MonitorRegistry(location)
        self._schedule = schedule = Schedule(origin=trio.current_time() - wall().timestamp())
        self._login_backoff = login_backoff = LoginBackoff()
        self._missed_checks = MissedChecks(
            self._last_of, schedule, login_backoff, on_change=self._nudge
        )
        self._retry = StoreRetry("read the last checks")
        find = self._find_ours if self._is_shared else registry.watched
        self._intake = EventFeed(registry, schedule, status, find, on_change=self._changed)
        self._shard_monitors = ShardMonitors(
            Heartbeat(f"{socket.gethostname()}:{os.getpid()}", location.country),
            *(registry, schedule, self._missed_checks, self._recorder),
            status=status,
            find=find,
            wall=wall,
            absent_since=self._absent_since,
            on_change=self._nudge,
        )
        ports = Ports(find, self._targets.build_target, probe, self._recorder, wall, login_backoff)
        self._dispatcher = Dispatcher(
            schedule, ports, limits=limits, lag_meter=self._lag_meter, status=status
        )
        self._probes = trio.CancelScope()

    async def run(self, stop: trio.Event, ready: Callable[[], None]) -> None:
        """Check until stopped. The recorder outlives the probes, also when one of them fails."""
        with self._lag_meter.listening():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._recorder.run)
                try:
                    await self._check_until(stop, ready)
                finally:
                    self._recorder.close()

    def hurry(self) -> None:
        """Break off the probes that a drain waits for."""
        self._probes.cancel()

    async def _check_until(self, stop: trio.Event, ready: Callable[[], None]) -> None:
        with self._probes:
            async with trio.open_nursery() as probes:
                leaving = trio.Event()
                async with trio.open_nursery() as loop:
                    self._shard_monitors.look_in(loop)
                    # The claims outlive the loop: what is ours is given up as its checks end.
                    claim = partial(probes.start, self._claims.keep, self._shard_monitors, leaving)
                    loop.start_soon(self._follow, probes, claim, ready)
                    await stop.wait()
                    loop.cancel_scope.cancel()
                self.status.stopping = True
                leaving.set()
                log.info("stopping: waiting for %d probes", self.status.in_flight)
                self._probes.deadline = trio.current_time() + self._limits.grace_seconds
        if self.status.not_made:
            log.warning("%d checks were broken off and not made", self.status.not_made)

    async def _follow(
        self,
        probes: trio.Nursery,
        claim: Callable[[], Awaitable[object]],
        ready: Callable[[], None],
    ) -> None:
        """Read the configuration, then check and follow its changes at the same time."""
        signal_ = self._store.signal("monitoring")
        send, receive = trio.open_memory_channel[Batch](0)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Feed(LogReader(self._store.monitoring), signal_).follow, send)
                await self._intake.read_up(receive)
                await claim()
                ready()
                nursery.start_soon(self._dispatcher.run, probes)
                nursery.start_soon(follow_clock, self._schedule, self._wall)
                await self._intake.follow(receive)
        finally:
            signal_.close()

    async def _absent_since(self) -> float | None:
        """Return since when nobody checked from here, on the monotonic clock.

        Where others check too, each monitor is looked up.
        """
        if self._is_shared:
            return trio.current_time()
        retry = StoreRetry("read when the last check was made")
        last = await retry.run(self._check_log.last_check_at)
        if last is None:
            return None
        return trio.current_time() - (self._wall() - last).total_seconds()

    def _find_ours(self, monitor_id: UUID) -> ScheduledMonitor | None:
        if not self._claims.holds(monitor_id):
            return None
        return self._registry.watched(monitor_id)

    async def _last_of(self, monitor_ids: Sequence[UUID]) -> Mapping[UUID, CheckPerformed]:
        return await self._retry.run(lambda: self._check_log.last_of(monitor_ids))

    def _changed(self, monitor_id: UUID) -> None:
        self._targets.forget(monitor_id)
        self._login_backoff.forget(monitor_id)
        self._nudge()

    def _nudge(self) -> None:
        self._dispatcher.nudge()


async def _stop_on_signals(
    stop: trio.Event,
    checker: _Checker,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if stop.is_set():
                checker.hurry()
            else:
                log.info("%s: finishing what is running", signal.Signals(number).name)
                stop.set()
