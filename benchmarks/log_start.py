"""What the start of a checker with very many monitors is made of."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import trio

from benchmarks.checker_path import HERE, populate, running_checker
from checker.loop.monitor_registry import MonitorRegistry
from checker.runtime.limits import Limits
from checker.schedule.schedule import Schedule
from domain.check import Category, Outcome, Verdict
from store.store import create_store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_PAGE: Final = 5000


def measure(folder: Path, monitors: int) -> None:
    """Fill a folder, then start a checker on it, and do each of its steps alone."""
    with create_store(folder) as store:
        populate(store, monitors, check_interval=1440, port=25)
    process = _seconds(lambda: subprocess.run([sys.executable, "-c", _IMPORTS], check=True))
    ready = trio.run(_until_ready, folder)
    gc.disable()  # as the command does while it reads up
    with open_store(folder) as store:
        reader = store.reader("monitoring")
        rows = _seconds(lambda: _walk(folder, reader.head()))
        events: list[object] = []
        read = _seconds(lambda: events.extend(each.event for each in reader.after(0, 1 << 30)))
        registry = MonitorRegistry(HERE)
        fold = _seconds(lambda: [registry.apply(each) for each in events])
        schedule = Schedule(origin=0.0)
        schedule.widen_spread(len(registry))
        plan = _seconds(lambda: _schedule_all(schedule, registry))
    gc.enable()
    print(
        f"start of a checker with {monitors} monitors: ready {ready:.2f} s after its store opens; "
        f"its steps, each alone, take {read + fold + plan:.2f} s"
    )
    for name, seconds in (
        (f"reading {len(events)} rows of the log", rows),
        ("making events of them", read - rows),
        ("folding them into what is to be checked", fold),
        ("putting all into the schedule", plan),
    ):
        print(f"  {seconds:6.2f} s  {name}")
    print(f"  {process:6.2f} s  before that: the interpreter and its imports", flush=True)


_IMPORTS: Final = "import cli.run.checker, service.checker_process"


async def _until_ready(folder: Path) -> float:
    async def probe(*_: object) -> Outcome:
        return Outcome(Verdict.UP, Category.OK, None, "", {})

    with open_store(folder) as store:
        began = time.perf_counter()
        # No budget of sockets: nothing begins.
        async with running_checker(store, probe, Limits(open_sockets=0)):
            return time.perf_counter() - began


def _schedule_all(schedule: Schedule, registry: MonitorRegistry) -> None:
    for each in registry.find_all():
        schedule.resume(each.monitor_id, each.interval_seconds, 0.0, None)


def _walk(folder: Path, head: int) -> None:
    with open_store(folder) as store:
        position = 0
        while position < head:
            position = store.monitoring.recorder.rows_after(position, _PAGE)[-1][0]  # type: ignore[attr-defined] # of our own storage


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
