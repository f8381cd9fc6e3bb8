"""A fleet on PostgreSQL: `python -m benchmarks.fleet [append] [api] [plan] [--quick]`.

append  checks a second by 1, 2, 4 and 8 recording processes, against pgbench
api     changes by the API while checkers record as fast as they can
plan    a million monitors, from the costs that are measured first: what is full first, and
        what cells give

The server is started for this, with its usual settings: every commit is on disk.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import fleet_api, fleet_append, fleet_costs, fleet_plan
from tests.places import databases

PARTS: Final = ("append", "api", "plan")
WRITERS: Final = (1, 2, 4, 8)
CELLS: Final = (1, 2, 4, 8)
DEMANDS: Final = (
    fleet_plan.Demand(1_000_000, 300, 1),
    fleet_plan.Demand(1_000_000, 300, 3),
    fleet_plan.Demand(1_000_000, 60, 3),
)
CHECK_CPU_SECONDS: Final = 0.0015
"""Of a check with TLS in a checker's process, by `benchmarks.checker path`."""

_SERVER: Final = {"shared_buffers": "256MB", "max_wal_size": "4GB"}


def append(*, quick: bool) -> None:
    """Append from more and more processes."""
    events, rounds = (8_000, 1) if quick else (80_000, 3)
    print(f"append: {events} checks, {fleet_append.BATCH} a transaction, every commit on disk")
    with databases(_SERVER) as made:
        for writers in WRITERS:
            found = [fleet_append.measure(made, writers, events) for _ in range(rounds)]
            middle = sorted(found, key=lambda each: each.log / each.bare)[rounds // 2]
            print(
                f"  {writers} writers: {middle.log:,.0f} checks/s, pgbench {middle.bare:,.0f} "
                f"rows/s, {middle.log / middle.bare:.2f} of it "
                f"(rounds {', '.join(f'{each.log / each.bare:.2f}' for each in found)})",
                flush=True,
            )


def api(*, quick: bool) -> None:
    """Change monitors, first alone and then beside recording processes."""
    with databases(_SERVER) as made, tempfile.TemporaryDirectory() as folder:
        found = fleet_api.measure(made, Path(folder) / "data", 100 if quick else 1000)
    quiet, busy = found.quiet, found.busy
    print(
        f"api: changes take {quiet.median:.1f} ms (p99 {quiet.p99:.1f}); beside "
        f"{fleet_api.WRITERS} processes that record {found.checks_a_second:,.0f} checks/s "
        f"{busy.median:.1f} ms (p99 {busy.p99:.1f}), {busy.median / quiet.median:.2f} times",
        flush=True,
    )


def plan(*, quick: bool) -> None:
    """Find the costs out, and calculate with them."""
    amounts = fleet_costs.Amounts(200, 10_000) if quick else fleet_costs.Amounts(1000, 100_000)
    with databases(_SERVER) as made, tempfile.TemporaryDirectory() as folder:
        costs = fleet_costs.measure(made, Path(folder), amounts, CHECK_CPU_SECONDS)
    folds = ", ".join(f"{name} {seconds * 1e6:.0f} us" for name, seconds in costs.folds.items())
    print(
        f"plan: a batch {costs.batch * 1000:.2f} ms and {costs.check_in_batch * 1e6:.0f} us each "
        f"check; to show one {folds}; {costs.check_bytes:.0f} bytes in the log, "
        f"{costs.archived_bytes:.1f} archived"
    )
    for demand in DEMANDS:
        fleet_plan.show(demand, costs, CELLS)


def main() -> None:
    """Measure what the arguments name, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for name, part in (("append", append), ("api", api), ("plan", plan)):
        if name in (arguments.parts or PARTS):
            part(quick=arguments.quick)


if __name__ == "__main__":
    main()
