"""What a restart finds undone: monitors that were never checked as they are now.

They were created or changed while no checker ran, or before the last one got to them. Each
one is compared with its last check in the log, a few at a time in a thread, while the
checks of the others go on already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

import trio

from checker.patience import Patience
from domain.check import CheckPerformed
from domain.outcome import Category

if TYPE_CHECKING:
    from datetime import datetime

    from checker.configuration import Configuration, WatchedMonitor
    from checker.logins import Logins
    from checker.schedule import Schedule
    from domain.clock import Clock

HANDFUL: Final = 50
"""How many monitors are compared at a stretch: a thread that decodes holds up the loop."""

LastOf = Callable[[Sequence[UUID]], Mapping[UUID, CheckPerformed]]
"""Returns the last check of each monitor that has one. Runs in a thread."""


class Arrears:
    """Hastens what was never checked, and remembers logins that were refused."""

    def __init__(
        self, last_of: LastOf, schedule: Schedule, logins: Logins, on_change: Callable[[], None]
    ) -> None:
        self._last_of = last_of
        self._schedule = schedule
        self._logins = logins
        self._on_change = on_change

    async def look(self, configuration: Configuration, wall: Clock) -> None:
        """Compare all monitors, once."""
        patience = Patience("read the last checks")
        ids = [each.monitor_id for each in configuration.all_watched()]
        for start in range(0, len(ids), HANDFUL):
            some = ids[start : start + HANDFUL]
            last = await patience.insist(partial(self._last_of, some))
            for monitor_id in some:
                monitor = configuration.watched(monitor_id)
                if monitor is not None:
                    self._compare(monitor, last.get(monitor_id), wall())
            self._on_change()

    def _compare(
        self, monitor: WatchedMonitor, last: CheckPerformed | None, wall: datetime
    ) -> None:
        now = trio.current_time()
        if last is None or last.monitor_version < monitor.version:
            self._schedule.hasten(monitor.monitor_id, now)
        elif last.outcome.get("category") == Category.AUTH_FAILED:
            ago = (wall - last.timestamp).total_seconds()
            self._logins.remember(monitor.monitor_id, monitor.version, now - max(ago, 0.0))
