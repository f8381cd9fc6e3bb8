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

from eventsourcing.application import LRUCache

from benchmarks.population import populate
from domain.actor import SYSTEM
from domain.clock import utc_now
from domain.commands import CreateMonitor, UpdateMonitor
from domain.monitor import Monitor
from projections.catalog import Views
from projections.views.uptime_report import monitor_uptime, report_period, uptime_shape
from store.store import create_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from store.store import Store


CHANGES: Final = 8_000
REPORT_SECONDS: Final = 0.05
"""The most CPU that a report of `CHANGES` changes may take."""
MOST_GROWTH: Final = 2.2
"""How many times that a report of twice as many changes may take."""
PATCH_TIMES: Final = 1.3
"""How many times the CPU of a change of a new monitor that of a long one may take."""
_PATCHES: Final = 160
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


def _new(store: Store, like: Case) -> UUID:
    """Make a monitor like another one."""
    fields = vars(store.monitoring.load(Monitor, like.monitor_id, "it was just changed"))
    command = CreateMonitor(**{each: fields[each] for each in CreateMonitor.__slots__})
    return store.monitoring.create_monitor(command, SYSTEM).id


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


def change_cost(store: Store, monitors: Sequence[UUID]) -> float:
    """Return the CPU seconds of a change by a process that does not know the monitor yet."""
    started = time.process_time()
    for number, each in enumerate(monitors):
        store.monitoring.repository.cache = LRUCache(1)
        command = UpdateMonitor(each, {"name": f"Name {number} of {time.monotonic_ns()}"})
        store.monitoring.update_monitor(command, SYSTEM)
    return (time.process_time() - started) / len(monitors)


def change_times(store: Store, long: Case) -> float:
    """Return how many times the CPU of a first change one after very many changes takes."""
    new, old = [], []
    for _ in range(_ROUNDS):
        new.append(change_cost(store, [_new(store, long) for _ in range(_PATCHES)]))
        old.append(change_cost(store, [long.monitor_id] * _PATCHES))
    spent = [statistics.median(each) for each in (new, old)]
    print(
        f"a change, uncached: {spent[0] * 1e6:.0f} us CPU of a new monitor, "
        f"{spent[1] * 1e6:.0f} us after {long.changes:,} changes"
    )
    return spent[1] / spent[0]


def run() -> bool:
    """Measure; return whether every limit was kept."""
    with tempfile.TemporaryDirectory() as place:
        population = populate(Path(place) / "data", 2)
        with create_store(population.folder) as store, Views(store) as views:
            short = change_status(store, population.first, CHANGES)
            long = change_status(store, population.last, 2 * CHANGES)
            first, second = (report_cost(store, views, each) for each in (short, long))
            times = change_times(store, long)
    growth = second / first
    print(f"twice the changes: {growth:.2f} times the CPU, at most {MOST_GROWTH}")
    print(f"a change after those: {times:.2f} times that of a new monitor, at most {PATCH_TIMES}")
    return first <= REPORT_SECONDS and growth <= MOST_GROWTH and times <= PATCH_TIMES


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
