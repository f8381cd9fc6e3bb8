"""Prints what a checker with so many monitors holds in MiB, and after how long it was ready.

A process of its own for each number. The monitors are due a day later, so it is at rest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

from benchmarks.checker_path import populate, running_checker
from benchmarks.checker_product import memory_of
from checker.runtime.limits import Limits
from domain.check import Category, Outcome, Verdict
from store.store import create_store, open_store


async def _measure(folder: Path) -> None:
    async def probe(*_: object) -> Outcome:
        return Outcome(Verdict.UP, Category.OK, None, "", {})

    began = time.monotonic()
    with open_store(folder) as store:
        # No budget of sockets: nothing begins, and nothing of a check is counted.
        async with running_checker(store, probe, Limits(open_sockets=0)):
            seconds = time.monotonic() - began
            await trio.sleep(3)
            print(memory_of("self"), seconds)


def main() -> None:
    """Fill a folder in another process, then measure in this one."""
    if len(sys.argv) == 3:  # noqa: PLR2004 - the call below
        with create_store(Path(sys.argv[2])) as store:
            populate(store, int(sys.argv[1]), check_interval=1440, port=25)
        return
    with tempfile.TemporaryDirectory() as folder:
        fill = [sys.executable, "-m", "benchmarks.checker_memory", sys.argv[1], folder]
        subprocess.run(fill, check=True)
        trio.run(_measure, Path(folder))


if __name__ == "__main__":
    main()
