"""What sharing costs and how long a takeover takes, on a real PostgreSQL and real processes.

`python -m benchmarks.fleet_takeover` starts a server and checkers on loopback, and leaves nothing.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from store.store import create_store
from tests.places import databases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from store.ports.engine import Database
    from store.store import Store


ROUNDS: Final = 7
IDLE_SECONDS: Final = 30
LONGEST_SECONDS: Final = 60
TICKS: Final = os.sysconf("SC_CLK_TCK")


class Checkers:
    """Checkers of one location on a store without monitors."""

    def __init__(self, store: Store, database: Database, folder: Path) -> None:
        self._store = store
        self._env = {
            **{name: value for name, value in os.environ.items() if name[:10] != "POSTWATCH_"},
            "POSTWATCH_DATA": str(folder / "data"),
            "POSTWATCH_DATABASE_URL": database.url,
        }

    @contextmanager
    def one(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run one more."""
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "checker", "--location", "de-nbg"],
            env=self._env,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait()

    def shares(self) -> dict[int, int]:
        """Return how many shards each process holds."""
        return {
            int(row.session.beat.holder.rpartition(":")[2]): len(row.session.shards)
            for row in self._store.engine.fleet()
            if row.session.beat is not None
        }

    def wait_for(self, *counts: int) -> float:
        """Wait until these are the shares; return how many seconds that took."""
        began = time.monotonic()
        while sorted(self.shares().values()) != sorted(counts):
            if time.monotonic() - began > LONGEST_SECONDS:
                raise TimeoutError(f"the shares are {self.shares()}, not {counts}")
            time.sleep(0.01)
        return time.monotonic() - began


def main() -> None:
    """Measure and print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(stack.enter_context(databases()).migrated())
        store = stack.enter_context(create_store(folder / "data", database=database))
        checkers = Checkers(store, database, folder)
        _measure_cost(checkers, database)
        _print_times("takeover after kill -9", checkers, lambda each: each.kill())
        _print_times(
            "takeover after SIGSTOP", checkers, lambda each: each.send_signal(signal.SIGSTOP)
        )


def _measure_cost(checkers: Checkers, database: Database) -> None:
    with checkers.one() as process, psycopg.connect(database.url, autocommit=True) as asking:
        checkers.wait_for(64)
        cpu, queries = _cpu_seconds(process.pid), _transactions(asking)
        time.sleep(IDLE_SECONDS)
        cpu, queries = _cpu_seconds(process.pid) - cpu, _transactions(asking) - queries
        print(
            f"idle checker with 64 shards: {cpu / IDLE_SECONDS:.2%} of a CPU, "
            f"{queries / IDLE_SECONDS:.1f} transactions a second"
        )


def _print_times(
    what: str, checkers: Checkers, end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    times = []
    with checkers.one():
        for _ in range(ROUNDS):
            checkers.wait_for(64)
            with checkers.one() as other:
                checkers.wait_for(32, 32)
                end(other)
                times.append(checkers.wait_for(64))
    print(f"{what}: median {statistics.median(times):.1f} s, longest {max(times):.1f} s")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _transactions(connection: psycopg.Connection[tuple[int]]) -> int:
    connection.execute("SELECT pg_stat_clear_snapshot()")
    found = connection.execute(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database "
        "WHERE datname = current_database()"
    ).fetchone()
    assert found is not None  # noqa: S101 - an aggregate of one row
    return found[0]


if __name__ == "__main__":
    main()
