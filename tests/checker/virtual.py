"""A checker in virtual time: no store, no threads; a clock that jumps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import trio

from checker.fleet.claims import AllShards, Claims
from checker.fleet.heartbeat import HeartbeatMeter
from checker.fleet.shard_monitors import ShardMonitors
from checker.loop.check import CheckRunner
from checker.loop.dispatcher import Dispatcher, WakeUp
from checker.loop.event_feed import Batch, EventFeed
from checker.loop.login_backoff import LoginBackoff
from checker.loop.logins_elsewhere import LoginsElsewhere
from checker.loop.missed_checks import MissedChecks
from checker.loop.monitor_registry import MonitorRegistry, ScheduledMonitor
from checker.loop.target_builder import build_target
from checker.runtime.limits import Limits
from checker.runtime.loop_lag import LoopLagMeter
from checker.runtime.metrics import CheckerMetrics
from checker.schedule.grid import unit_fraction
from checker.schedule.schedule import Schedule
from domain.monitor import Monitor
from store.log_reader import LoggedEvent
from tests.checker.monitors import HERE, ME, MONITOR_ID, NOW, UP, command, ids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from trio.testing import MockClock

    from checker.loop.check import Probe
    from domain.check import CheckPerformed, Outcome
    from domain.checks import PerformedCheck
    from domain.kinds import Config
    from mail.guard import ProbeGuard
    from mail.protocols.target import ProbeTarget


class Results:
    """Keeps what was found, and says that it is full when the test wants it."""

    def __init__(self) -> None:
        self.checks: list[PerformedCheck] = []
        self.has_room = True

    @property
    def received(self) -> int:
        return len(self.checks)

    @property
    def processed(self) -> int:
        return len(self.checks)

    def put(self, check: PerformedCheck) -> None:
        self.checks.append(check)

    def dues_of(self, monitor: Monitor) -> list[datetime]:
        return [
            datetime.fromisoformat(check.due_at)
            for check in self.checks
            if check.monitor_id == monitor.id
        ]


class FedBatches:
    """Batches of events that a test feeds."""

    def __init__(self) -> None:
        self.send, self._receive = trio.open_memory_channel[Batch](100)

    async def next_batch(self) -> Batch:
        return await self._receive.receive()


class VirtualChecker:
    """The parts from the feed's channel to the results."""

    def __init__(
        self,
        clock: MockClock,
        probe: Probe | None = None,
        limits: Limits | None = None,
        *,
        results: Results | None = None,
        began: float | None = None,
        claims: Claims | None = None,
    ) -> None:
        """Make one. After a restart `began` is that of the first one: the wall clock goes on."""
        self._clock = clock
        self._is_shared = claims is not None
        self._claims = claims or AllShards(self._get_absent_since)
        self.began = clock.current_time() if began is None else began
        self.metrics = CheckerMetrics()
        self.results = Results() if results is None else results
        self.schedule = Schedule(origin=self.began - NOW.timestamp())
        self.registry = MonitorRegistry(HERE)
        self.wake_up = WakeUp()
        login_backoff = LoginBackoff()
        runner = CheckRunner(
            build_in_clear,
            probe or answer,
            self.results,
            login_backoff=login_backoff,
            lag_meter=LoopLagMeter(),
            metrics=self.metrics,
            clock=self.wall,
        )
        self.dispatcher = Dispatcher(
            self.schedule,
            self.find,
            runner,
            results=self.results,
            wake_up=self.wake_up,
            limits=limits or Limits(),
            metrics=self.metrics,
        )
        self._source = FedBatches()
        self._feed = EventFeed(
            self._source,
            self.registry,
            self.schedule,
            find=self.find,
            metrics=self.metrics,
            on_change=self._forget,
            on_login_retry=login_backoff.retry,
            wake=self.wake_up.wake,
        )
        self._missed_checks = MissedChecks(
            self._read_last_checks,
            self.schedule,
            self.results,
            find=self.find,
            last_request=self.registry.last_request,
            login_backoff=login_backoff,
            clock=self.wall,
            wake=self.wake_up.wake,
        )
        self._logins_elsewhere = LoginsElsewhere(
            login_backoff,
            self.registry,
            self._read_last_checks,
            holds=self._claims.holds,
            clock=self.wall,
        )
        self._shard_monitors = ShardMonitors(
            self.registry,
            self.schedule,
            self.results,
            self._missed_checks,
            metrics=self.metrics,
            clock=self.wall,
            wake=self.wake_up.wake,
        )
        self._heartbeat = HeartbeatMeter("here:1", HERE.country, self.schedule, self.metrics)
        self._absent_since: float | None = self.began
        self.leaving = trio.Event()
        self._position = 0

    def _forget(self, monitor_id: UUID) -> None:
        self.dispatcher.forget(monitor_id)
        self.wake_up.wake()

    def find(self, monitor_id: UUID, *, even_disabled: bool = False) -> ScheduledMonitor | None:
        """Return a monitor that is ours."""
        if not self._claims.holds(monitor_id):
            return None
        return self.registry.find(monitor_id, even_disabled=even_disabled)

    def wall(self) -> datetime:
        """Return the virtual wall clock."""
        return NOW + timedelta(seconds=self._clock.current_time() - self.began)

    async def run(
        self,
        absent_since: float | None = None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Check until cancelled. After a restart no checker ran since `absent_since`."""
        self._absent_since = self.began if absent_since is None else absent_since
        await self._feed.read_to_head()
        async with trio.open_nursery() as nursery:
            await nursery.start(
                self._claims.keep, self._shard_monitors, self._heartbeat.measure, self.leaving
            )
            if self._is_shared:
                nursery.start_soon(self._missed_checks.run)
                nursery.start_soon(self._logins_elsewhere.run)
            nursery.start_soon(self.dispatcher.run, nursery)
            nursery.start_soon(self._feed.follow)
            task_status.started()

    async def _get_absent_since(self) -> float | None:
        return self._absent_since

    async def _read_last_checks(self, monitor_ids: Sequence[UUID]) -> Mapping[UUID, CheckPerformed]:
        raise AssertionError(monitor_ids)  # there is no log to read

    def feed(self, *monitors: Monitor) -> None:
        """Bring the new events of monitors to the checker."""
        self.feed_events([event for each in monitors for event in each.collect_events()])

    def feed_events(self, events: Sequence[Any]) -> None:
        """Bring events to the checker."""
        logged = [
            LoggedEvent(position, event)
            for position, event in enumerate(events, start=self._position + 1)
        ]
        self._position += len(logged)
        self._source.send.send_nowait(Batch(logged, self._position, at_head=True))


def new_monitor(
    monitor_id: UUID = MONITOR_ID,
    now: datetime = NOW,
    **fields: Any,  # noqa: ANN401 - any field of the command
) -> Monitor:
    """Return a monitor whose first event is still to be fed; its id says when it is due."""
    made = command(**fields)
    return Monitor.create(1, made, monitor_id=monitor_id, config=made.config, actor=ME, now=now)


def resting_monitors(*hostnames: str) -> list[Monitor]:
    """Return monitors that are checked when they are fed, and then not again for half a day."""
    # The phase of the day at which NOW is, and the hours before it.
    return [
        new_monitor(monitor_id, hostname=hostname, check_interval=1440)
        for monitor_id, hostname in zip(ids(len(hostnames), 0.25, 0.5), hostnames, strict=True)
    ]


def change(monitor: Monitor, now: datetime, **changes: Any) -> Monitor:  # noqa: ANN401 - any field
    """Change a monitor; the event is still to be fed."""
    monitor.update(changes, actor=ME, now=now)
    return monitor


def grid(monitor: Monitor, seconds: float, begin: datetime, end: datetime) -> list[datetime]:
    """Return every time from `begin` to `end` at which a monitor is due, by definition."""
    phase = unit_fraction(monitor.id) * seconds
    step = (begin.timestamp() - phase) // seconds + 1
    times = []
    while (moment := step * seconds + phase) <= end.timestamp():
        times.append(datetime.fromtimestamp(moment, tz=begin.tzinfo))
        step += 1
    return times


async def build_in_clear(monitor: ScheduledMonitor) -> ProbeTarget | Outcome:
    """Build a target without threads: these monitors have no sealed secrets."""
    return build_target(monitor, monitor.config)


def no_secrets(monitor_id: UUID, kind: str, config: Config) -> Config:
    """Fail: there is nothing to unseal."""
    raise AssertionError(monitor_id, kind, config)


async def answer(target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
    """Take a while, a different one for each server."""
    await trio.sleep(len(target.hostname) % 7 / 10)
    return UP
