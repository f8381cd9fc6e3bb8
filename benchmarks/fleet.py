"""A fleet on PostgreSQL: `python -m benchmarks.fleet [append] [api] [plan] [--quick]`.

append  checks a second by 1, 2, 4 and 8 recording processes, against pgbench
plan    a million monitors by calculation and simulation: what is full first, and by cells

The server is started for this, with its usual settings: every commit is on disk.
"""

from __future__ import annotations

import argparse
from typing import Final

from benchmarks import fleet_append
from tests.places import databases

WRITERS: Final = (1, 2, 4, 8)
GOAL: Final = 0.5
DURABLE: Final = {"shared_buffers": "256MB", "max_wal_size": "4GB"}


def append(events: int, rounds: int) -> None:
    """Append from more and more processes."""
    print(f"appending {events} checks, {fleet_append.BATCH} a transaction, every commit on disk")
    with databases(DURABLE) as made:
        for writers in WRITERS:
            found = [fleet_append.measure(made, writers, events) for _ in range(rounds)]
            best = sorted(found, key=lambda each: each.log / each.bare)[len(found) // 2]
            print(
                f"  {writers} writers: {best.log:,.0f} checks/s, pgbench {best.bare:,.0f} rows/s, "
                f"{best.log / best.bare:.2f} of it "
                f"(rounds {', '.join(f'{each.log / each.bare:.2f}' for each in found)})",
                flush=True,
            )


def main() -> None:
    """Measure what the arguments name, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], "append"], default=[])
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    append(*((8_000, 1) if arguments.quick else (80_000, 3)))


if __name__ == "__main__":
    main()
