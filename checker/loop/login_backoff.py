"""Slower logins where they fail, so that no server bans the checker.

Pure: time is an argument. A login that was refused a few times in a row is tried again at
growing distance, unless the monitor changes. The checks between go on without it, so that
an outage is still seen; what they say about the login is what the last one of it said.

Common guards ban an address after five failures in ten minutes. The distances lead to four
at most, and to a success within `LONGEST_SECONDS` after the server takes the password.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from domain.check import Category, Finding, Phase, Verdict

if TYPE_CHECKING:
    from uuid import UUID

    from checker.loop.monitor_registry import ScheduledMonitor
    from domain.check import Outcome
    from mail.protocols.target import ProbeTarget


FREE_FAILURES: Final = 3
"""So many failures in a row do not slow the logins down."""

FIRST_SECONDS: Final = 300.0
LONGEST_SECONDS: Final = 900.0

_TOLERANCE_SECONDS: Final = 1.0
"""A check that is due with the login, but for the jitter of its start, is not one without."""

_SETTLED: Final = frozenset({Category.OK, Category.MAILBOX_UNAVAILABLE})
"""With these the server took the password."""


@dataclass(slots=True)
class _Refused:
    version: int
    failures: int
    next_login: float


class LoginBackoff:
    """The monitors whose logins are refused now."""

    def __init__(self) -> None:
        self._refused: dict[UUID, _Refused] = {}

    def wait_seconds(self, monitor: ScheduledMonitor, now: float) -> float:
        """Return how long a monitor is still to be checked without its login; 0 is not."""
        refused = self._refused.get(monitor.monitor_id)
        if refused is None or refused.version != monitor.version:
            return 0.0
        wait = refused.next_login - now
        return wait if wait > _TOLERANCE_SECONDS else 0.0

    def note(self, monitor: ScheduledMonitor, category: Category, now: float) -> None:
        """Take in what came of a check with its login."""
        if category is Category.AUTH_FAILED:
            before = self._refused.get(monitor.monitor_id)
            is_same = before is not None and before.version == monitor.version
            failures = before.failures + 1 if before is not None and is_same else 1
            self._refuse(monitor.monitor_id, monitor.version, failures, now)
        elif self._refused and category in _SETTLED:
            self._refused.pop(monitor.monitor_id, None)

    def remember(self, monitor_id: UUID, version: int, refused_at: float) -> None:
        """Take over from before a restart that the login was refused: it is not free again."""
        if monitor_id not in self._refused:
            self._refuse(monitor_id, version, FREE_FAILURES, refused_at)

    def forget(self, monitor_id: UUID) -> None:
        """Drop a monitor that changed or is not checked any more."""
        self._refused.pop(monitor_id, None)

    def _refuse(self, monitor_id: UUID, version: int, failures: int, now: float) -> None:
        beyond = failures - FREE_FAILURES
        distance = 0.0 if beyond < 0 else min(FIRST_SECONDS * 2**beyond, LONGEST_SECONDS)
        # Failures beyond the longest distance need not be counted.
        self._refused[monitor_id] = _Refused(version, min(failures, 10), now + distance)


def without_login(target: ProbeTarget) -> ProbeTarget:
    """Return a target that is contacted as far as its login."""
    return replace(target, user=None, password=None, mailbox=None)


def with_login_postponed(outcome: Outcome, until: str) -> Outcome:
    """Say in the outcome of a check without its login that the login was left out.

    A server that works up to there is still down for its user: the last login was refused.
    """
    finding = Finding(
        "login_postponed",
        f"the login was refused several times, so it was left out; it is tried from {until} on",
    )
    warnings = (*outcome.warnings, finding)
    if not outcome.is_up:
        return replace(outcome, warnings=warnings)
    return replace(
        outcome,
        verdict=Verdict.DOWN,
        category=Category.AUTH_FAILED,
        phase=Phase.AUTH,
        message="the server works up to the login, which it refused the last time",
        warnings=warnings,
    )
