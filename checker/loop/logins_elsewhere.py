"""What other checkers of a location learn about logins that are refused here, too.

Checkers that share a database share the monitors of a mailbox, and the address that a guard
bans. While a login is refused here, the last checks of the monitors that others hold are read
from the log every few seconds, so that the refusals of all count together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from checker.loop.login_backoff import LOGIN_POSTPONED, Login
from checker.loop.missed_checks import CHUNK_MONITORS
from domain.check import Category, Verdict
from domain.clock import iso_milliseconds
from domain.config_secrets import read_user

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from checker.loop.login_backoff import LoginBackoff
    from checker.loop.missed_checks import ReadLastChecks
    from checker.loop.monitor_registry import MonitorRegistry, ScheduledMonitor
    from domain.check import CheckPerformed
    from domain.clock import Clock


LEARN_SECONDS: Final = 5.0
"""How late a refusal that another checker saw is known here."""


class LoginsElsewhere:
    """Hands the refusals that other checkers recorded to the backoff of this one."""

    def __init__(
        self,
        login_backoff: LoginBackoff,
        registry: MonitorRegistry,
        read_last_checks: ReadLastChecks,
        *,
        holds: Callable[[UUID], bool],
        clock: Clock,
    ) -> None:
        """Take the parts. `holds` returns whether this checker checks a monitor."""
        self._login_backoff = login_backoff
        self._registry = registry
        self._read_last_checks = read_last_checks
        self._holds = holds
        self._clock = clock

    async def run(self) -> None:
        """Learn from the log until cancelled; reads nothing while no login is refused."""
        while True:
            await trio.sleep(LEARN_SECONDS)
            await self.learn()

    async def learn(self) -> None:
        """Read the last checks that others made with the logins that are refused here."""
        refused = self._login_backoff.refused_users()
        others = {
            each.monitor_id: each
            for each in self._registry.of_customers({customer for customer, _ in refused})
            if not self._holds(each.monitor_id) and (each.customer_id, _user_of(each)) in refused
        }
        ids = list(others)
        for start in range(0, len(ids), CHUNK_MONITORS):
            last_checks = await self._read_last_checks(ids[start : start + CHUNK_MONITORS])
            for monitor_id, check in last_checks.items():
                self._hear(others[monitor_id], check)

    def _hear(self, monitor: ScheduledMonitor, check: CheckPerformed) -> None:
        address, user = check.outcome.get("address"), _user_of(monitor)
        was_left_out = any(each["code"] == LOGIN_POSTPONED for each in check.outcome["warnings"])
        if not address or not user or was_left_out:
            return
        login = Login(monitor.customer_id, address, user)
        at = trio.current_time() - (self._clock() - check.timestamp).total_seconds()
        if check.outcome.get("category") == Category.AUTH_FAILED:
            self._login_backoff.hear_refusal(
                monitor.monitor_id,
                login,
                at,
                tried_at=iso_milliseconds(check.timestamp),
                message=check.outcome["message"],
            )
        elif check.outcome.get("verdict") == Verdict.UP:
            self._login_backoff.hear_answer(monitor.monitor_id, login, at)


def _user_of(monitor: ScheduledMonitor) -> str | None:
    return read_user(monitor.kind, monitor.config)
