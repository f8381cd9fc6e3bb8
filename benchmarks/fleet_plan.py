"""A million monitors on paper: how full each part of a cell is, and how long checks wait.

A cell is one primary with the organizations that live on it. A calculation gives the load of
each part relative to its capacity. A simulation of many checkers, whose batches are appended
one after the other under the lock of the log, gives how long a batch waits, and whether batches
pile up.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from checker.runtime.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


SECONDS_A_DAY: Final = 86_400
_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Costs:
    """What one thing costs, as measured in this run. Times in seconds."""

    batch: float
    """Of a batch in the log, however small it is."""
    check_in_batch: float
    """Of each check in a batch."""
    folds: dict[str, float]
    """Of a check in each view; one process keeps all views, one after the other."""
    check_cpu: float
    """Of a check in a checker's process."""
    check_bytes: float
    """In the log with its indexes, before it is archived."""
    archived_bytes: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What is watched: every monitor from each of some places."""

    monitors: int
    interval_seconds: float
    locations: int

    @property
    def checks_a_second(self) -> float:
        """How many checks a second that makes, of all places together."""
        return self.monitors * self.locations / self.interval_seconds


@dataclass(frozen=True, slots=True)
class Cell:
    """One of `cells` equal parts of a demand, as full as it is."""

    cells: int
    checks_a_second: float
    checkers: int
    log: float
    views: float
    checker: float
    gigabytes_a_day: float
    archived_gigabytes_a_day: float

    @property
    def first_full(self) -> str:
        """The part that is fullest."""
        return "log" if self.log > self.views else "projections"

    @property
    def is_too_full(self) -> bool:
        """Whether more comes in than some part can take."""
        return max(self.log, self.views) > 1


def calculate(demand: Demand, costs: Costs, cells: int, *, core_share: float = 0.6) -> Cell:
    """Return how full one of so many cells is. A checker is to use `core_share` of a core."""
    rate = demand.checks_a_second / cells
    checkers = max(round(rate * costs.check_cpu / core_share + 0.5), demand.locations)
    size = batch_size(rate / checkers)
    return Cell(
        cells=cells,
        checks_a_second=rate,
        checkers=checkers,
        log=rate / size * (costs.batch + size * costs.check_in_batch),
        views=rate * sum(costs.folds.values()),
        checker=rate / checkers * costs.check_cpu,
        gigabytes_a_day=rate * SECONDS_A_DAY * costs.check_bytes / 1e9,
        archived_gigabytes_a_day=rate * SECONDS_A_DAY * costs.archived_bytes / 1e9,
    )


def batch_size(checks_a_second: float) -> float:
    """Return how many checks a checker records at a time."""
    return min(max(checks_a_second * _LIMITS.linger_seconds, 1), _LIMITS.batch)


@dataclass(frozen=True, slots=True)
class Waits:
    """The result of a simulation: seconds from the end of a check until it is on disk."""

    median: float
    p99: float
    longest_queue: int
    """The most checks that waited in one checker; at `Limits.queue` it begins no more."""


def simulate(cell: Cell, costs: Costs, *, seconds: float = 120, seed: int = 1) -> Waits:
    """Let the checkers of a cell record for some seconds, through one lock, in turn.

    A checker lingers, takes what has come in, waits for the lock and then for the disk.
    Commits scatter as a disk's do: most take their time, one in fifty five times that.
    """
    rng = random.Random(seed)  # noqa: S311 - the same again, not secret
    rate = cell.checks_a_second / cell.checkers
    ready = [
        (rng.uniform(0, _LIMITS.linger_seconds), number, 0.0) for number in range(cell.checkers)
    ]
    heapq.heapify(ready)
    left = [0.0] * cell.checkers
    free_at, waits, longest = 0.0, list[tuple[float, float]](), 0.0
    while ready:
        now, number, since = heapq.heappop(ready)
        if now > seconds:
            continue
        queued = left[number] + rng.gauss(1, 0.1) * rate * (now - since)
        longest = max(longest, queued)
        size = min(queued, _LIMITS.batch)
        left[number] = queued - size
        begun = max(now, free_at)
        free_at = begun + (costs.batch * _scatter(rng) + size * costs.check_in_batch)
        # A check came in at any moment since the last batch was taken.
        waits.append((free_at - now + (now - since) / 2, size))
        linger = 0.0 if left[number] >= _LIMITS.batch else _LIMITS.linger_seconds
        heapq.heappush(ready, (free_at + linger, number, now))
    return Waits(_quantile(waits, 0.5), _quantile(waits, 0.99), round(longest))


def _scatter(rng: random.Random) -> float:
    return 5.0 if rng.random() < 1 / 50 else rng.uniform(0.8, 1.2)


def _quantile(waits: Sequence[tuple[float, float]], share: float) -> float:
    """Return the wait that a share of all checks stays below."""
    total, seen = sum(size for _, size in waits), 0.0
    for wait, size in sorted(waits):
        seen += size
        if seen >= share * total:
            return wait
    return 0.0


def show(demand: Demand, costs: Costs, cells: Iterable[int]) -> None:
    """Print a line for each number of cells."""
    print(
        f"{demand.monitors:,} monitors every {demand.interval_seconds:.0f} s from "
        f"{demand.locations} places: {demand.checks_a_second:,.0f} checks/s"
    )
    for number in cells:
        cell = calculate(demand, costs, number)
        waits = simulate(cell, costs)
        print(
            f"  {number} cells of {cell.checks_a_second:,.0f} checks/s, {cell.checkers} checkers "
            f"at {cell.checker:.0%} of a core: log {cell.log:.0%}, projections {cell.views:.0%}, "
            f"{cell.gigabytes_a_day:,.0f} GB a day, archived {cell.archived_gigabytes_a_day:.1f}\n"
            f"    fullest: {cell.first_full}{' (TOO FULL)' if cell.is_too_full else ''}; "
            f"on disk after {waits.median * 1000:.0f} ms, p99 {waits.p99 * 1000:.0f} ms, "
            f"longest queue {waits.longest_queue}",
            flush=True,
        )
