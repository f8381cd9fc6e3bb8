"""Monitors that were changed very often: `python -m benchmarks.long_histories`.

A tenant decides how many changes a monitor has. The report of uptime must take time in
proportion to them, and a change the same time as that of a new monitor. CPU seconds of this
process, in one run; the exit code says whether every limit was kept.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.population import populate
from domain.actor import SYSTEM
from domain.clock import utc_now
from domain.monitor import Monitor
from projections.catalog import Views
from projections.views.uptime_report import monitor_uptime, report_period, uptime_shape
from store.store import create_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from store.store import Store


CHANGES: Final = 8_000
REPORT_SECONDS: Final = 0.05
"""The most CPU that a report of `CHANGES` changes may take."""
MOST_GROWTH: Final = 2.2
"""How many times that a report of twice as many changes may take."""
_SAVED_AT_ONCE: Final = 500
_ROUNDS: Final = 9


class Case(NamedTuple):
    """A monitor, and how often it was changed."""

    monitor_id: UUID
    changes: int


def change_status(store: Store, monitor_id: UUID, times: int) -> Case:
    """Disable and enable a monitor by turns, in the last 300 days."""
    monitor = store.monitoring.load(Monitor, monitor_id, "the population has this monitor")
    begin, step = utc_now() - timedelta(days=300), timedelta(days=299) / times
    for number in range(times):
        status = "active" if number % 2 else "disabled"
        monitor.update({"status": status}, actor=SYSTEM, now=begin + number * step)
        if (number + 1) % _SAVED_AT_ONCE == 0 or number + 1 == times:
            store.monitoring.save(monitor)
    return Case(monitor_id, times)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the median CPU time of some runs."""
    spent = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return statistics.median(spent)


def report_cost(store: Store, views: Views, case: Case) -> float:
    """Return the CPU seconds of the report of a year."""
    now = utc_now()
    period = report_period("year", None, now)

    def report() -> None:
        found = monitor_uptime(store.monitoring, views.roll_ups, case.monitor_id, period, now)
        uptime_shape(found, period)

    spent = cpu_seconds(report)
    print(f"uptime?range=year after {case.changes:,} changes: {spent * 1000:.1f} ms CPU")
    return spent


def run() -> bool:
    """Measure; return whether every limit was kept."""
    with tempfile.TemporaryDirectory() as place:
        population = populate(Path(place) / "data", 2)
        with create_store(population.folder) as store, Views(store) as views:
            short = change_status(store, population.first, CHANGES)
            long = change_status(store, population.last, 2 * CHANGES)
            first, second = (report_cost(store, views, each) for each in (short, long))
    growth = second / first
    print(f"twice the changes: {growth:.2f} times the CPU, at most {MOST_GROWTH}")
    return first <= REPORT_SECONDS and growth <= MOST_GROWTH


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
