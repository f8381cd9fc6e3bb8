"""A checker in virtual time: no store, no threads; a clock that jumps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import trio

from checker.fleet.claims import AllShards, Claims
from checker.fleet.shard_monitors import ShardMonitors
from checker.loop.check import Ports
from checker.loop.dispatcher import Dispatcher
from checker.loop.event_feed import Batch, EventFeed
from checker.loop.login_backoff import LoginBackoff
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
from store.ports.leases import Heartbeat
from tests.checker.monitors import HERE, ME, MONITOR_ID, NOW, UP, command, ids

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from uuid import UUID

    from trio.testing import MockClock

    from domain.check import CheckPerformed, Outcome
    from domain.checks import PerformedCheck
    from domain.kinds import Config
    from mail.protocols.target import ProbeTarget


class Results:
    """Keeps what was found, and says that it is full when the test wants it."""

    def __init__(self) -> None:
        self.checks: list[PerformedCheck] = []
        self.has_room = True

    @property
    def taken(self) -> int:
        return len(self.checks)

    @property
    def written(self) -> int:
        return len(self.checks)

    def put(self, check: PerformedCheck) -> None:
        self.checks.append(check)

    def dues_of(self, monitor: Monitor) -> list[datetime]:
        return [
            datetime.fromisoformat(check.due_at)
            for check in self.checks
            if check.monitor_id == monitor.id
        ]


class VirtualChecker:
    """The parts from the feed's channel to the results."""

    def __init__(
        self,
        clock: MockClock,
        probe: Callable[[ProbeTarget], Awaitable[Outcome]] | None = None,
        limits: Limits | None = None,
        *,
        results: Results | None = None,
        began: float | None = None,
        claims: Claims | None = None,
    ) -> None:
        """Make one. After a restart `began` is that of the first one: the wall clock goes on."""
        self._clock = clock
        self._claims = claims or AllShards()
        self._looks_for_arrears = claims is not None
        self.began = clock.current_time() if began is None else began
        self.status = CheckerMetrics()
        self.results = Results() if results is None else results
        self.schedule = Schedule(origin=self.began - NOW.timestamp())
        self.registry = MonitorRegistry(HERE)
        self.dispatcher = Dispatcher(
            self.schedule,
            Ports(self.find, aim_at, probe or answer, self.results, self.wall),
            limits=limits or Limits(),
            lag_meter=LoopLagMeter(),
            status=self.status,
        )
        self._intake = EventFeed(
            self.registry,
            self.schedule,
            self.status,
            self.find,
            lambda _: self.dispatcher.nudge(),
        )
        self.missed_checks = MissedChecks(
            self._last_of, self.schedule, LoginBackoff(), self.dispatcher.nudge
        )
        self.shard_monitors = ShardMonitors(
            Heartbeat("here:1", HERE.country),
            *(self.registry, self.schedule, self.missed_checks, self.results),
            status=self.status,
            find=self.find,
            wall=self.wall,
            absent_since=self._get_absent_since,
            on_change=self.dispatcher.nudge,
        )
        self._absent_since: float | None = self.began
        self.leaving = trio.Event()
        self._send, self._receive = trio.open_memory_channel[Batch](100)
        self._position = 0

    def find(self, monitor_id: UUID) -> ScheduledMonitor | None:
        """Return a monitor that is ours."""
        return self.registry.watched(monitor_id) if self._claims.holds(monitor_id) else None

    def wall(self) -> datetime:
        """Return the virtual wall clock."""
        return NOW + timedelta(seconds=self._clock.current_time() - self.began)

    async def run(
        self,
        absent_since: float | None = None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Check until cancelled. After a restart nobody checked since `absent_since`."""
        self._absent_since = self.began if absent_since is None else absent_since
        await self._intake.read_up(self._receive)
        async with trio.open_nursery() as nursery:
            if self._looks_for_arrears:
                self.shard_monitors.look_in(nursery)
            await nursery.start(self._claims.keep, self.shard_monitors, self.leaving)
            nursery.start_soon(self.dispatcher.run, nursery)
            nursery.start_soon(self._intake.follow, self._receive)
            task_status.started()

    async def _get_absent_since(self) -> float | None:
        return self._absent_since

    async def _last_of(self, monitor_ids: Sequence[UUID]) -> Mapping[UUID, CheckPerformed]:
        raise AssertionError(monitor_ids)  # nobody looks in a log that is not there

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
        self._send.send_nowait(Batch(logged, self._position, at_head=True))


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


async def aim_at(monitor: ScheduledMonitor) -> ProbeTarget | Outcome:
    """Aim without threads: these monitors have no sealed secrets."""
    return build_target(monitor, in_clear)


def in_clear(monitor_id: UUID, kind: str, config: Config) -> Config:
    """Return a config whose secret nobody has sealed."""
    del monitor_id, kind
    return config


def no_secrets(monitor_id: UUID, kind: str, config: Config) -> Config:
    """Fail: there is nothing to unseal."""
    raise AssertionError(monitor_id, kind, config)


async def answer(target: ProbeTarget) -> Outcome:
    """Take a while, a different one for each server."""
    await trio.sleep(len(target.hostname) % 7 / 10)
    return UP
