"""One check of one monitor: aims, probes, and hands on what was found.

Knows no schedule and no pace. Monotonic time measures, wall time is recorded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import trio

from checker.loop.login_backoff import LoginBackoff, with_login_postponed, without_login
from checker.loop.monitor_registry import ScheduledMonitor
from domain.check import Finding, Outcome
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from mail.protocols.target import ProbeTarget

if TYPE_CHECKING:
    from checker.runtime.loop_lag import LoopLagMeter
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.grid import Due
    from domain.clock import Clock


Find = Callable[[UUID], ScheduledMonitor | None]
"""Returns the current version of a monitor, None when it is not to be checked."""

BuildTarget = Callable[[ScheduledMonitor], Awaitable[ProbeTarget | Outcome]]
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
    build_target: BuildTarget
    probe: Probe
    results: Results
    wall: Clock
    login_backoff: LoginBackoff = field(default_factory=LoginBackoff)


class CheckRunner:
    """Makes checks."""

    def __init__(self, ports: Ports, *, lag_meter: LoopLagMeter, status: CheckerMetrics) -> None:
        self._ports = ports
        self._lag_meter = lag_meter
        self._metrics = status

    async def make(self, monitor: ScheduledMonitor, due: Due, *, was_held: bool) -> Outcome:
        """Check a monitor and hand the result on."""
        target = await self._ports.build_target(monitor)
        began, started = trio.current_time(), self._ports.wall()
        if was_held:
            self._metrics.held_back += 1
        else:
            self._metrics.note_start(began - due.due)
        outcome = target if isinstance(target, Outcome) else await self._ask(monitor, target)
        outcome = self._with_lag(outcome, began)
        self._metrics.note_outcome(monitor.kind, outcome)
        self._ports.results.put(
            PerformedCheck(
                monitor_id=monitor.monitor_id,
                monitor_version=monitor.version,
                kind=monitor.kind,
                due_at=iso_milliseconds(datetime.fromtimestamp(due.at, UTC)),
                started_at=iso_milliseconds(started),
                finished_at=self._ports.wall(),
                outcome=outcome.as_json(),
            )
        )
        return outcome

    async def _ask(self, monitor: ScheduledMonitor, target: ProbeTarget) -> Outcome:
        """Probe, with the login unless the server refused it too often."""
        if target.password is None:
            return await self._ports.probe(target)
        login_backoff = self._ports.login_backoff
        wait = login_backoff.wait_seconds(monitor, trio.current_time())
        if wait:
            until = iso_milliseconds(self._ports.wall() + timedelta(seconds=wait))
            return with_login_postponed(await self._ports.probe(without_login(target)), until)
        outcome = await self._ports.probe(target)
        login_backoff.note(monitor, outcome.category, trio.current_time())
        return outcome

    def _with_lag(self, outcome: Outcome, began: float) -> Outcome:
        lag = self._lag_meter.lag_since(began, trio.current_time())
        if not lag:
            return outcome
        self._metrics.lagged += 1
        finding = Finding(
            "checker_lag",
            f"the checker itself was held up for {lag * 1000:.0f} ms: the timings are too long",
        )
        return replace(outcome, warnings=(*outcome.warnings, finding))
