"""What archiving costs and saves: bytes a check, events a second, the file over steady runs.

`python -m benchmarks.archive` (some minutes; `--quick`: about one; parts can be named) fills
folders of its own under the system's temporary folder and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.archive_service import measure_service
from projections.catalog import PROJECTIONS, Views
from store.archive.segment import Segment, encode
from store.archiving import Archiver
from store.proving import log_proof
from store.sqlite.log import SqliteRows, prune
from store.store import create_store
from tests.domain.given import TESTER, make_owners
from tests.domain.realistic import START, Fleet, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from store.store import Store


MONITORS: Final = 1000
A_DAY: Final = timedelta(days=1)
CHECKS_A_DAY: Final = MONITORS * 24 * 12
GOAL_BYTES: Final = 60


def main() -> None:
    """Run the parts that are asked for."""
    parts = {
        "sizes": measure_sizes,
        "views": measure_views,
        "steady": measure_steady,
        "service": measure_service,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*parts, []], help="Default: all.")
    parser.add_argument("--quick", action="store_true", help="A tenth of the checks.")
    asked = parser.parse_args()
    for name in asked.part or parts:
        with tempfile.TemporaryDirectory(prefix="postwatch-archive-") as folder:
            print(f"\n{name}", flush=True)
            parts[name](Path(folder), quick=asked.quick)


@contextmanager
def filled(folder: Path, checks: int) -> Iterator[Store]:
    """Yield a store with monitors that were checked every five minutes."""
    with create_store(folder / "data") as store:
        record(store, Fleet(make_monitors(store)).checks(checks))
        log_proof(store, "checks").grow()
        yield store


def make_monitors(store: Store, count: int = MONITORS) -> list[UUID]:
    """Make monitors at the beginning of their checks, and return their ids."""
    store.monitoring.clock = lambda: START
    command = make_owners(store).create(check_interval=5)
    return [store.monitoring.create_monitor(command, TESTER).id for _ in range(count)]


def measure_sizes(folder: Path, *, quick: bool) -> None:
    """Bytes of an archived check, all included; archived and pruned events a second."""
    checks = CHECKS_A_DAY // (10 if quick else 1)
    with filled(folder, checks) as store:
        before, tree = SqliteRows(store.folder.checks_log), store.folder.proof / "checks.db"
        live = store.folder.checks_log.stat().st_size
        recorded = store.folder.monitoring_log.stat().st_size
        started = time.process_time()
        rows = before.after(0, 65_536)
        data = encode("checks", rows)
        encoding = time.process_time() - started
        started = time.process_time()
        Segment(data, "checks").check()
        decoding = time.process_time() - started
        started = time.monotonic()
        moved = Archiver(store, TESTER).run(timedelta(0), checks)
        took = time.monotonic() - started
        _vacuumed(tree)
        parts = {
            "segments": moved.size,
            "tree of hashes": tree.stat().st_size,
            "audit log": max(store.folder.monitoring_log.stat().st_size - recorded, 0),
        }
    each = {name: size / checks for name, size in parts.items()}
    print(f"  {checks:,} checks of {MONITORS:,} monitors, {live / checks:,.0f} bytes each before")
    for name, size in each.items():
        print(f"  {name:>16}: {size:6.2f} bytes a check")
    verdict = "within" if sum(each.values()) <= GOAL_BYTES else "ABOVE"
    print(f"  {'all':>16}: {sum(each.values()):6.2f}, {verdict} the goal of {GOAL_BYTES}")
    print(
        f"  encoding {len(rows) / encoding:,.0f}, decoding {len(rows) / decoding:,.0f} checks/s CPU"
    )
    print(f"  a whole run, with its rests: {checks / took:,.0f} checks/s")


def _vacuumed(path: Path) -> None:
    """Give free pages back, so that the size is what the hashes take."""
    with sqlite3.connect(path) as connection:
        connection.execute("VACUUM")
    connection.close()


def measure_views(folder: Path, *, quick: bool) -> None:
    """Rebuilding each view from the live log and from the archive; CPU of each for a check."""
    checks = CHECKS_A_DAY // (10 if quick else 2)
    with filled(folder, checks) as store:
        live = _rebuild(store)
        Archiver(store, TESTER).run(timedelta(0), checks)
        archived = _rebuild(store)
        days = sum(path.stat().st_size for path in store.folder.views.glob("roll_ups.db*"))
    for name in live:
        ratio = live[name] / archived[name]
        print(
            f"  {name:>10}: {checks / live[name]:8,.0f} checks/s from the log, "
            f"{checks / archived[name]:8,.0f} from the archive ({ratio:.2f} of it); "
            f"{live[name] / checks * 1e6:.1f} us CPU a check"
        )
    days_long = checks / CHECKS_A_DAY
    print(f"  roll-ups: {days / MONITORS / days_long:,.0f} bytes a monitor a day, with its indexes")


def _rebuild(store: Store) -> dict[str, float]:
    """Return CPU seconds of rebuilding each view of the checks."""
    took = {}
    with Views(store) as views:
        for projection in PROJECTIONS:
            if projection.log == "checks":
                projector = views.projector(projection.name)
                started = time.process_time()
                projector.rebuild(lambda *_: None)
                took[projection.name] = time.process_time() - started
    return took


def measure_steady(folder: Path, *, quick: bool) -> None:
    """The file of the log over many days of checks, each with an archive run at its end."""
    kept, days = 5, 20
    a_day = CHECKS_A_DAY // (40 if quick else 10)
    monitors = MONITORS // 10
    interval = monitors * A_DAY.total_seconds() / a_day
    with create_store(folder / "data") as store:
        fleet = Fleet(make_monitors(store, monitors), interval_seconds=interval)
        print(f"  {a_day:,} checks a day of {monitors} monitors; {kept} days are kept")
        for day in range(1, days + 1):
            total = record(store, fleet.checks(a_day)) * day
            end = START + day * A_DAY
            run = Archiver(store, TESTER, clock=partial(max, end, end))
            moved = run.run(kept * A_DAY, total)
            log = store.folder.checks_log
            wal = log.with_name(f"{log.name}-wal")
            print(
                f"  day {day:2}: archived {moved.events:6,}, "
                f"log {log.stat().st_size / 1e6:7.2f} MB "
                f"(write-ahead {wal.stat().st_size / 1e6:5.2f}), "
                f"archive {store.archive.files.size() / 1e6:6.2f} MB",
                flush=True,
            )
        assert prune(store.folder.checks_log, 0, 0) == 0  # noqa: S101 - nothing was left


if __name__ == "__main__":
    main()
