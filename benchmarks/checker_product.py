"""The product at work: 2,000 SMTP monitors every 20 s, checker and projections as processes.

The comparison that the other products were measured with: results durable, views current.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.checker_path import populate
from projections.catalog import Views
from store.log_reader import LogReader
from store.store import create_store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.check import CheckPerformed
    from store.store import Store


INTERVAL_SECONDS: Final = 20.0
SETTLE_SECONDS: Final = 25.0
AWAY_SECONDS: Final = 5.0
GIVE_UP_SECONDS: Final = 120.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProductRun:
    """What was measured. CPU is a share of one core."""

    checks: int
    checker_cpu: float
    projections_cpu: float
    checker_mebibytes: float
    lateness_p50: float
    lateness_p99: float
    lateness_max: float
    views_behind: int
    catch_up_seconds: float


def cpu_of(pid: int) -> float:
    """Return the seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_of(pid: int | str) -> float:
    """Return the MiB that a process holds."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * _PAGE / 1024 / 1024


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of all values does not exceed."""
    return sorted(values)[max(int(len(values) * share + 0.5) - 1, 0)]


def lateness_ms(check: CheckPerformed) -> float:
    """Return how late a check began."""
    due, started = map(datetime.fromisoformat, (check.due_at, check.started_at))
    return (started - due).total_seconds() * 1000


def product_run(monitors: int, port: int, seconds: float) -> ProductRun:
    """Run the product on a new folder for so long, and start its checker again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with create_store(folder) as store:
            populate(
                store,
                monitors,
                check_interval=INTERVAL_SECONDS / 60,
                port=port,
                config={"ignoreTls": True},
            )
        with open_store(folder) as store, _part(folder, "projections", "run") as projections:
            with _part(folder, "checker") as checker:
                _wait_for(store, monitors, after=0)
                time.sleep(SETTLE_SECONDS)
                start = LogReader(store.checks).head()
                before = cpu_of(checker), cpu_of(projections)
                time.sleep(seconds)
                after = cpu_of(checker), cpu_of(projections)
                checks = _checks_after(store, start)
                behind = _views_behind(folder)
                memory = memory_of(checker)
            time.sleep(AWAY_SECONDS)
            head = LogReader(store.checks).head()
            restarted = time.monotonic()
            with _part(folder, "checker"):
                _wait_for(store, monitors, after=head)
                catch_up = time.monotonic() - restarted
    late = [lateness_ms(each) for each in checks]
    return ProductRun(
        checks=len(checks),
        checker_cpu=(after[0] - before[0]) / seconds,
        projections_cpu=(after[1] - before[1]) / seconds,
        checker_mebibytes=memory,
        lateness_p50=percentile(late, 0.5),
        lateness_p99=percentile(late, 0.99),
        lateness_max=max(late),
        views_behind=behind,
        catch_up_seconds=catch_up,
    )


@contextmanager
def _part(folder: Path, *command: str) -> Iterator[int]:
    """Run a part of the product until the block ends; give its process id."""
    env = {key: each for key, each in os.environ.items() if not key.startswith("POSTWATCH_")}
    env |= {
        "POSTWATCH_DATA": str(folder),
        "POSTWATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
        "POSTWATCH_LOG_LEVEL": "warning",
    }
    arguments = [sys.executable, "-m", "cli.main", *command]
    with subprocess.Popen(arguments, env=env) as process:
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _checks_after(store: Store, position: int) -> list[CheckPerformed]:
    return [each.event for each in LogReader(store.checks).after(position, 1_000_000)]


def _wait_for(store: Store, monitors: int, *, after: int) -> None:
    """Wait until so many monitors have a check that came after a position."""
    seen: set[str] = set()
    deadline = time.monotonic() + GIVE_UP_SECONDS
    reader = LogReader(store.checks)
    while len(seen) < monitors:
        for each in reader.after(after, 10_000):
            after = each.position
            seen.add(each.event.monitor_id)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(seen)} of {monitors} monitors were checked")
        time.sleep(0.05)


def _views_behind(folder: Path) -> int:
    """Return by how many events the view that is furthest behind is not current."""
    with open_store(folder) as store, Views(store) as views:
        return max(each.lag() for each in views.projectors.values())
