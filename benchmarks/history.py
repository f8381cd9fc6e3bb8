"""The past in ratios: `python -m benchmarks.history`, or with `--quick` for a rough look.

Everything runs in one go on one machine, through the API on loopback, one request at a
time. Each comparison takes its two sides in turn and gives the median of the ratios.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from uuid import UUID

from benchmarks.api import LIST, Comparison, Side, get
from benchmarks.load import generator
from benchmarks.population import LOCATION, NEEDLE, TOKEN, populate
from benchmarks.servers import Server, started
from domain.actor import SYSTEM
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds, utc_now
from domain.monitor import Monitor
from projections.catalog import Views
from projections.views.monitors import MONITORS
from projections.views.time_travel import replay
from store.log_reader import LogReader
from store.store import open_store

if TYPE_CHECKING:
    from datetime import datetime


_BATCH: Final = 500
_CHUNK: Final = 1 << 16
_CHECKED: Final = 50
"""Monitors that share the checks: as many as a page shows."""

_HISTORY: Final = "/history?limit=50"
_WARM: Final = 30
"""Streams before memory is looked at."""

MOST_TIMES: Final = 1.5
MOST_TIMES_OF_ONE: Final = 4
MOST_TIMES_OF_LIST: Final = 30
MOST_TIMES_OF_SEARCH: Final = 50
MOST_GROWTH: Final = 1.05


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done."""

    rounds: int
    requests: int
    few: int
    many: int
    checks: int


FULL: Final = Scale(rounds=7, requests=300, few=1000, many=100_000, checks=1_000_000)
QUICK: Final = Scale(rounds=3, requests=100, few=1000, many=10_000, checks=50_000)


def change(folder: Path, monitor_id: UUID, times: int) -> None:
    """Give a monitor a long history, many events a transaction."""
    with open_store(folder) as store:
        monitor = store.monitoring.load(Monitor, monitor_id, "Monitor not found")
        for number in range(times):
            fields = {"timeout_seconds": 10 + number % 2}
            monitor.update(fields, actor=SYSTEM, now=utc_now())
            if number % _BATCH == _BATCH - 1:
                store.monitoring.save(monitor)
        store.monitoring.save(monitor)


def check(folder: Path, checks: int) -> None:
    """Record checks of every monitor, one a minute, half of them later than the log's head."""
    with open_store(folder) as store, Views(store) as views:
        view = views.projector("monitors").view
        monitors = [UUID(key) for key, _ in view.rows(MONITORS)]
        each = checks // len(monitors)
        begin = utc_now() - timedelta(minutes=each / 2)
        for minute in range(each):
            ended = begin + timedelta(minutes=minute)
            batch = [_performed(monitor_id, ended) for monitor_id in monitors]
            store.checks.record(batch, location=LOCATION, actor=SYSTEM)


def _performed(monitor_id: UUID, ended: datetime) -> PerformedCheck:
    text = iso_milliseconds(ended)
    outcome = {"verdict": "up", "category": "ok", "timings": {"total": 12.5}, "warnings": []}
    return PerformedCheck(monitor_id, 1, "smtp", text, text, ended, outcome)


def catch_up(folder: Path) -> int:
    """Let the views follow, say how fast each folds its log; return the audit log's head."""
    with open_store(folder) as store, Views(store) as views:
        for name, projector in views.projectors.items():
            begun = time.perf_counter()
            applied = projector.catch_up()
            if applied > _BATCH:
                rate = applied / (time.perf_counter() - begun)
                print(f"view {name}: {applied} events folded, {rate:.0f} a second", flush=True)
        size = (store.folder.views / "history.db").stat().st_size
        head = LogReader(store.monitoring).head()
        print(f"view history: {size / head:.0f} bytes an event", flush=True)
        return head


def stream(server: Server) -> bool:
    """Read the whole feed as lines a few times; return whether memory stays flat."""
    sizes: list[float] = []
    for _ in range(_WARM + 10):
        begun = time.perf_counter()
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/x-ndjson"}
            connection.request("GET", "/api/events", headers=headers)
            answer, lines = connection.getresponse(), 0
            while chunk := answer.read(_CHUNK):
                lines += chunk.count(b"\n")
        rate = lines / (time.perf_counter() - begun)
        sizes.append(max(server.memory_mib()))
    # Each thread of a worker keeps a connection with pages of its own; then it is full.
    sizes = sizes[_WARM:]
    growth = sizes[-1] / sizes[0]
    flat = growth <= MOST_GROWTH
    print(
        f"the feed as lines: {lines} events, {rate:.0f} a second; memory of a worker "
        + ", ".join(f"{each:.1f}" for each in sizes)
        + f" MiB, goal at most {MOST_GROWTH} times: {'met' if flat else 'MISSED'}",
        flush=True,
    )
    return flat


def fold(folder: Path) -> None:
    """Say what `postwatch replay` costs."""
    with open_store(folder) as store:
        log = LogReader(store.monitoring)
        begun = time.perf_counter()
        folded = replay(log, log.head())
        seconds = time.perf_counter() - begun
        print(f"replay: {folded.position()} events in {seconds:.1f} s", flush=True)


def run(folder: Path, scale: Scale) -> bool:
    """Fill folders, start servers, compare; return whether all goals are met."""
    few = populate(folder / "few", _CHECKED)
    many = populate(folder / "many", _CHECKED)
    wide = populate(folder / "wide", scale.many // 2)
    change(few.folder, few.first, scale.few)
    change(many.folder, many.first, scale.many)
    check(few.folder, scale.checks)
    few_head, head, wide_head = [catch_up(each.folder) for each in (few, many, wide)]
    fold(many.folder)
    with ExitStack() as stack:
        client = stack.enter_context(generator())
        servers = [stack.enter_context(started("api", each.folder)) for each in (few, many, wide)]
        short, long, broad = servers

        def side(server: Server, path: str, count: int = scale.requests) -> Side:
            return Side(server, get(path), count, connections=1)

        of = {each: f"/api/smtp-monitors/{each.first}" for each in (few, many, wide)}
        newest = side(short, f"{of[few]}{_HISTORY}")
        half, then = head // 2, f"{LIST}&asOf={wide_head // 2}"
        sought = f"{LIST}&search={quote(NEEDLE)}&asOf={wide_head}"
        comparisons = [
            Comparison(
                f"history at {scale.many} events / {scale.few}",
                side(long, f"{of[many]}{_HISTORY}"),
                newest,
                MOST_TIMES,
            ),
            Comparison(
                f"history in the middle of {scale.many} / {scale.few}",
                side(long, f"{of[many]}{_HISTORY}&before={half}"),
                newest,
                MOST_TIMES,
            ),
            Comparison(
                f"feed in the middle of {scale.many} / at its begin",
                side(long, f"/api/events?after={half}"),
                side(long, "/api/events"),
                MOST_TIMES,
            ),
            Comparison(
                f"one of {scale.many} versions then / now",
                side(long, f"{of[many]}?asOf={half}"),
                side(long, of[many]),
                MOST_TIMES_OF_ONE,
            ),
            Comparison(
                f"list then at {wide_head} events / now",
                side(broad, then),
                side(broad, LIST),
                MOST_TIMES_OF_LIST,
            ),
            Comparison(
                f"search then at {wide_head} events / list then",
                side(broad, sought, max(scale.requests // 30, 5)),
                side(broad, then),
                MOST_TIMES_OF_SEARCH,
            ),
            Comparison(
                f"list then at {scale.checks} checks / now",
                side(short, f"{LIST}&asOf={few_head}"),
                side(short, LIST),
                MOST_TIMES_OF_LIST,
            ),
        ]
        met = [each.run(client, scale.rounds) for each in comparisons]
        met.append(stream(long))
    return all(met)


def main() -> int:
    """Run in a folder that is gone afterwards, also when the run is ended by a signal."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    scale = QUICK if "--quick" in sys.argv[1:] else FULL
    with tempfile.TemporaryDirectory(prefix="postwatch-benchmark-") as folder:
        return 0 if run(Path(folder), scale) else 1


if __name__ == "__main__":
    sys.exit(main())
