"""One check of one monitor: builds its target, probes it, hands on the result.

Knows no schedule. The monotonic clock measures durations; the wall clock gives the recorded
times.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import trio
from typing_extensions import override

from checker.loop.failed_dialogues import MOST_LINES, FailedDialogues
from checker.loop.login_backoff import Login, with_login_postponed
from domain.check import Finding, Outcome, Phase
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from mail.guard import AddressBusyError, ProbeGuard
from mail.net.addresses import unmapped
from mail.protocols.target import ProbeTarget
from mail.transcript import Trace

if TYPE_CHECKING:
    from uuid import UUID

    from checker.loop.address_limiter import CheckPlaces
    from checker.loop.login_backoff import LoginBackoff, Postponed
    from checker.loop.monitor_registry import ScheduledMonitor
    from checker.runtime.loop_lag import LoopLagMeter
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.grid import Due
    from domain.clock import Clock
    from mail.net.addresses import Address

    BuildTarget = Callable[[ScheduledMonitor], Awaitable[ProbeTarget | Outcome]]
    """Returns the target of a monitor, or the outcome when no probe is possible."""


Probe = Callable[[ProbeTarget, ProbeGuard, Trace], Awaitable[Outcome]]
"""Contacts a server and judges it. Whatever the server does is an outcome; the trace collects
the dialogue.

Raises AddressBusyError when the guard allows no connection."""


class ResultSink(Protocol):
    """Takes finished checks, and says how many more it can take."""

    @property
    def has_room(self) -> bool:
        """Whether more probes may begin."""

    def put(self, check: PerformedCheck) -> None:
        """Take a check over, without waiting."""


class CheckRunner:
    """Runs checks, any number at a time."""

    def __init__(
        self,
        build_target: BuildTarget,
        probe: Probe,
        results: ResultSink,
        *,
        login_backoff: LoginBackoff,
        lag_meter: LoopLagMeter,
        metrics: CheckerMetrics,
        clock: Clock,
    ) -> None:
        self._build_target = build_target
        self._probe = probe
        self._results = results
        self._login_backoff = login_backoff
        self._dialogues = FailedDialogues()
        self._lag_meter = lag_meter
        self._metrics = metrics
        self._clock = clock

    async def run(
        self,
        monitor: ScheduledMonitor,
        due: Due,
        places: CheckPlaces[Any],
        *,
        was_held_back: bool,
        may_repeat: bool,
    ) -> Outcome:
        """Check a monitor, hand the result on, and return the outcome.

        `places` says where the probe may connect to. `was_held_back`: the check waited for
        others of its address, so it is not late.

        Raises AddressBusyError when the server could not be judged, because there was no place
        at any of its addresses, or none at one of them while the others failed; in the second
        case only if `may_repeat`.
        """
        target = await self._build_target(monitor)
        trace = Trace(MOST_LINES)
        began, started_at = trio.current_time(), self._clock()
        if isinstance(target, Outcome):
            outcome = target
        elif target.credentials is None:
            outcome = await self._probe(target, places, trace)
        else:
            outcome = await self._probe_with_login(monitor, target, places, trace)
        if may_repeat and places.refused and outcome.phase is Phase.CONNECT:
            raise AddressBusyError(places.refused[0])
        if was_held_back:
            self._metrics.held_back += 1
        else:
            self._metrics.count_start(began - due.due_monotonic)
        lag = self._lag_meter.lag_since(began, trio.current_time())
        if lag:
            self._metrics.lagged += 1
            outcome = _with_lag_warning(outcome, lag)
        self._metrics.count_outcome(monitor.kind, outcome)
        recorded = outcome.as_json()
        dialogue = self._dialogues.lines_to_keep(monitor, outcome, trace)
        if dialogue:
            recorded["dialogue"] = dialogue
        self._results.put(
            PerformedCheck(
                monitor_id=monitor.monitor_id,
                monitor_version=monitor.version,
                kind=monitor.kind,
                due_at=iso_milliseconds(datetime.fromtimestamp(due.due_wall, UTC)),
                started_at=iso_milliseconds(started_at),
                finished_at=self._clock(),
                outcome=recorded,
            )
        )
        return outcome

    def forget(self, monitor_id: UUID) -> None:
        """Drop what is known of a monitor that changed or is not checked any more."""
        self._dialogues.forget(monitor_id)

    async def _probe_with_login(
        self, monitor: ScheduledMonitor, target: ProbeTarget, places: ProbeGuard, trace: Trace
    ) -> Outcome:
        """Probe a target that has a login; leave the login out while it is postponed."""
        guard = _LoginGuard(places, self._login_backoff, monitor, target.user or "")
        outcome = await self._probe(target, guard, trace)
        if guard.postponed is not None:
            until = self._clock() + timedelta(seconds=guard.postponed.wait_seconds)
            return with_login_postponed(outcome, guard.postponed, iso_milliseconds(until))
        if guard.login is not None:
            wall = iso_milliseconds(self._clock())
            self._login_backoff.note(monitor, guard.login, outcome, trio.current_time(), wall)
        return outcome


class _LoginGuard(ProbeGuard):
    """Asks the backoff of refused logins when the address of the server is known."""

    def __init__(
        self, places: ProbeGuard, backoff: LoginBackoff, monitor: ScheduledMonitor, user: str
    ) -> None:
        self.login: Login | None = None
        self.postponed: Postponed | None = None
        self._places = places
        self._backoff = backoff
        self._monitor = monitor
        self._user = user

    @override
    def may_connect(self, address: Address) -> bool:
        return self._places.may_connect(address)

    @override
    def disconnected(self, address: Address) -> None:
        self._places.disconnected(address)

    @override
    def may_log_in(self, address: Address) -> bool:
        self.login = Login(self._monitor.customer_id, str(unmapped(address)), self._user)
        self.postponed = self._backoff.begin(self._monitor, self.login, trio.current_time())
        return self.postponed is None


def _with_lag_warning(outcome: Outcome, lag_seconds: float) -> Outcome:
    finding = Finding(
        "checker_lag",
        f"the checker itself was held up for {lag_seconds * 1000:.0f} ms: the timings are too long",
    )
    return replace(outcome, warnings=(*outcome.warnings, finding))
