"""Views on SQLite and on PostgreSQL, side by side: `python -m benchmarks.views [--quick]`.

Both fold the same logs, which lie in a data folder, in turns within one run. The database
is a server of its own on loopback with its default durability; PostgreSQL's part of the
CPU is spent there, so times are those of the clock.
"""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.population import NEEDLE, change_often, populate
from domain.actor import SYSTEM
from domain.commands import UpdateMonitor
from projections.catalog import PROJECTIONS
from projections.core.projector import Projector
from projections.readers.monitors import MonitorFilter
from projections.storage.postgres_readers import PostgresViews
from projections.storage.sqlite_readers import SqliteViews
from store.ports.engine import Database
from store.postgres.engine import PostgresEngine
from store.store import open_store
from tests.postgres_server import postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from projections.readers.monitors import MonitorReader
    from projections.storage.ports import ViewStorage
    from store.store import Store


_MANY: Final = 50_000
"""Monitors: each is two events of the log, and one check."""

_FEW: Final = 5_000
_ROUNDS: Final = 3
_ASKED: Final = 300
_CHANGES: Final = 100

Projectors = dict[str, Projector]


def projectors(store: Store, storage: ViewStorage) -> Projectors:
    """Return a projector for each view of a store in a storage."""
    return {
        each.name: Projector(each.bound(store), store.reader(each.log), storage.view(each))
        for each in PROJECTIONS
    }


def rebuild(engines: dict[str, Projectors]) -> None:
    """Print how many events a second a rebuild takes, view by view, engine by engine."""
    for name in engines["sqlite"]:
        rates: dict[str, list[float]] = {engine: [] for engine in engines}
        for _ in range(_ROUNDS):
            for engine, found in engines.items():
                begun = time.perf_counter()
                found[name].rebuild()
                rates[engine].append(found[name].log.head() / (time.perf_counter() - begun))
        sqlite, postgres = (statistics.median(rates[each]) for each in ("sqlite", "postgres"))
        print(
            f"rebuild {name}: {found[name].log.head()} events; sqlite {sqlite:,.0f} a second, "
            f"postgres {postgres:,.0f}, ratio {postgres / sqlite:.2f}",
            flush=True,
        )


def catch_up(store: Store, engines: dict[str, Projectors], monitor_id: UUID) -> None:
    """Print what it takes to follow one change of a monitor."""
    spent: dict[str, list[float]] = {engine: [] for engine in engines}
    for number in range(_CHANGES):
        change = UpdateMonitor(monitor_id, {"timeout_seconds": 10 + number % 2})
        store.monitoring.update_monitor(change, SYSTEM)
        for engine, found in engines.items():
            begun = time.perf_counter()
            found["monitors"].catch_up()
            spent[engine].append(time.perf_counter() - begun)
    show("catch-up after a change", spent)


def ask(
    name: str,
    readers: dict[str, MonitorReader],
    question: Callable[[MonitorReader], object],
    count: int = _ASKED,
) -> None:
    """Print what an answer takes in this process."""
    spent: dict[str, list[float]] = {engine: [] for engine in readers}
    for _ in range(count):
        for engine, reader in readers.items():
            begun = time.perf_counter()
            question(reader)
            spent[engine].append(time.perf_counter() - begun)
    show(name, spent)


def show(name: str, spent: dict[str, list[float]]) -> None:
    """Print medians in milliseconds, and their ratio."""
    sqlite, postgres = (statistics.median(spent[each]) * 1000 for each in ("sqlite", "postgres"))
    print(
        f"{name}: sqlite {sqlite:.3f} ms, postgres {postgres:.3f} ms, "
        f"ratio {postgres / sqlite:.1f}",
        flush=True,
    )


def run(folder: Path, url: str, monitors: int) -> None:
    """Fill a store, fold it on both engines, and ask both."""
    population = populate(folder / "data", monitors)
    change_often(population.folder, population.first, 10)
    (folder / "views").mkdir()
    with (
        open_store(population.folder) as store,
        closing(SqliteViews(folder / "views")) as files,
        closing(PostgresViews(Database(url))) as database,
    ):
        storages: dict[str, ViewStorage] = {"sqlite": files, "postgres": database}
        engines = {engine: projectors(store, each) for engine, each in storages.items()}
        for found in engines.values():
            for projector in found.values():
                projector.catch_up()
        rebuild(engines)
        catch_up(store, engines, population.first)
        readers = {engine: each.reader() for engine, each in storages.items()}
        organization = readers["sqlite"].organization(1)
        assert organization is not None  # noqa: S101 - it was just made
        every = MonitorFilter("smtp", organization["public_id"])
        part = MonitorFilter("smtp", organization["public_id"], None, NEEDLE[4:14])
        last = str(population.last)
        ask("one monitor", readers, lambda reader: reader.rendered_monitor("smtp", last))
        ask("a token", readers, lambda reader: reader.token("unknown"))
        ask("a list of 50", readers, lambda reader: reader.monitors(every, 1, 50))
        ask("a search", readers, lambda reader: reader.monitors(part, 1, 50))
        deep = monitors // 100
        ask("a page in the middle", readers, lambda reader: reader.monitors(every, deep, 50), 20)


def main() -> None:
    """Run on a server and in a folder that are gone afterwards, also after a signal."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    monitors = _FEW if "--quick" in sys.argv[1:] else _MANY
    durable = {"fsync": "on", "shared_buffers": "256MB"}
    with postgres_server(durable) as server, tempfile.TemporaryDirectory() as folder:
        url = server.create_database("benchmark")
        with closing(PostgresEngine(Database(url))) as engine:
            engine.migrate()
        run(Path(folder), url, monitors)


if __name__ == "__main__":
    main()
