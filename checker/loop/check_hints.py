"""What the last checks say about the next ones: where a name leads to, and who is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from checker.loop.address_limiter import Claimant
from domain.check import Category
from mail.net.addresses import parse_literal, unmapped

if TYPE_CHECKING:
    from uuid import UUID

    from checker.loop.monitor_registry import ScheduledMonitor
    from domain.check import Outcome


_SLOW_SECONDS: Final = 5.0
"""A check that takes longer is slow, and so is one that ends at its time limit."""

_SPARE_HINTS: Final = 1000
"""How many more hints are kept than monitors are checked."""


class CheckHints:
    """Remembers addresses and speeds.

    Hints may be wrong or missing: the address counts that a probe really connects to.
    """

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}
        self._quick: dict[UUID, int] = {}

    def address_of(self, hostname: str) -> str | None:
        """Return the address that a host name is, or led to the last time."""
        known = self._addresses.get(hostname)
        if known is None:
            literal = parse_literal(hostname)
            known = None if literal is None else str(unmapped(literal))
        return known

    def claimant(self, monitor: ScheduledMonitor) -> Claimant:
        """Return whose check it is, and whether it may be slow, because the last one was."""
        return Claimant(
            monitor.organization_id,
            monitor.customer_id,
            (monitor.kind, monitor.port),
            is_slow=self._quick.get(monitor.monitor_id) != monitor.version,
        )

    def learn(self, monitor: ScheduledMonitor, outcome: Outcome, monitors: int) -> None:
        """Remember the outcome of a check; `monitors` is how many are checked here."""
        if len(self._addresses) + len(self._quick) > 2 * monitors + _SPARE_HINTS:
            self._addresses.clear()
            self._quick.clear()
        if outcome.address is not None and outcome.address != monitor.hostname:
            self._addresses[monitor.hostname] = outcome.address
        if (
            outcome.category is Category.TIMEOUT
            or outcome.timings_ms.get("total", 0.0) > _SLOW_SECONDS * 1000
        ):
            self._quick.pop(monitor.monitor_id, None)
        else:
            self._quick[monitor.monitor_id] = monitor.version
