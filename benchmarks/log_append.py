"""Appending checks against bare inserts of the same rows in the same table, both durable."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from benchmarks.ratios import Ratio
from store.store import create_store
from tests.domain.given import TESTER
from tests.domain.realistic import LOCATION, Fleet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from domain.checks import PerformedCheck


GOAL: Final = 0.5
MONITORS: Final = 1000

_INSERT: Final = """
INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)
"""
_ROWS: Final = "SELECT originator_id, originator_version, topic, state FROM stored_events"
_SCHEMA: Final = "SELECT sql FROM sqlite_schema WHERE name = 'stored_events'"

Batches = list[list["PerformedCheck"]]


def measure(folder: Path, checks: int, batch: int, rounds: int) -> Ratio:
    """Append in turn by the log and bare; both begin with an empty file in each round."""
    made = Fleet(MONITORS).checks(checks)
    batches = [made[start : start + batch] for start in range(0, checks, batch)]
    ratio = Ratio(f"append of {checks} checks, {batch} at a time / bare inserts", GOAL, checks)
    for number in range(rounds):
        data = folder / f"appended-{number}"
        mine = _by_the_log(data, batches)
        with closing(sqlite3.connect(data / "logs" / "checks.db")) as connection:
            rows = connection.execute(f"{_ROWS} ORDER BY rowid").fetchall()
            (schema,) = connection.execute(_SCHEMA).fetchone()
        ratio.add(mine, _bare(folder / f"bare-{number}.db", schema, rows, batch))
    return ratio


def _by_the_log(data: Path, batches: Batches) -> tuple[float, float]:
    with create_store(data) as store:
        # What is done once for each monitor is no part of a batch: its stream is looked up.
        for batch in batches:
            store.checks.look([each.monitor_id for each in batch], LOCATION, 1)
        began, used = time.perf_counter(), time.process_time()
        for batch in batches:
            store.checks.record(batch, location=LOCATION, actor=TESTER)
        return time.perf_counter() - began, time.process_time() - used


def _bare(
    path: Path, schema: str, rows: Sequence[tuple[object, ...]], batch: int
) -> tuple[float, float]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(schema)
        began, used = time.perf_counter(), time.process_time()
        for start in range(0, len(rows), batch):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, rows[start : start + batch])
            connection.execute("COMMIT")
        return time.perf_counter() - began, time.process_time() - used
