"""Aiming on the loop: opens sealed passwords in a thread, and remembers what was opened.

To open a secret costs a look into the key store, as much as a whole plain probe. So a
target with a password is kept for as long as its version of the monitor is the current
one; the process holds the key of all of them anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from checker.patience import Patience
from checker.target import ProbeTarget
from checker.targeting import aim, has_login

if TYPE_CHECKING:
    from uuid import UUID

    from checker.configuration import WatchedMonitor
    from checker.targeting import Unseal
    from domain.outcome import Outcome

THREADS: Final = 4


class Aiming:
    """Turns monitors into targets."""

    def __init__(self, unseal: Unseal) -> None:
        self._unseal = unseal
        self._opened: dict[UUID, tuple[WatchedMonitor, ProbeTarget]] = {}
        self._patience = Patience("open stored passwords", threads=THREADS)

    async def aim(self, monitor: WatchedMonitor) -> ProbeTarget | Outcome:
        """Return the target of a monitor, or the outcome when it has none."""
        if not has_login(monitor.kind, monitor.config):
            return aim(monitor, self._unseal)
        opened = self._opened.get(monitor.monitor_id)
        if opened is not None and opened[0] is monitor:
            return opened[1]
        target = await self._patience.insist(lambda: aim(monitor, self._unseal))
        if isinstance(target, ProbeTarget):
            self._opened[monitor.monitor_id] = (monitor, target)
        return target

    def forget(self, monitor_id: UUID) -> None:
        """Drop what was opened for a monitor that changed or is not checked any more."""
        self._opened.pop(monitor_id, None)
