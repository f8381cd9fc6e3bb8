"""Monitors whose checks lead to the same address: when one begins to fail, the others are checked.

So a server that dies is known as a whole within seconds, and people hear of it in one message.
An address is alarmed once in `ALARM_SECONDS` at most, so that a server that fails again and
again does not get a multiple of its checks. The limit of connections to an address holds.

Pure: time is an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from checker.loop.login_backoff import is_refusal
from domain.check import Category

if TYPE_CHECKING:
    from uuid import UUID

    from checker.schedule.grid import Due
    from checker.schedule.schedule import Schedule
    from domain.check import Outcome


ALARM_SECONDS: Final = 300.0

_NOT_CONFIRMED: Final = frozenset(
    {
        Category.CONFIG_INVALID,
        Category.SECRET_UNREADABLE,
        Category.ADDRESS_BLOCKED,
        Category.RATE_LIMITED,
    }
)
_NETWORK: Final = frozenset(
    {
        Category.TIMEOUT,
        Category.CONNECT_REFUSED,
        Category.CONNECT_UNREACHABLE,
        Category.CONNECTION_CLOSED,
        Category.CONNECTION_RESET,
        Category.TLS_CLOSED,
    }
)


def is_failure(outcome: Outcome) -> bool | None:
    """Return whether a check found a failure that quick checks may confirm.

    None is a check that says nothing about that: the fault is ours, or another login soon after
    this one would make the server ban this address.
    """
    if outcome.category in _NOT_CONFIRMED or is_refusal(outcome):
        return None
    return not outcome.is_up


class Siblings:
    """Knows which monitors lead to an address, from their last checks."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._addresses: dict[UUID, str] = {}
        self._monitors: dict[str, set[UUID]] = {}
        self._alarmed: dict[str, float] = {}

    def note(self, due: Due, outcome: Outcome, now: float, *, begins_to_fail: bool) -> None:
        """Learn from the outcome of a check; hasten the siblings of one that begins to fail."""
        known = self._addresses.get(due.monitor_id)
        if outcome.address is not None and outcome.address != known:
            self.forget(due.monitor_id)
            known = self._addresses[due.monitor_id] = outcome.address
            self._monitors.setdefault(known, set()).add(due.monitor_id)
        if known is not None and begins_to_fail and outcome.category in _NETWORK:
            self._hasten(known, due, now)

    def forget(self, monitor_id: UUID) -> None:
        """Drop a monitor that changed or is not checked any more."""
        address = self._addresses.pop(monitor_id, None)
        if address is not None:
            monitors = self._monitors[address]
            monitors.discard(monitor_id)
            if not monitors:
                del self._monitors[address]
                self._alarmed.pop(address, None)

    def _hasten(self, address: str, due: Due, now: float) -> None:
        siblings = self._monitors[address]
        if len(siblings) == 1 or now < self._alarmed.get(address, float("-inf")) + ALARM_SECONDS:
            return
        self._alarmed[address] = now
        for monitor_id in siblings:
            if monitor_id != due.monitor_id:
                self._schedule.hasten(monitor_id, now, due.due_wall)
