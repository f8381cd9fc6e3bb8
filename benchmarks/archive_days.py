"""The data folder over days of a whole installation that nobody looks after.

    python -m benchmarks.archive_days [MONITORS] [DAYS] [SPEED]

Checks of MONITORS (2,000), made every five minutes, are appended as a checker does, at SPEED
(180) times the real pace, beside the real projections process and the real alerting process
with default settings, whose clocks go as fast. It prints the sizes at the end of each virtual
day, what was archived, and how long appending a batch took beside archiving and without it.
Three days take 24 minutes, and leave nothing behind.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Final

from benchmarks.archive import make_monitors
from benchmarks.virtual_clock import VirtualClock, command
from projections.catalog import Views
from store.proving import log_proof, verify
from store.store import create_store
from tests.domain.given import TESTER
from tests.domain.realistic import LOCATION, START, Fleet
from tests.system.service import CLEAN, ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.store import Store


INTERVAL_SECONDS: Final = 300
BATCH_SECONDS: Final = 0.1
_BATCH: Final = 500
_MB: Final = 1_000_000
_PARTS: Final = ("logs/checks.db", "logs/archive", "proof", "views", "keys")


def main() -> None:
    """Live through the days, and verify the log at the end."""
    monitors, days, speed = [*map(int, sys.argv[1:]), *(2000, 3, 180)[len(sys.argv) - 1 :]]
    with tempfile.TemporaryDirectory(prefix="postwatch-days-") as folder:
        data = Path(folder) / "data"
        with create_store(data) as store:
            fleet = Fleet(make_monitors(store, monitors), interval_seconds=INTERVAL_SECONDS)
            with Views(store):
                clock = VirtualClock(START, time.time(), speed)
            with _running(data, clock, Path(folder) / "said"):
                Days(store, fleet, clock, monitors).live(days)
            print((Path(folder) / "said").read_text())
            report = verify(log_proof(store, "checks"))
            print(f"verified: {report.ok}, {report.events:,} events, {report.archived:,} archived")


class Days:
    """Appends the checks of a fleet when they are due, and looks at what becomes of them."""

    def __init__(self, store: Store, fleet: Fleet, clock: VirtualClock, monitors: int) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._a_second = monitors / INTERVAL_SECONDS
        self._made = 0
        self._largest_lag = 0
        self._took: dict[bool, list[float]] = {True: [], False: []}

    def live(self, days: int) -> None:
        """Append until the last day is over."""
        for day in range(1, days + 1):
            whole = int(day * 86_400 * self._a_second)
            for number in count():
                self._append_due()
                if number % 50 == 0:
                    self._look()
                if self._made >= whole:
                    break
            self._print(day)

    def _append_due(self) -> None:
        """Append the checks that are due by now, and measure that."""
        started = time.monotonic()
        due = int((self._clock.now() - START).total_seconds() * self._a_second) - self._made
        checks = self._fleet.checks(min(due, _BATCH))
        if checks:
            beside = self._store.engine.locks.holder("archive") is not None
            began = time.monotonic()
            self._store.checks.record(checks, location=LOCATION, actor=TESTER)
            self._took[beside].append((time.monotonic() - began) * 1000)
        self._made += len(checks)
        if len(checks) == due:
            time.sleep(max(started + BATCH_SECONDS - time.monotonic(), 0))

    def _look(self) -> None:
        decided = self._store.incidents.tracked("checks") or 0
        self._largest_lag = max(self._largest_lag, self._made - decided)

    def _print(self, day: int) -> None:
        root = self._store.folder.root
        sizes = {part: _size(root, part) / _MB for part in _PARTS}
        everything = sum(each.stat().st_size for each in root.rglob("*") if each.is_file()) / _MB
        through = self._store.archive.through()
        print(
            f"day {day}: {self._made:,} checks, {through:,} archived; folder {everything:,.0f} MB: "
            + ", ".join(f"{part} {size:,.1f}" for part, size in sizes.items())
            + f"; alerting was {self._largest_lag:,} checks behind at most",
            flush=True,
        )
        for beside, took in self._took.items():
            if len(took) > 1:
                cuts = quantiles(took, n=100)
                print(
                    f"  appending {'beside archiving' if beside else 'without'}: {len(took)} "
                    f"batches, p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f}, slowest {max(took):.0f}",
                    flush=True,
                )


@contextmanager
def _running(data: Path, clock: VirtualClock, said: Path) -> Iterator[None]:
    """Run projections and alerting with the clock while the block runs."""
    env = {**CLEAN, **clock.environment(), "POSTWATCH_DATA": str(data)}
    with ExitStack() as stack:
        log = stack.enter_context(said.open("w"))
        for part in (("projections", "run"), ("alerting",)):
            process = subprocess.Popen(command(*part), cwd=ROOT, env=env, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        wait_until(lambda: "follow" in said.read_text() or bool(said.read_text()), seconds=60)
        yield


def _size(root: Path, part: str) -> int:
    return sum(each.stat().st_size for each in root.glob(f"{part}*") if each.is_file()) + sum(
        each.stat().st_size for each in (root / part).rglob("*") if each.is_file()
    )


if __name__ == "__main__":
    assert datetime.now(tz=UTC) > START  # noqa: S101 - the days are past ones
    main()
