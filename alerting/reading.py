"""Turns recorded checks into facts of the policy."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from alerting.policy.facts import Certificate, Check

if TYPE_CHECKING:
    from domain.check import CheckPerformed
    from store.log_reader import LoggedEvent, LogReader


LOGIN_POSTPONED: Final = "login_postponed"
_KNOWN_TIMES: Final = 1 << 14


@lru_cache(_KNOWN_TIMES)
def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def check_of(event: CheckPerformed) -> Check:
    """Return the fact that a recorded check is."""
    outcome = event.outcome
    tls = outcome.get("tls")
    return Check(
        event.monitor_id,
        event.location,
        event.originator_version,
        event.monitor_version,
        event.timestamp.timestamp(),
        outcome["category"],
        any(each["code"] == LOGIN_POSTPONED for each in outcome.get("warnings", ())),
        outcome.get("address"),
        outcome.get("timings", {}).get("total"),
        _certificate(tls) if tls else None,
    )


def position_at(log: LogReader, moment: float, through: int) -> int:
    """Return a position, up to `through`, after which the events of a moment and later are.

    Events are in the order of their time but for late ones, so this halves the log until it
    finds the moment.
    """
    low, high = 0, through
    while low < high:
        middle = (low + high) // 2
        found = log.after(middle, 1)
        if found and found[0].position <= through and _time_of(found[0]) < moment:
            low = found[0].position
        else:
            high = middle
    return low


def _time_of(logged: LoggedEvent) -> float:
    return float(logged.event.timestamp.timestamp())


def _certificate(tls: dict[str, Any]) -> Certificate:
    return Certificate(
        tls["fingerprint_sha256"], _seconds(tls["not_before"]), _seconds(tls["not_after"])
    )
