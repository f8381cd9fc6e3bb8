"""Which checks count, and the streaks of failing and good checks of a monitor at a location."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from alerting.policy.facts import NETWORK_FAILURES, OWN_FAULTS
from domain.alert_policy import MAX_CONSECUTIVE_CHECKS

if TYPE_CHECKING:
    from alerting.policy.facts import Certificate, Check, MonitorSettings


SLOW_CHECKS: Final = 3
"""Slow checks in a row that confirm that a server is slow."""

FAST_SHARE: Final = 0.8
"""A check ends slowness when it takes at most this share of the threshold."""

Judgement = Literal["repeated", "ignored", "history", "counted"]


@dataclass(slots=True)
class Place:
    """What the checks of one monitor at one location say.

    `failed_at` holds the ends of the newest failing checks of the streak. `is_failing`: enough
    failed in a row, and not enough were good since. `own_fault` is the category of a last check
    that contacted no server, else None.
    """

    version: int = 0
    finished: float = float("-inf")
    category: str = ""
    bad: int = 0
    good: int = 0
    is_failing: bool = False
    first_failed_at: float = 0.0
    failed_at: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_CONSECUTIVE_CHECKS))
    own_fault: str | None = None
    is_network_failure: bool = False
    certificate: Certificate | None = None
    slow: int = 0
    fast: int = 0
    is_slow: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the server could be used at the last check that says something about it."""
        return self.good > 0 and not self.is_failing

    def has_failed_since(self, moment: float, checks: int) -> bool:
        """Return whether so many checks failed in a row after a moment."""
        return sum(each > moment for each in self.failed_at) >= checks

    def forget(self) -> None:
        """Begin to count anew; the version of the stream stays."""
        version = self.version
        self.__init__(version)  # type: ignore[misc] # the fields of a new one


def judge(check: Check, place: Place, monitor: MonitorSettings, now: float) -> Judgement:
    """Return whether a check counts. `now` is when it arrived."""
    if check.version <= place.version:
        return "repeated"
    if monitor.status == "disabled" or check.monitor_version < monitor.checked_version:
        return "ignored"
    finished = min(check.finished, now)
    if finished < place.finished or finished + monitor.vouch_seconds < now:
        return "history"
    return "counted"


def count(check: Check, place: Place, monitor: MonitorSettings, now: float) -> None:
    """Add a check that counts to the streaks. A time in the future counts as now."""
    place.finished = min(check.finished, now)
    place.category = check.category
    place.own_fault = check.category if check.category in OWN_FAULTS else None
    place.is_network_failure = check.category in NETWORK_FAILURES
    if check.is_good:
        _count_good(place, monitor)
        if check.certificate is not None:
            place.certificate = check.certificate
        _count_speed(check, place, monitor)
    elif place.own_fault is None and not check.login_postponed:
        _count_bad(place, monitor)


def _count_good(place: Place, monitor: MonitorSettings) -> None:
    place.good += 1
    place.bad = 0
    if place.is_failing and place.good < monitor.policy.recovery_checks:
        return
    place.is_failing = False
    place.failed_at.clear()


def _count_bad(place: Place, monitor: MonitorSettings) -> None:
    if not place.failed_at:
        place.first_failed_at = place.finished
    place.good = 0
    place.bad += 1
    place.failed_at.append(place.finished)
    if place.bad >= monitor.policy.consecutive_checks:
        place.is_failing = True


def _count_speed(check: Check, place: Place, monitor: MonitorSettings) -> None:
    """Count slow checks in a row; between slow and fast a check says nothing."""
    threshold = monitor.policy.performance_threshold_ms
    if threshold is None or check.total_ms is None:
        place.is_slow = False
        return
    if check.total_ms > threshold:
        place.slow, place.fast = place.slow + 1, 0
        place.is_slow = place.is_slow or place.slow >= SLOW_CHECKS
    elif check.total_ms <= threshold * FAST_SHARE:
        place.slow, place.fast = 0, place.fast + 1
        if place.fast >= monitor.policy.recovery_checks:
            place.is_slow = False
