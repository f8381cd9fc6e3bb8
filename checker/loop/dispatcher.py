"""The heart of the checker: begins due checks at a steady pace, politely, while it can.

Knows the schedule and what a contact needs; no log, no sockets and no secrets.

Politeness: no more than a few checks go to one server at a time.

Pure: knows neither time nor tasks. A place is an address; as a name is resolved only inside
a check, it is the address that the name led to last, and before that the name itself.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from checker.loop.check import CheckRunner
from mail.net.errors import exhaustion

if TYPE_CHECKING:
    from checker.loop.check import Ports
    from checker.loop.monitor_registry import ScheduledMonitor
    from checker.runtime.limits import Limits
    from checker.runtime.loop_lag import LoopLagMeter
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.grid import Due
    from checker.schedule.schedule import Schedule


class Admitted(NamedTuple):
    """A check that may begin: its place is taken until it leaves it."""

    due: Due
    place: str
    was_held: bool


class HostLimiter:
    """Who is at which place, and who waits for it, in turn."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._addresses: dict[str, str] = {}
        self._busy: dict[str, int] = {}
        self._queues: dict[str, deque[Due]] = {}

    def enter(self, due: Due, hostname: str) -> Admitted | None:
        """Take a place, or wait for it when there is none: `leave` brings it up again then."""
        place = self._addresses.get(hostname, hostname)
        busy = self._busy.get(place, 0)
        if busy < self._limit:
            self._busy[place] = busy + 1
            return Admitted(due, place, was_held=False)
        self._queues.setdefault(place, deque()).append(due)
        return None

    def leave(self, place: str) -> Admitted | None:
        """Give a place back; return who has waited for it longest and has it now."""
        queue = self._queues.get(place)
        if queue:
            due = queue.popleft()
            if not queue:
                del self._queues[place]
            return Admitted(due, place, was_held=True)
        self._busy[place] -= 1
        if not self._busy[place]:
            del self._busy[place]
        return None

    def learn(self, hostname: str, address: str | None) -> None:
        """Remember where a name leads to."""
        if address is not None and address != hostname:
            self._addresses[hostname] = address


log = logging.getLogger("postwatch.checker")

SILENCE_SECONDS: Final = 10.0

EXHAUSTED_PAUSE_SECONDS: Final = 1.0
"""How long nothing begins after the process ran out of sockets or memory."""


class Dispatcher:
    """The checks of one process. Begins them in a nursery that its caller drains."""

    def __init__(
        self,
        schedule: Schedule,
        ports: Ports,
        *,
        limits: Limits,
        lag_meter: LoopLagMeter,
        status: CheckerMetrics,
    ) -> None:
        self._schedule = schedule
        self._ports = ports
        self._limits = limits
        self._lag_meter = lag_meter
        self._metrics = status
        self._contact = CheckRunner(ports, lag_meter=lag_meter, status=status)
        self._destinations = HostLimiter(limits.per_destination)
        self._admitted: deque[Admitted] = deque()
        self._nap = trio.CancelScope()
        self._silent_until = float("-inf")
        self._exhausted_until = float("-inf")
        self._exhaustion_told_until = float("-inf")

    async def run(self, probes: trio.Nursery) -> None:
        """Begin what is due, for ever: a handful, then nothing until the next tick.

        A tick also gathers what is due a moment later, which saves wake-ups.
        """
        tick = 0.0
        while True:
            await trio.sleep_until(tick)
            now = trio.current_time()
            begun = self._begin(probes, now)
            if begun:
                tick = now + self._limits.tick_seconds
            self._tell_skipped(now)
            await self._doze(tick)

    def nudge(self) -> None:
        """Look at the schedule again: it changed, or there is room again."""
        self._nap.cancel()

    def _begin(self, probes: trio.Nursery, now: float) -> int:
        """Begin as much as is due and allowed; return how much that is."""
        allowance = self._allowance(now)
        if allowance <= 0:
            return 0
        # Whoever waited for its turn at a server comes before those that are due now.
        begun = [self._admitted.popleft() for _ in range(min(allowance, len(self._admitted)))]
        for due in self._schedule.take(now, allowance - len(begun)):
            admitted = self._admit(due, now)
            if admitted is not None:
                begun.append(admitted)
        for each in begun:
            self._metrics.in_flight += 1
            probes.start_soon(self._check, each)
        return len(begun)

    def _admit(self, due: Due, now: float) -> Admitted | None:
        monitor = self._ports.find(due.monitor_id)
        if monitor is None:
            self._schedule.done(due.monitor_id, now)
            return None
        admitted = self._destinations.enter(due, monitor.hostname)
        self._metrics.waiting += admitted is None
        return admitted

    def _allowance(self, now: float) -> int:
        if now < self._exhausted_until or not self._ports.results.has_room:
            return 0
        free = self._limits.open_sockets - self._metrics.in_flight
        return min(free, self._limits.starts_per_tick)

    def _next_start(self) -> float:
        """Return when there is something to begin, as far as can be foreseen."""
        if self._allowance(self._exhausted_until) <= 0:
            return float("inf")
        due = float("-inf") if self._admitted else self._schedule.next_due()
        return float("inf") if due is None else max(due, self._exhausted_until)

    async def _doze(self, tick: float) -> None:
        """Sleep until something is due, but not before `tick`, or until `nudge` wakes us."""
        deadline = max(self._next_start(), tick)
        with trio.CancelScope(deadline=deadline) as self._nap:
            await trio.sleep_forever()

    def _tell_skipped(self, now: float) -> None:
        """Say that due times were skipped, but not with each of them."""
        self._metrics.worst_loop_lag = self._lag_meter.worst
        self._metrics.overrun = self._schedule.overrun
        skipped = self._schedule.skipped - self._metrics.skipped
        if skipped and now >= self._silent_until:
            self._silent_until = now + SILENCE_SECONDS
            self._metrics.skipped += skipped
            log.warning("%d checks were due and could not begin in time: skipped", skipped)

    async def _check(self, admitted: Admitted) -> None:
        monitor_id = admitted.due.monitor_id
        try:
            # It may have changed, or gone, while it waited for its turn.
            monitor = self._ports.find(monitor_id)
            if monitor is not None:
                await self._make(monitor, admitted)
        except trio.Cancelled:
            self._metrics.not_made += 1
            raise
        finally:
            self._metrics.in_flight -= 1
            self._schedule.done(monitor_id, trio.current_time())
            self._leave(admitted.place)
            if self._next_start() < self._nap.deadline:
                self.nudge()

    async def _make(self, monitor: ScheduledMonitor, admitted: Admitted) -> None:
        try:
            outcome = await self._contact.make(monitor, admitted.due, was_held=admitted.was_held)
        except (OSError, ExceptionGroup) as error:
            lack = exhaustion(error)
            if lack is None:
                raise
            self._pause(admitted.due, lack)
        else:
            self._destinations.learn(monitor.hostname, outcome.address)

    def _leave(self, place: str) -> None:
        next_one = self._destinations.leave(place)
        if next_one is not None:
            self._metrics.waiting -= 1
            self._admitted.append(next_one)

    def _pause(self, due: Due, lack: OSError) -> None:
        """Begin nothing for a moment: it says nothing of a server that we cannot ask it.

        The check is not recorded. It is made again after the pause.
        """
        now = trio.current_time()
        self._metrics.exhausted += 1
        self._schedule.again(due)
        self._exhausted_until = now + EXHAUSTED_PAUSE_SECONDS
        if now >= self._exhaustion_told_until:
            log.error(
                "checks pause, because this process lacks what a connection needs: %s; "
                "%d checks are under way",
                *(lack.strerror or lack, self._metrics.in_flight),
            )
        self._exhaustion_told_until = now + SILENCE_SECONDS
