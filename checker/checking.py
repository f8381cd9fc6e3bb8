"""The heart of the checker: begins due checks at a steady pace and hands on what they find.

Knows the schedule and three ports: what to probe, how, and where results go. Knows no
log, no sockets and no secrets. Monotonic time decides, wall time is recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import trio

from checker.configuration import WatchedMonitor
from checker.target import ProbeTarget
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from domain.outcome import Finding, Outcome

if TYPE_CHECKING:
    from checker.limits import Limits
    from checker.pulse import Pulse
    from checker.schedule import Schedule
    from checker.status import Status
    from domain.clock import Clock

log = logging.getLogger("postwatch.checker")

SILENCE_SECONDS: Final = 10.0

Find = Callable[[UUID], WatchedMonitor | None]
"""Returns the current version of a monitor, None when it is not to be checked."""

Aim = Callable[[WatchedMonitor], Awaitable[ProbeTarget | Outcome]]
"""Returns what to probe, or the outcome when a probe cannot even begin."""

Probe = Callable[[ProbeTarget], Awaitable[Outcome]]
"""Contacts a server and judges it. Whatever the server does is an outcome."""


class Results(Protocol):
    """Where finished checks go."""

    @property
    def has_room(self) -> bool:
        """Whether more probes may begin."""

    def put(self, check: PerformedCheck) -> None:
        """Take a check over, at once."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What a checker works with."""

    find: Find
    aim: Aim
    probe: Probe
    results: Results
    wall: Clock


class Checking:
    """The checks of one process. Begins them in a nursery that its caller drains."""

    def __init__(
        self, schedule: Schedule, ports: Ports, *, limits: Limits, pulse: Pulse, status: Status
    ) -> None:
        self._schedule = schedule
        self._ports = ports
        self._limits = limits
        self._pulse = pulse
        self._status = status
        self._nap = trio.CancelScope()
        self._silent_until = float("-inf")

    async def keep_time(self, probes: trio.Nursery) -> None:
        """Begin what is due, for ever: a handful, then nothing until the next tick.

        A tick also gathers what is due a moment later, which saves wake-ups.
        """
        tick = 0.0
        while True:
            await trio.sleep_until(tick)
            now = trio.current_time()
            taken = self._schedule.take(now, self._allowance())
            for monitor_id, due in taken:
                self._status.in_flight += 1
                probes.start_soon(self._check, monitor_id, due)
            if taken:
                tick = now + self._limits.tick_seconds
            self._tell_skipped(now)
            await self._doze(tick)

    def nudge(self) -> None:
        """Look at the schedule again: it changed, or there is room again."""
        self._nap.cancel()

    def _allowance(self) -> int:
        if not self._ports.results.has_room:
            return 0
        free = self._limits.open_sockets - self._status.in_flight
        return min(free, self._limits.starts_per_tick)

    async def _doze(self, tick: float) -> None:
        """Sleep until something is due, but not before `tick`, or until `nudge` wakes us."""
        due = self._schedule.next_due() if self._allowance() else None
        deadline = float("inf") if due is None else max(due, tick)
        with trio.CancelScope(deadline=deadline) as self._nap:
            await trio.sleep_forever()

    def _tell_skipped(self, now: float) -> None:
        """Say that due times were skipped, but not with each of them."""
        self._status.worst_loop_lag = self._pulse.worst
        self._status.overrun = self._schedule.overrun
        skipped = self._schedule.skipped - self._status.skipped
        if skipped and now >= self._silent_until:
            self._silent_until = now + SILENCE_SECONDS
            self._status.skipped += skipped
            log.warning("%d checks were due and could not begin in time: skipped", skipped)

    async def _check(self, monitor_id: UUID, due: float) -> None:
        try:
            monitor = self._ports.find(monitor_id)
            if monitor is not None:
                await self._contact(monitor, due)
        except trio.Cancelled:
            self._status.not_made += 1
            raise
        finally:
            self._status.in_flight -= 1
            self._schedule.done(monitor_id, trio.current_time())
            if self._is_oversleeping():
                self.nudge()

    def _is_oversleeping(self) -> bool:
        """Return whether keep_time sleeps longer than the schedule now has it."""
        due = self._schedule.next_due()
        return due is not None and due < self._nap.deadline

    async def _contact(self, monitor: WatchedMonitor, due: float) -> None:
        target = await self._ports.aim(monitor)
        began, started = trio.current_time(), self._ports.wall()
        late = began - due
        self._status.note_start(late)
        outcome = target if isinstance(target, Outcome) else await self._ports.probe(target)
        outcome = self._with_lag(outcome, began)
        self._status.checks[monitor.kind, outcome.category.value] += 1
        self._ports.results.put(
            PerformedCheck(
                monitor_id=monitor.monitor_id,
                monitor_version=monitor.version,
                kind=monitor.kind,
                # Seen from the start, so that a jump of the wall clock does not matter.
                due_at=iso_milliseconds(started - timedelta(seconds=late)),
                started_at=iso_milliseconds(started),
                finished_at=self._ports.wall(),
                outcome=outcome.as_json(),
            )
        )

    def _with_lag(self, outcome: Outcome, began: float) -> Outcome:
        lag = self._pulse.lag_since(began, trio.current_time())
        if not lag:
            return outcome
        self._status.lagged += 1
        finding = Finding(
            "checker_lag",
            f"the checker itself was held up for {lag * 1000:.0f} ms: the timings are too long",
        )
        return replace(outcome, warnings=(*outcome.warnings, finding))
