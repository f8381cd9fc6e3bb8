"""Appending batches of checks from several processes, against pgbench with the same rows.

pgbench copies rows inside the server and takes no lock, so that its clients wait only for the
disk: the lowest possible cost of inserting these rows. The writers of Postwatch send the rows,
and append one after the other, so that no reader passes a position that is committed later.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg

from store.ports.engine import Database
from store.store import create_store
from tests.domain.given import TESTER
from tests.domain.realistic import LOCATION, Fleet
from tests.postgres_server import find_binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.places import Databases
    from tests.postgres_server import PostgresServer


BATCH: Final = 200
"""Checks a transaction: what a checker takes at most."""

_MONITORS: Final = 1000
_MANY_BATCHES: Final = 2000
_COUNT: Final = "SELECT count(*) FROM postwatch_checks.checks_events"
_SOURCE: Final = """
CREATE TABLE bare (
    originator_id uuid NOT NULL, originator_version bigint NOT NULL, topic text NOT NULL,
    state bytea NOT NULL, notification_id bigserial,
    PRIMARY KEY (originator_id, originator_version)
);
CREATE UNIQUE INDEX bare_by_position ON bare (notification_id);
CREATE TABLE source AS
SELECT originator_id, originator_version, topic, state, notification_id AS number
FROM postwatch_checks.checks_events;
CREATE UNIQUE INDEX source_by_number ON source (number);
VACUUM ANALYZE source;
"""
_SCRIPT: Final = """
\\set batch :batch_number
\\set batch_number :batch_number + 1
\\set start (:client_id * :batches + :batch) * {size}
INSERT INTO bare (originator_id, originator_version, topic, state)
SELECT originator_id, originator_version, topic, state FROM source
WHERE number > :start AND number <= :start + {size} ORDER BY number;
"""


class Rates(NamedTuple):
    """Events a second of so many writers: by the log, and by pgbench."""

    writers: int
    log: float
    bare: float


def measure(databases: Databases, writers: int, events: int) -> Rates:
    """Append `events` checks from `writers` processes, and insert the same rows bare."""
    batches = max(events // writers // BATCH, 1)
    with databases.migrated() as database:
        seconds = _by_the_log(database, writers, batches)
        bare = _bare(databases.server, database.url, writers, batches)
    total = writers * batches * BATCH
    return Rates(writers, total / seconds, total / bare)


def _by_the_log(database: Database, writers: int, batches: int) -> float:
    """Let all begin at once; return the seconds until the last one is done."""
    with _writers(database, writers, batches) as processes:
        spans = [tuple(map(float, _hear(each).split())) for each in processes]
    return max(end for _, end in spans) - min(begin for begin, _ in spans)


@contextmanager
def recording(database: Database, writers: int) -> Iterator[Callable[[], float]]:
    """Record from some processes during the block; yield a function for checks a second so far.

    They have enough for a minute or more, and are ended before that.
    """
    with (
        psycopg.connect(database.url, autocommit=True) as connection,
        _writers(database, writers, _MANY_BATCHES) as processes,
    ):
        began = time.perf_counter()

        def rate() -> float:
            ((count,),) = connection.execute(_COUNT).fetchall()
            return int(count) / (time.perf_counter() - began)

        yield rate
        for each in processes:
            each.kill()


@contextmanager
def _writers(
    database: Database, writers: int, batches: int
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start processes that record so many batches each, and let them begin at once."""
    command = [sys.executable, "-m", "benchmarks.fleet_append", str(batches)]
    with tempfile.TemporaryDirectory() as folder:
        create_store(Path(folder), bytes(32), database=database).close()
        processes = [
            subprocess.Popen(
                [*command, str(number), folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(writers)
        ]
        # The settings of a URL are secret, so they go in by the pipe.
        for each in processes:
            _tell(each, database.url)
        for each in processes:
            _hear(each)
        for each in processes:
            _tell(each, "go")
        yield processes
        for each in processes:
            each.communicate()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None  # noqa: S101 - for the type checker
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # noqa: S101 - for the type checker
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a writer ended before its time")
    return line


def _bare(server: PostgresServer, url: str, writers: int, batches: int) -> float:
    """Return the seconds that pgbench takes for the same rows in as many batches."""
    binaries = find_binaries()
    assert binaries is not None  # noqa: S101 - the server runs from there
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _SOURCE.split(";\n")[:-1]:
            connection.execute(statement)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_SCRIPT.format(size=BATCH))
        script.flush()
        command = [str(binaries / "pgbench"), "-n", "-f", script.name, "-D", "batch_number=0"]
        counts = ["-D", f"batches={batches}", "-c", str(writers), "-j", str(min(writers, 2))]
        done = subprocess.run(
            [*command, *counts, "-t", str(batches), "-h", "127.0.0.1", "-p", str(server.port), url],
            capture_output=True,
            text=True,
            check=True,
        )
    tps = next(line for line in done.stdout.splitlines() if line.startswith("tps = "))
    return writers * batches / float(tps.split()[2])


def main() -> None:
    """Append as one writer: told the URL and to go by stdin, tell when it began and ended."""
    batches, number, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    url = sys.stdin.readline().strip()
    made = Fleet(_MONITORS, seed=number).checks(batches * BATCH)
    with create_store(folder / str(number), bytes(32), database=Database(url)) as store:
        store.checks.look([each.monitor_id for each in made], LOCATION, 1)
        print("ready", flush=True)
        sys.stdin.readline()
        begin = time.time()
        for start in range(0, len(made), BATCH):
            store.checks.record(made[start : start + BATCH], location=LOCATION, actor=TESTER)
        print(begin, time.time(), flush=True)


if __name__ == "__main__":
    main()
