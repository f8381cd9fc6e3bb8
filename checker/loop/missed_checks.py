"""Finds the checks that were missed while no checker ran, or while another one had the monitors.

While no checker ran, a monitor may have been created or changed, so that its current version
was never checked; another monitor may have been due. The last check of each monitor in the log
shows both cases. Last checks are read for a few monitors at a time, in a thread, while due
checks already run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Final
from uuid import UUID

import trio

from checker.loop.login_backoff import LOGIN_POSTPONED, Login
from checker.schedule.grid import ROUNDED_SECONDS
from domain.check import Category, CheckPerformed, Verdict
from domain.clock import iso_milliseconds
from domain.config_secrets import read_user

if TYPE_CHECKING:
    from checker.loop.dispatcher import FindMonitor
    from checker.loop.login_backoff import LoginBackoff
    from checker.loop.monitor_registry import ScheduledMonitor
    from checker.recording.recorder import RecordingProgress
    from checker.schedule.schedule import Schedule
    from domain.clock import Clock


CHUNK_MONITORS: Final = 50
"""How many last checks are read at a time: a thread that decodes holds up the loop."""

REQUEST_SECONDS: Final = 600.0
"""An older request for a check is not made up for: nobody waits for it any more."""

PROGRESS_SECONDS: Final = 0.1
"""The pause between two looks at how far the recorder is."""

ReadLastChecks = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, CheckPerformed]]]
"""Returns the last check of each monitor that has one."""


class MissedChecks:
    """Schedules missed checks soon, and restores the backoff of refused logins."""

    def __init__(
        self,
        read_last_checks: ReadLastChecks,
        schedule: Schedule,
        progress: RecordingProgress,
        *,
        find: FindMonitor,
        last_request: Callable[[UUID], float | None],
        login_backoff: LoginBackoff,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        """Take the parts.

        `last_request` returns when people last asked for a check of a monitor, in wall time;
        `wake` is called when checks may have become due.
        """
        self._read_last_checks = read_last_checks
        self._schedule = schedule
        self._progress = progress
        self._find = find
        self._last_request = last_request
        self._login_backoff = login_backoff
        self._clock = clock
        self._wake = wake
        self._send, self._receive = trio.open_memory_channel[Sequence[UUID]](inf)

    def request(self, monitor_ids: Sequence[UUID]) -> None:
        """Have monitors reconciled by `run`."""
        self._send.send_nowait(monitor_ids)

    async def run(self) -> None:
        """Reconcile requested monitors, one request after the other, until cancelled."""
        async for monitor_ids in self._receive:
            await self._until_recorded()
            await self.reconcile(monitor_ids)

    async def reconcile(self, monitor_ids: Sequence[UUID]) -> None:
        """Compare monitors with their last checks in the log, and schedule what was missed."""
        for start in range(0, len(monitor_ids), CHUNK_MONITORS):
            chunk = monitor_ids[start : start + CHUNK_MONITORS]
            last_checks = await self._read_last_checks(chunk)
            for monitor_id in chunk:
                monitor = self._find(monitor_id)
                if monitor is not None:
                    self._compare(monitor, last_checks.get(monitor_id))
            self._wake()

    async def _until_recorded(self) -> None:
        """Wait until the log has the checks that this checker has made so far."""
        received = self._progress.received
        while self._progress.processed < received:  # noqa: ASYNC110 - the store may be unavailable
            await trio.sleep(PROGRESS_SECONDS)

    def _compare(self, monitor: ScheduledMonitor, last: CheckPerformed | None) -> None:
        now, wall = trio.current_time(), self._clock()
        if last is None or _is_of_older_version(last, monitor, wall):
            self._schedule.expedite(monitor.monitor_id, now, monitor.changed_at)
            return
        requested_at = self._last_request(monitor.monitor_id)
        if requested_at is not None and _is_unanswered(requested_at, last, wall):
            self._schedule.expedite(monitor.monitor_id, now, requested_at)
            return
        is_refused = last.outcome.get("category") == Category.AUTH_FAILED
        if last.outcome.get("verdict") == Verdict.DOWN and not is_refused:
            self._schedule.note_failing(monitor.monitor_id, now, _due_wall(last))
        self._schedule.catch_up(monitor.monitor_id, now, _due_wall(last))
        if is_refused:
            self._restore_backoff(
                monitor, last, now - max((wall - last.timestamp).total_seconds(), 0)
            )

    def _restore_backoff(
        self, monitor: ScheduledMonitor, last: CheckPerformed, refused_at: float
    ) -> None:
        address, user = last.outcome.get("address"), read_user(monitor.kind, monitor.config)
        if not address or not user:
            return
        was_tried = not any(each["code"] == LOGIN_POSTPONED for each in last.outcome["warnings"])
        self._login_backoff.restore(
            monitor,
            Login(monitor.customer_id, address, user),
            refused_at,
            tried_at=iso_milliseconds(last.timestamp) if was_tried else None,
            message=last.outcome["message"] if was_tried else "",
        )


def _is_of_older_version(last: CheckPerformed, monitor: ScheduledMonitor, wall: datetime) -> bool:
    """Return whether the monitor changed after its last check.

    A change of its customer's countries also counts: it may bring the monitor back here. A
    change in the future, by the clock of the process that made it, says nothing about the order.
    """
    if last.monitor_version < monitor.version:
        return True
    return _due_wall(last) + ROUNDED_SECONDS < monitor.changed_at <= wall.timestamp()


def _is_unanswered(requested_at: float, last: CheckPerformed, wall: datetime) -> bool:
    """Return whether people asked for a check after the last one, and not long ago."""
    age = wall.timestamp() - requested_at
    return _due_wall(last) < requested_at and 0 <= age < REQUEST_SECONDS


def _due_wall(check: CheckPerformed) -> float:
    return datetime.fromisoformat(check.due_at).timestamp()
