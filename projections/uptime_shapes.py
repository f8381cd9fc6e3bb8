"""The JSON of an uptime report: seconds in each state, checks, and durations by phase."""

from __future__ import annotations

from datetime import UTC, datetime
from math import floor
from typing import TYPE_CHECKING, Any, Final

from domain.clock import iso_milliseconds
from domain.uptime import STATES
from projections.histogram import quantile
from projections.uptime_report import total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.roll_up import Phase
    from projections.uptime_report import Asked, Bucket

_MICROSECONDS: Final = 1000
_DIGITS: Final = 1000
"""Thousandths of a percent are shown, rounded down: what is not all is never 100."""


def uptime_shape(buckets: Sequence[Bucket], asked: Asked) -> dict[str, Any]:
    """Return a report: the whole time, then each hour or day of it."""
    start = buckets[0].start if buckets else asked.start
    return {
        "start": _time(start),
        "end": _time(asked.end),
        "granularity": asked.granularity,
        **_figures(total(buckets)),
        "data": [{"start": _time(each.start), **_figures(each)} for each in buckets],
    }


def uptime_percent(known_ms: Sequence[int]) -> float | None:
    """Return the share of up in what is known to be up or down; None when nothing is."""
    up, down = known_ms[STATES.index("up")], known_ms[STATES.index("down")]
    return floor(100 * _DIGITS * up / (up + down)) / _DIGITS if up + down else None


def _figures(bucket: Bucket) -> dict[str, Any]:
    roll_up = bucket.roll_up
    every: dict[str, int] = dict(zip(STATES, roll_up.known_ms, strict=True))
    every |= {"unknown": bucket.unknown_ms, "notWatched": bucket.not_watched_ms}
    return {
        "uptimePercent": uptime_percent(roll_up.known_ms),
        "seconds": {state: round(ms / 1000) for state, ms in every.items()},
        "checks": roll_up.checks,
        "failed": roll_up.failed,
        "timings": {name: _durations(each) for name, each in sorted(roll_up.phases.items())},
    }


def _durations(phase: Phase) -> dict[str, Any]:
    """Return milliseconds. A bucket's middle may lie above the longest duration in it."""
    shares = {"p50": 0.5, "p95": 0.95}
    found = {name: quantile(phase.counts, share) or 0 for name, share in shares.items()}
    return {
        "count": sum(phase.counts.values()),
        **{name: min(each, phase.longest) / _MICROSECONDS for name, each in found.items()},
        "max": phase.longest / _MICROSECONDS,
    }


def _time(ms: int) -> str:
    return iso_milliseconds(datetime.fromtimestamp(ms / 1000, UTC))
