"""The dispatcher: begins due checks at a steady pace, with few at a time against one server.

Knows the schedule and the runner of checks; knows no log, no sockets and no secrets.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import trio

from checker.loop.address_limiter import (
    AddressLimiter,
    CheckPlaces,
    Claimant,
    Released,
    SocketBudget,
)
from checker.loop.check_hints import CheckHints
from checker.loop.siblings import Siblings, is_failure
from mail.guard import AddressBusyError
from mail.net.addresses import unmapped
from mail.net.errors import exhaustion

if TYPE_CHECKING:
    from uuid import UUID

    from checker.loop.check import CheckRunner, ResultSink
    from checker.loop.monitor_registry import ScheduledMonitor
    from checker.runtime.limits import Limits
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.grid import Due
    from checker.schedule.schedule import Schedule
    from domain.check import Outcome


log = logging.getLogger("postwatch.checker")

QUIET_SECONDS: Final = 10.0
"""A repeated log line is left out for so long."""

EXHAUSTED_PAUSE_SECONDS: Final = 1.0
"""How long no check begins after the process ran out of sockets or memory."""

MAX_ATTEMPTS: Final = 3
"""How often a check is repeated because it could not try all addresses of its name."""


class FindMonitor(Protocol):
    """Finds monitors."""

    def __call__(self, monitor_id: UUID, *, even_disabled: bool = False) -> ScheduledMonitor | None:
        """Return the current version of a monitor, None when this checker must not check it.

        `even_disabled`: a disabled monitor is returned, too.
        """


class WaitingCheck(NamedTuple):
    """A due check. `attempts` counts how often it began and found no free place."""

    due: Due
    attempts: int = 0


class AdmittedCheck(NamedTuple):
    """A check that may begin. With an `address` it has a place there."""

    check: WaitingCheck
    claimant: Claimant
    address: str | None
    was_held_back: bool


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
        self._addresses: AddressLimiter[WaitingCheck] = AddressLimiter(limits.per_destination)
        self._sockets = SocketBudget(limits.open_sockets)
        self._hints = CheckHints()
        self._siblings = Siblings(schedule)
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
            monitor = self._find_due(due)
            if monitor is None:
                self._schedule.finish(due.monitor_id, now)
                continue
            admitted = self._admit(monitor, WaitingCheck(due))
            if admitted is not None:
                begun.append(admitted)
        self._sockets.used += len(begun)
        self._metrics.in_flight += len(begun)
        for each in begun:
            probes.start_soon(self._check, each)
        return bool(begun)

    def _admit(self, monitor: ScheduledMonitor, check: WaitingCheck) -> AdmittedCheck | None:
        """Admit a check, or let it wait for a place at its address and return None."""
        claimant = self._hints.claimant(monitor)
        address = self._hints.address_of(monitor.hostname)
        if address is None or self._addresses.request(address, claimant, check):
            return AdmittedCheck(check, claimant, address, was_held_back=False)
        self._metrics.waiting += 1
        return None

    def _release(self, released: list[Released[WaitingCheck]]) -> None:
        """Let checks begin that waited for a place."""
        self._metrics.waiting -= len(released)
        self._admitted.extend(
            AdmittedCheck(each.waiting, each.claimant, each.address, was_held_back=True)
            for each in released
        )
        self._wake_up.wake()

    def _allowance(self, now: float) -> int:
        if now < self._exhausted_until or not self._results.has_room:
            return 0
        return min(self._sockets.free, self._limits.starts_per_tick)

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
        due = admitted.check.due
        places = CheckPlaces(
            self._addresses,
            admitted.claimant,
            admitted.address,
            sockets=self._sockets,
            on_release=self._release,
        )
        busy: str | None = None
        outcome: Outcome | None = None
        try:
            # The monitor may have changed, or gone, while the check waited for its host.
            monitor = self._find_due(due)
            if monitor is not None:
                outcome = await self._runner.run(
                    monitor,
                    due,
                    places,
                    was_held_back=admitted.was_held_back,
                    may_repeat=admitted.check.attempts < MAX_ATTEMPTS,
                )
                self._hints.learn(monitor, outcome, len(self._schedule))
        except AddressBusyError as error:
            busy = str(unmapped(error.address))
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
            self._sockets.used -= 1
            places.close()
            if busy is None:
                self._finish(due, outcome)
            else:
                self._wait(admitted, busy)
            if self._next_start() < self._wake_up.deadline:
                self._wake_up.wake()

    def _find_due(self, due: Due) -> ScheduledMonitor | None:
        is_once = self._schedule.is_once(due.monitor_id)
        return self._find(due.monitor_id, even_disabled=is_once)

    def _finish(self, due: Due, outcome: Outcome | None) -> None:
        """Plan the next check; hasten those of the same address when it begins to fail."""
        now = trio.current_time()
        failed = None if outcome is None else is_failure(outcome)
        begins_to_fail = self._schedule.finish(due.monitor_id, now, failed=failed)
        if outcome is not None:
            self._siblings.note(due, outcome, now, begins_to_fail=begins_to_fail)

    def forget(self, monitor_id: UUID) -> None:
        """Drop what is known of a monitor that changed or is not checked any more."""
        self._siblings.forget(monitor_id)

    def _wait(self, admitted: AdmittedCheck, address: str) -> None:
        """Let a check that found no free place wait at the address that it wants."""
        check = WaitingCheck(admitted.check.due, admitted.check.attempts + 1)
        if self._addresses.request(address, admitted.claimant, check):
            begun = AdmittedCheck(check, admitted.claimant, address, was_held_back=True)
            self._admitted.append(begun)
        else:
            self._metrics.waiting += 1

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
