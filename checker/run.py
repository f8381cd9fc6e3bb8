"""Runs one checker process: builds its parts and runs them together until it is stopped.

Knows no settings: everything comes as an argument.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from checker.fleet.claims import AllShards, Claims
from checker.fleet.heartbeat import HeartbeatMeter
from checker.fleet.shard_monitors import ShardMonitors
from checker.loop.check import CheckRunner, Probe
from checker.loop.dispatcher import Dispatcher, WakeUp
from checker.loop.event_feed import EventFeed, LogFollower
from checker.loop.login_backoff import LoginBackoff
from checker.loop.logins_elsewhere import LoginsElsewhere
from checker.loop.missed_checks import MissedChecks
from checker.loop.monitor_registry import MonitorRegistry
from checker.loop.target_builder import TargetCache
from checker.recording.check_log import CheckLog
from checker.recording.recorder import CheckRecorder
from checker.runtime.limits import Limits
from checker.runtime.loop_lag import LoopLagMeter
from checker.runtime.metrics import CheckerMetrics
from checker.runtime.store_retry import StoreRetry
from checker.schedule.schedule import Schedule
from checker.schedule.wall_clock import follow_clock
from domain.clock import Clock, utc_now
from store.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from checker.loop.dispatcher import FindMonitor
    from checker.loop.missed_checks import ReadLastChecks
    from checker.loop.monitor_registry import ScheduledMonitor
    from checker.runtime.location import Location
    from domain.check import CheckPerformed
    from store.ports.engine import ChangeSignal
    from store.store import Store


log = logging.getLogger("postwatch.checker")


async def run_checker(
    store: Store,
    probe: Probe,
    *,
    location: Location,
    policy: str = "default",
    limits: Limits | None = None,
    metrics: CheckerMetrics | None = None,
    stop: trio.Event | None = None,
    on_ready: Callable[[], None] = lambda: None,
    clock: Clock = utc_now,
    claims: Claims | None = None,
) -> None:
    """Check the monitors of the store until stopped; then let running checks end, and return.

    `stop` ends the checker when it is set. Without one SIGTERM and SIGINT do, and a second
    signal interrupts the running checks. `on_ready` is called when all monitors are read.
    `policy` describes the network policy in the log line of the start. `claims` share the
    monitors of the location with other checkers, and `clock` is the wall clock of all of them
    then; without claims this checker checks all monitors.

    A bug raises, after the finished checks are recorded. Raises RetiredError when the location
    is retired.
    """
    metrics = metrics or CheckerMetrics()
    limits = limits or Limits()

    def ready() -> None:
        log.info(
            "checker ready: location %s, position %d, %d of %d monitors, policy %s",
            location,
            metrics.position,
            metrics.watched,
            metrics.monitors,
            policy,
        )
        on_ready()

    log_signal = store.signal("monitoring")
    try:
        parts = _build_parts(
            store,
            probe,
            log_signal,
            location=location,
            limits=limits,
            metrics=metrics,
            clock=clock,
            claims=claims,
        )
        checker = _Checker(parts, limits=limits, metrics=metrics, clock=clock)
        async with trio.open_nursery() as nursery:
            if stop is None:
                stop = trio.Event()
                await nursery.start(_stop_on_signals, stop, checker)
            await checker.run(stop, ready)
            nursery.cancel_scope.cancel()
    finally:
        log_signal.close()


@dataclass(frozen=True, slots=True)
class _CheckerParts:
    """The parts of a checker that have a task of their own, or that a task needs."""

    claims: Claims
    dispatcher: Dispatcher
    feed: EventFeed
    heartbeat: HeartbeatMeter
    lag_meter: LoopLagMeter
    logins_elsewhere: LoginsElsewhere
    missed_checks: MissedChecks
    recorder: CheckRecorder
    schedule: Schedule
    shard_monitors: ShardMonitors


def _build_parts(
    store: Store,
    probe: Probe,
    log_signal: ChangeSignal,
    *,
    location: Location,
    limits: Limits,
    metrics: CheckerMetrics,
    clock: Clock,
    claims: Claims | None,
) -> _CheckerParts:
    """Build the parts of a checker, each from those before it."""
    check_log = CheckLog(store.checks, location, clock=clock, is_shared=claims is not None)
    registry = MonitorRegistry(location)
    find = registry.find if claims is None else _find_held(registry, claims)
    schedule = Schedule(origin=trio.current_time() - clock().timestamp())
    wake_up = WakeUp()
    lag_meter = LoopLagMeter(on_lag=metrics.loop_lag.observe)
    login_backoff = LoginBackoff()
    targets = TargetCache(store.monitoring.unsealed)
    recorder = CheckRecorder(check_log.append, limits, metrics, on_room=wake_up.wake)

    def forget(monitor_id: UUID) -> None:
        targets.forget(monitor_id)
        login_backoff.forget(monitor_id)
        dispatcher.forget(monitor_id)
        runner.forget(monitor_id)
        wake_up.wake()

    feed = EventFeed(
        LogFollower(LogReader(store.monitoring).after, log_signal),
        registry,
        schedule,
        find=find,
        metrics=metrics,
        on_change=forget,
        on_login_retry=login_backoff.retry,
        wake=wake_up.wake,
    )
    missed_checks = MissedChecks(
        _last_checks_reader(check_log),
        schedule,
        recorder,
        find=find,
        last_request=registry.last_request,
        login_backoff=login_backoff,
        clock=clock,
        wake=wake_up.wake,
    )
    claims = claims or AllShards(partial(_absent_since, check_log, clock))
    logins_elsewhere = LoginsElsewhere(
        login_backoff,
        registry,
        _last_checks_reader(check_log),
        holds=claims.holds,
        clock=clock,
    )
    shard_monitors = ShardMonitors(
        registry,
        schedule,
        recorder,
        missed_checks,
        metrics=metrics,
        clock=clock,
        wake=wake_up.wake,
    )
    runner = CheckRunner(
        targets.build_target,
        probe,
        recorder,
        login_backoff=login_backoff,
        lag_meter=lag_meter,
        metrics=metrics,
        clock=clock,
    )
    dispatcher = Dispatcher(
        schedule,
        find,
        runner,
        results=recorder,
        wake_up=wake_up,
        limits=limits,
        metrics=metrics,
    )
    holder = f"{socket.gethostname()}:{os.getpid()}"
    return _CheckerParts(
        claims=claims,
        dispatcher=dispatcher,
        feed=feed,
        heartbeat=HeartbeatMeter(holder, location.country, schedule, metrics),
        lag_meter=lag_meter,
        logins_elsewhere=logins_elsewhere,
        missed_checks=missed_checks,
        recorder=recorder,
        schedule=schedule,
        shard_monitors=shard_monitors,
    )


def _find_held(registry: MonitorRegistry, claims: Claims) -> FindMonitor:
    """Return what finds the monitors of the shards that this checker holds."""

    def find(monitor_id: UUID, *, even_disabled: bool = False) -> ScheduledMonitor | None:
        if not claims.holds(monitor_id):
            return None
        return registry.find(monitor_id, even_disabled=even_disabled)

    return find


def _last_checks_reader(check_log: CheckLog) -> ReadLastChecks:
    retry = StoreRetry("read the last checks")

    async def read(monitor_ids: Sequence[UUID]) -> Mapping[UUID, CheckPerformed]:
        return await retry.run(lambda: check_log.last_of(monitor_ids))

    return read


async def _absent_since(check_log: CheckLog, clock: Clock) -> float | None:
    """Return since when no checker of the location ran, in monotonic time; None: never."""
    last = await StoreRetry("read when the last check was made").run(check_log.last_check_at)
    if last is None:
        return None
    return trio.current_time() - (clock() - last).total_seconds()


class _Checker:
    """The tasks of a checker, in the order in which they start and end."""

    def __init__(
        self, parts: _CheckerParts, *, limits: Limits, metrics: CheckerMetrics, clock: Clock
    ) -> None:
        self._parts = parts
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._probes = trio.CancelScope()

    async def run(self, stop: trio.Event, ready: Callable[[], None]) -> None:
        """Check until stopped. The recorder ends after the probes, also when one raises."""
        with self._parts.lag_meter.installed():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._parts.recorder.run)
                try:
                    await self._check_until(stop, ready)
                finally:
                    self._parts.recorder.close()

    def interrupt_probes(self) -> None:
        """Cancel the probes that the stop waits for."""
        self._probes.cancel()

    async def _check_until(self, stop: trio.Event, ready: Callable[[], None]) -> None:
        with self._probes:
            async with trio.open_nursery() as probes:
                leaving = trio.Event()
                async with trio.open_nursery() as loop:
                    loop.start_soon(self._check, probes, leaving, ready)
                    await stop.wait()
                    loop.cancel_scope.cancel()
                self._metrics.stopping = True
                leaving.set()
                log.info("stopping: waiting for %d probes", self._metrics.in_flight)
                self._probes.deadline = trio.current_time() + self._limits.grace_seconds
        if self._metrics.not_made:
            log.warning("%d checks were interrupted and are not recorded", self._metrics.not_made)

    async def _check(
        self, probes: trio.Nursery, leaving: trio.Event, ready: Callable[[], None]
    ) -> None:
        """Read all monitors, then check them and follow their changes at the same time."""
        parts = self._parts
        await parts.feed.read_to_head()
        # The claims outlive this task: shards are released after their running checks.
        await probes.start(
            parts.claims.keep, parts.shard_monitors, parts.heartbeat.measure, leaving
        )
        ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parts.missed_checks.run)
            nursery.start_soon(parts.logins_elsewhere.run)
            nursery.start_soon(parts.dispatcher.run, probes)
            nursery.start_soon(follow_clock, parts.schedule, self._clock)
            await parts.feed.follow()


async def _stop_on_signals(
    stop: trio.Event,
    checker: _Checker,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if stop.is_set():
                checker.interrupt_probes()
            else:
                log.info("%s: finishing what is running", signal.Signals(number).name)
                stop.set()
