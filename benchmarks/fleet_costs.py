"""What one check costs on PostgreSQL: in the log, in each view, on disk."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg

from benchmarks.fleet_plan import Costs
from projections.catalog import Views
from projections.core.runner import relax_gc
from store.archive.segment import encode
from store.store import create_store
from tests.domain.given import TESTER
from tests.domain.realistic import LOCATION, Fleet

if TYPE_CHECKING:
    from pathlib import Path

    from store.store import Store
    from tests.places import Databases


SMALL: Final = 1
LARGE: Final = 200
_MONITORS: Final = 1000
_SIZE: Final = "SELECT pg_total_relation_size('postwatch_checks.checks_events')"
_OF_CHECKS: Final = ("checks", "roll_ups")


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is recorded to find the costs out."""

    batches: int
    checks: int


def measure(databases: Databases, folder: Path, amounts: Amounts, check_cpu: float) -> Costs:
    """Record and show checks. `check_cpu` is what a check takes of a checker, in seconds."""
    with (
        databases.migrated() as database,
        create_store(folder, bytes(32), database=database) as store,
    ):
        fleet = Fleet(_MONITORS)
        # What is done once for each monitor is no part of a batch.
        _record(store, fleet, _MONITORS, LARGE)
        small = statistics.median(_record(store, fleet, amounts.batches, SMALL))
        large = statistics.median(_record(store, fleet, amounts.checks, LARGE))
        each = (large - small) / (LARGE - SMALL)
        recorded = _MONITORS + amounts.batches + amounts.checks
        relax_gc()  # as the command does
        with Views(store) as views:
            folds = {name: _fold(views, name) / recorded for name in _OF_CHECKS}
        with psycopg.connect(database.url) as connection:
            ((size,),) = connection.execute(_SIZE).fetchall()
        rows = store.rows("checks").after(0, amounts.checks)
        archived = len(encode("checks", rows)) / len(rows)
    return Costs(
        batch=small - each,
        check_in_batch=each,
        folds=folds,
        check_cpu=check_cpu,
        check_bytes=size / recorded,
        archived_bytes=archived,
    )


def _record(store: Store, fleet: Fleet, checks: int, batch: int) -> list[float]:
    """Record checks; return the seconds of each batch."""
    made, seconds = fleet.checks(checks), []
    for start in range(0, checks, batch):
        began = time.perf_counter()
        store.checks.record(made[start : start + batch], location=LOCATION, actor=TESTER)
        seconds.append(time.perf_counter() - began)
    return seconds


def _fold(views: Views, name: str) -> float:
    """Bring a view to the head of its log, as the projections process does; return the seconds."""
    projector = views.projector(name)
    began = time.perf_counter()
    projector.catch_up()
    return time.perf_counter() - began
