"""Backoff of refused logins, so that no server bans the address of the checker.

Pure: time is an argument. After a few refusals in a row a login is tried again at growing
intervals, until it succeeds or the monitor changes. The checks in between leave the login out:
they still detect an outage, and otherwise report again that the last login was refused.

Common login guards ban an address after five failures in ten minutes. These intervals lead
to four at most. A server that accepts the password again is noticed within `LONGEST_SECONDS`.
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
"""So many failures in a row are allowed before the backoff begins."""

FIRST_SECONDS: Final = 300.0
LONGEST_SECONDS: Final = 900.0

_TOLERANCE_SECONDS: Final = 1.0
"""A login that is allowed so soon is tried: the start of a check jitters by this much."""

_SETTLED: Final = frozenset({Category.OK, Category.MAILBOX_UNAVAILABLE})
"""Categories that say that the server accepted the password."""


@dataclass(slots=True)
class _Refused:
    version: int
    failures: int
    next_login: float


class LoginBackoff:
    """Keeps the backoff of each monitor whose login is refused now."""

    def __init__(self) -> None:
        self._refused: dict[UUID, _Refused] = {}

    def wait_seconds(self, monitor: ScheduledMonitor, now: float) -> float:
        """Return for how many seconds the login must still be left out; 0 when it may be tried."""
        refused = self._refused.get(monitor.monitor_id)
        if refused is None or refused.version != monitor.version:
            return 0.0
        wait = refused.next_login - now
        return wait if wait > _TOLERANCE_SECONDS else 0.0

    def note_outcome(self, monitor: ScheduledMonitor, category: Category, now: float) -> None:
        """Update the backoff with the category of a check that tried the login."""
        if category is Category.AUTH_FAILED:
            before = self._refused.get(monitor.monitor_id)
            is_same = before is not None and before.version == monitor.version
            failures = before.failures + 1 if before is not None and is_same else 1
            self._refuse(monitor.monitor_id, monitor.version, failures, now)
        elif self._refused and category in _SETTLED:
            self._refused.pop(monitor.monitor_id, None)

    def restore(self, monitor_id: UUID, version: int, refused_at: float) -> None:
        """Restore from the log that the login was refused before a restart."""
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
    """Return the target without its login, so that the probe ends before that.

    The target keeps the secret, so that the probe masks it where the server echoes it.
    """
    return replace(target, wants_login=False, mailbox=None)


def with_login_postponed(outcome: Outcome, until: str) -> Outcome:
    """Add to the outcome of a check without login when the login is tried again.

    A server that works up to there counts as down for its user: it refused the last login.
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
