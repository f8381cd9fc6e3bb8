"""The dispatcher: begins due checks at a steady pace, with few at a time against one server.

Knows the schedule and the runner of checks; knows no log, no sockets and no secrets.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

import trio

from checker.loop.monitor_registry import ScheduledMonitor
from mail.net.errors import exhaustion

if TYPE_CHECKING:
    from checker.loop.check import CheckRunner, ResultSink
    from checker.runtime.limits import Limits
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.grid import Due
    from checker.schedule.schedule import Schedule


log = logging.getLogger("postwatch.checker")

QUIET_SECONDS: Final = 10.0
"""A repeated log line is left out for so long."""

EXHAUSTED_PAUSE_SECONDS: Final = 1.0
"""How long no check begins after the process ran out of sockets or memory."""

FindMonitor = Callable[[UUID], ScheduledMonitor | None]
"""Returns the current version of a monitor, None when this checker must not check it."""


class AdmittedCheck(NamedTuple):
    """A check that may begin. It occupies one place at its host until `HostLimiter.release`."""

    due: Due
    host: str
    was_held_back: bool


class HostLimiter:
    """Limits how many checks run against one host at a time; the others wait in order.

    A host is an address. Names are resolved only inside a check, so the host of a name is the
    address of its last check, and before the first one the name itself.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._addresses: dict[str, str] = {}
        self._running: dict[str, int] = {}
        self._queues: dict[str, deque[Due]] = {}

    def acquire(self, due: Due, hostname: str) -> AdmittedCheck | None:
        """Admit a check, or queue it and return None: then a later `release` admits it."""
        host = self._addresses.get(hostname, hostname)
        running = self._running.get(host, 0)
        if running < self._limit:
            self._running[host] = running + 1
            return AdmittedCheck(due, host, was_held_back=False)
        self._queues.setdefault(host, deque()).append(due)
        return None

    def release(self, host: str) -> AdmittedCheck | None:
        """End a check; return the one that waited longest and may begin now, if any."""
        queue = self._queues.get(host)
        if queue:
            due = queue.popleft()
            if not queue:
                del self._queues[host]
            return AdmittedCheck(due, host, was_held_back=True)
        self._running[host] -= 1
        if not self._running[host]:
            del self._running[host]
        return None

    def learn(self, hostname: str, address: str | None) -> None:
        """Remember the address that a name led to."""
        if address is not None and address != hostname:
            self._addresses[hostname] = address


class WakeUp:
    """A sleep that other parts can end early. One task sleeps; any part may wake it."""

    def __init__(self) -> None:
        self._sleep = trio.CancelScope()

    @property
    def deadline(self) -> float:
        """When the current sleep ends by itself, in monotonic time."""
        return self._sleep.deadline

    def wake(self) -> None:
        """End the current sleep."""
        self._sleep.cancel()

    async def sleep_until(self, deadline: float) -> None:
        """Sleep until a monotonic time or `wake`."""
        with trio.CancelScope(deadline=deadline) as self._sleep:
            await trio.sleep_forever()


class Dispatcher:
    """Begins the checks of one process, each as a task in a nursery of its caller."""

    def __init__(
        self,
        schedule: Schedule,
        find: FindMonitor,
        runner: CheckRunner,
        *,
        results: ResultSink,
        wake_up: WakeUp,
        limits: Limits,
        metrics: CheckerMetrics,
    ) -> None:
        self._schedule = schedule
        self._find = find
        self._runner = runner
        self._results = results
        self._wake_up = wake_up
        self._limits = limits
        self._metrics = metrics
        self._hosts = HostLimiter(limits.per_destination)
        self._admitted: deque[AdmittedCheck] = deque()
        self._exhausted_until = float("-inf")
        self._next_skipped_line = float("-inf")
        self._next_exhausted_line = float("-inf")

    async def run(self, probes: trio.Nursery) -> None:
        """Begin due checks until cancelled: a few at a tick, then none until the next tick.

        A tick also collects what becomes due a moment later, which saves wake-ups.
        """
        tick = 0.0
        while True:
            await trio.sleep_until(tick)
            now = trio.current_time()
            if self._begin(probes, now):
                tick = now + self._limits.tick_seconds
            self._report_missed(now)
            await self._wake_up.sleep_until(max(self._next_start(), tick))

    def _begin(self, probes: trio.Nursery, now: float) -> bool:
        """Begin as many due checks as the limits allow; return whether any began."""
        allowance = self._allowance(now)
        if allowance <= 0:
            return False
        # Checks that waited for their host come before those that become due now.
        begun = [self._admitted.popleft() for _ in range(min(allowance, len(self._admitted)))]
        for due in self._schedule.take(now, allowance - len(begun)):
            monitor = self._find(due.monitor_id)
            if monitor is None:
                self._schedule.finish(due.monitor_id, now)
                continue
            admitted = self._hosts.acquire(due, monitor.hostname)
            if admitted is None:
                self._metrics.waiting += 1
            else:
                begun.append(admitted)
        self._metrics.in_flight += len(begun)
        for each in begun:
            probes.start_soon(self._check, each)
        return bool(begun)

    def _allowance(self, now: float) -> int:
        if now < self._exhausted_until or not self._results.has_room:
            return 0
        free = self._limits.open_sockets - self._metrics.in_flight
        return min(free, self._limits.starts_per_tick)

    def _next_start(self) -> float:
        """Return the next time at which a check can begin, as far as it is known now."""
        if self._allowance(self._exhausted_until) <= 0:
            return float("inf")
        due = float("-inf") if self._admitted else self._schedule.next_due()
        return float("inf") if due is None else max(due, self._exhausted_until)

    def _report_missed(self, now: float) -> None:
        """Count missed due times; log the skipped ones, but not each time."""
        self._metrics.overrun = self._schedule.overrun
        skipped = self._schedule.skipped - self._metrics.skipped
        if skipped and now >= self._next_skipped_line:
            self._next_skipped_line = now + QUIET_SECONDS
            self._metrics.skipped += skipped
            log.warning("%d checks were due and could not begin in time: skipped", skipped)

    async def _check(self, admitted: AdmittedCheck) -> None:
        due = admitted.due
        try:
            # The monitor may have changed, or gone, while the check waited for its host.
            monitor = self._find(due.monitor_id)
            if monitor is not None:
                outcome = await self._runner.run(monitor, due, was_held_back=admitted.was_held_back)
                self._hosts.learn(monitor.hostname, outcome.address)
        except trio.Cancelled:
            self._metrics.not_made += 1
            raise
        except (OSError, ExceptionGroup) as error:
            lack = exhaustion(error)
            if lack is None:
                raise
            self._pause(due, lack)
        finally:
            self._metrics.in_flight -= 1
            self._schedule.finish(due.monitor_id, trio.current_time())
            waiting = self._hosts.release(admitted.host)
            if waiting is not None:
                self._metrics.waiting -= 1
                self._admitted.append(waiting)
            if self._next_start() < self._wake_up.deadline:
                self._wake_up.wake()

    def _pause(self, due: Due, lack: OSError) -> None:
        """Begin no checks for a moment, then repeat this one; record nothing.

        A connection that this process cannot open says nothing about the server.
        """
        now = trio.current_time()
        self._metrics.exhausted += 1
        self._schedule.repeat(due)
        self._exhausted_until = now + EXHAUSTED_PAUSE_SECONDS
        if now >= self._next_exhausted_line:
            log.error(
                "checks pause, because this process lacks what a connection needs: %s; "
                "%d checks are under way",
                lack.strerror or lack,
                self._metrics.in_flight,
            )
        self._next_exhausted_line = now + QUIET_SECONDS
