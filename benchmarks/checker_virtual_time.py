"""Thirty days of many monitors in virtual time: every due check exactly once, or it fails.

    python -m benchmarks.checker_virtual_time [MONITORS] [DAYS]

The test of the same name does it with as many as fit into CI. Takes some minutes.
"""

from __future__ import annotations

import sys
import time

import trio
from trio.testing import MockClock

from tests.checker.thirty_days import ThirtyDays


def main() -> None:
    """Live through it, and print what came of it."""
    monitors, days = [*map(int, sys.argv[1:]), *(1000, 30)[len(sys.argv) - 1 :]]
    clock = MockClock(autojump_threshold=0)
    scenario = ThirtyDays(clock, monitors, days=days)
    began = time.process_time()
    trio.run(scenario.run, clock=clock)
    seconds = time.process_time() - began
    changes = ", ".join(f"{count} x {kind}" for kind, count in sorted(scenario.changes.items()))
    print(f"{monitors} monitors, {days} days: {scenario.checks:,} checks, each due one once")
    print(f"  {changes}; {len(scenario.restarts)} restarts broke off {scenario.not_made} checks")
    print(f"  {seconds:.0f} s of CPU, {seconds / scenario.checks * 1e6:.0f} us a check")


if __name__ == "__main__":
    main()
