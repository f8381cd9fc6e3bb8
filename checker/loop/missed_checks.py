"""What whoever comes to check monitors finds undone, after a restart or from another checker.

Some were never checked as they are now: they were created or changed while nobody checked,
or before the last one got to them. Others were due meanwhile. Each one is compared with its
last check in the log, a few at a time in a thread, while the checks of the others go on
already.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import trio

from checker.schedule.grid import ROUNDED_SECONDS
from domain.check import Category, CheckPerformed

if TYPE_CHECKING:
    from checker.loop.check import Find
    from checker.loop.login_backoff import LoginBackoff
    from checker.loop.monitor_registry import ScheduledMonitor
    from checker.schedule.schedule import Schedule
    from domain.clock import Clock


HANDFUL: Final = 50
"""How many monitors are compared at a stretch: a thread that decodes holds up the loop."""

ReadLastChecks = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, CheckPerformed]]]
"""Returns the last check of each monitor that has one."""


class MissedChecks:
    """Hastens what was not checked, and remembers logins that were refused."""

    def __init__(
        self,
        last_of: ReadLastChecks,
        schedule: Schedule,
        login_backoff: LoginBackoff,
        on_change: Callable[[], None],
    ) -> None:
        self._last_of = last_of
        self._schedule = schedule
        self._login_backoff = login_backoff
        self._on_change = on_change

    async def look(self, monitors: Iterable[UUID], find: Find, wall: Clock) -> None:
        """Compare monitors, once; `find` says which of them are still to be checked."""
        ids = list(monitors)
        for start in range(0, len(ids), HANDFUL):
            some = ids[start : start + HANDFUL]
            last = await self._last_of(some)
            for monitor_id in some:
                monitor = find(monitor_id)
                if monitor is not None:
                    self._compare(monitor, last.get(monitor_id), wall())
            self._on_change()

    def _compare(
        self, monitor: ScheduledMonitor, last: CheckPerformed | None, wall: datetime
    ) -> None:
        now = trio.current_time()
        if last is None or _is_older(last, monitor, wall):
            self._schedule.hasten(monitor.monitor_id, now, monitor.changed_at)
            return
        self._schedule.make_up(monitor.monitor_id, now, _due(last))
        if last.outcome.get("category") == Category.AUTH_FAILED:
            ago = (wall - last.timestamp).total_seconds()
            self._login_backoff.remember(monitor.monitor_id, monitor.version, now - max(ago, 0.0))


def _is_older(last: CheckPerformed, monitor: ScheduledMonitor, wall: datetime) -> bool:
    """Return whether a check was made of something else than the monitor is now.

    Also when its customer brought it back here since. A change that lies in the future, on
    the clock of whoever made it, says nothing of the time.
    """
    if last.monitor_version < monitor.version:
        return True
    return _due(last) + ROUNDED_SECONDS < monitor.changed_at <= wall.timestamp()


def _due(check: CheckPerformed) -> float:
    return datetime.fromisoformat(check.due_at).timestamp()
