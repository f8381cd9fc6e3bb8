"""Rebuilding the views of checks against bare reading and decoding of the same rows."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

import orjson

from benchmarks.ratios import Ratio
from projections.catalog import Views
from projections.core.runner import relax_gc
from store.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.ratios import Times
    from projections.core.projector import Projector


GOAL: Final = 0.4

_PAGE: Final = 500
"""Rows at a time: the quickest."""

_AFTER: Final = """
SELECT rowid, originator_id, originator_version, topic, state FROM stored_events
WHERE rowid > ? ORDER BY rowid LIMIT ?
"""


def measure(folder: Path, rounds: int) -> bool:
    """Rebuild and read in turn, and show it. Nothing else runs on the folder."""
    relax_gc()  # as the command does
    with open_store(folder) as store, Views(store) as views:
        of_checks = [each for each in views.projectors.values() if each.log.name == "checks"]
        events = of_checks[0].log.head()
        ratios = [
            Ratio(
                f"rebuild of {each.projection.name}, {events} events / bare reading", GOAL, events
            )
            for each in of_checks
        ]
        for _ in range(rounds):
            bare = _bare(folder / "logs" / "checks.db")
            for projector, ratio in zip(of_checks, ratios, strict=True):
                ratio.add(_rebuilt(projector), bare)
    met = [ratio.show() for ratio in ratios]
    return all(met)


def _rebuilt(projector: Projector) -> Times:
    began, used = time.perf_counter(), time.process_time()
    projector.rebuild(from_start=True)
    return time.perf_counter() - began, time.process_time() - used


def _bare(path: Path) -> Times:
    began, used = time.perf_counter(), time.process_time()
    with closing(sqlite3.connect(path)) as connection:
        position = 0
        while rows := connection.execute(_AFTER, (position, _PAGE)).fetchall():
            for *_, state in rows:
                orjson.loads(state)
            position = rows[-1][0]
    return time.perf_counter() - began, time.process_time() - used
