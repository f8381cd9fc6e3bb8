"""The REST API in ratios: `python -m benchmarks.api`, or with `--quick` for a rough look.

Everything runs in one go on one machine, on the same gunicorn settings, on loopback.
Each comparison takes its two sides in turn, round by round, and gives the median of the
rounds' ratios; CPU is what the kernel accounted to the workers, a request.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from benchmarks.load import Load, drive, generator, request
from benchmarks.population import NEEDLE, TOKEN, change_often, populate
from benchmarks.servers import Server, started

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import ProcessPoolExecutor
    from uuid import UUID


CONNECTIONS: Final = 32
MOST_GROWTH: Final = 1.05
LIST: Final = "/api/smtp-monitors?perPage=50"
BY_STATE: Final = f"{LIST}&state=up"
SUMMARY: Final = "/api/monitors/summary"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done."""

    rounds: int
    requests: int
    writes: int
    few: int
    many: int
    events: int
    memory: int


FULL: Final = Scale(
    rounds=7, requests=4000, writes=1000, few=1000, many=100_000, events=10_000, memory=100_000
)
QUICK: Final = Scale(
    rounds=3, requests=1000, writes=200, few=200, many=5000, events=500, memory=5000
)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: what is sent where."""

    server: Server
    requests: Sequence[bytes]
    count: int
    status: int = 200
    connections: int = CONNECTIONS

    def measure(self, client: ProcessPoolExecutor) -> tuple[float, float]:
        """Return microseconds a request, as the client waits and as the workers' CPU works."""
        load = Load(self.server.port, self.requests, self.count, self.connections, self.status)
        before = self.server.cpu_seconds()
        seconds = client.submit(drive, load).result()
        cpu = self.server.cpu_seconds() - before
        return seconds / self.count * 1e6, cpu / self.count * 1e6


@dataclass(frozen=True, slots=True)
class Comparison:
    """A side, what it is compared with, and how many times its time it may take."""

    name: str
    side: Side
    reference: Side
    most_times: float

    def run(self, client: ProcessPoolExecutor, rounds: int) -> bool:
        """Measure, print a line, and return whether the goal is met."""
        self.side.measure(client)
        self.reference.measure(client)
        measured = [
            (self.side.measure(client), self.reference.measure(client)) for _ in range(rounds)
        ]
        ratio = statistics.median(mine[0] / other[0] for mine, other in measured)
        spread = [mine[0] / other[0] for mine, other in measured]
        times = [statistics.median(each[i][j] for each in measured) for i in (0, 1) for j in (0, 1)]
        print(
            f"{self.name:<44} {ratio:6.2f} times the time (rounds {min(spread):.2f} to "
            f"{max(spread):.2f}), goal at most {self.most_times:.2f}: "
            f"{'met' if ratio <= self.most_times else 'MISSED'}\n"
            f"{'':<44} {times[0]:.0f} us and {times[1]:.0f} us CPU a request, "
            f"against {times[2]:.0f} us and {times[3]:.0f} us CPU",
            flush=True,
        )
        return ratio <= self.most_times


def get(path: str) -> list[bytes]:
    """Return the one request for a path."""
    return [request("GET", path, TOKEN)]


def patches(monitor_id: UUID) -> list[bytes]:
    """Return two requests that each undo what the other did."""
    path = f"/api/smtp-monitors/{monitor_id}"
    bodies = [json.dumps({"timeoutSeconds": each}).encode() for each in (20, 21)]
    return [request("PATCH", path, TOKEN, body) for body in bodies]


def creates(config: dict[str, object]) -> list[bytes]:
    """Return a request that creates a monitor."""
    body = {
        "customerId": 1,
        "name": "Outbound SMTP",
        "hostname": "smtp.example.com",
        "port": 587,
        "checkInterval": 60,
        "timeoutSeconds": 30,
        "smtpConfig": config,
    }
    return [request("POST", "/api/smtp-monitors", TOKEN, json.dumps(body).encode())]


def memory(server: Server, client: ProcessPoolExecutor, count: int) -> bool:
    """Watch the workers' memory over many reads; return whether it stays flat."""
    load = Load(server.port, [*get(LIST), *get("/api/organization")], count // 10, CONNECTIONS)
    client.submit(drive, load).result()
    sizes = [server.memory_mib()]
    for _ in range(10):
        client.submit(drive, load).result()
        sizes.append(server.memory_mib())
    growth = max(after / before for before, after in zip(sizes[0], sizes[-1], strict=True))
    flat = growth <= MOST_GROWTH
    print(
        f"memory of a worker over {count} requests: "
        + ", ".join(f"{max(each):.1f}" for each in sizes)
        + f" MiB; {growth:.3f} times, goal at most {MOST_GROWTH}: {'met' if flat else 'MISSED'}",
        flush=True,
    )
    return flat


def run(folder: Path, scale: Scale) -> bool:
    """Fill folders, start servers, compare; return whether all goals are met."""
    print(f"filling folders with {scale.few} and {scale.many} monitors ...", flush=True)
    few = populate(folder / "few", scale.few)
    many = populate(folder / "many", scale.many)
    change_often(few.folder, few.last, scale.events)
    (folder / "bare").mkdir()
    with ExitStack() as stack:
        client = stack.enter_context(generator())
        bare = stack.enter_context(started("bare", folder / "bare"))
        small = stack.enter_context(started("api", few.folder))
        large = stack.enter_context(started("api", many.folder))
        hello = Side(bare, get("/hello"), scale.requests)
        one = Side(small, get(f"/api/smtp-monitors/{few.first}"), scale.requests)
        listed = Side(small, get(LIST), scale.requests // 2)
        listed_large = Side(large, get(LIST), scale.requests // 2)
        by_state = Side(large, get(BY_STATE), scale.requests // 2)
        counted = Side(large, get(SUMMARY), scale.requests // 2)
        sought = f"{LIST}&search={quote(NEEDLE)}"
        search = Side(small, get(sought), scale.writes // 2)
        search_large = Side(large, get(sought), scale.writes // 10)
        create = Side(small, creates({"secure": False}), scale.writes, 201)
        append = Side(bare, [request("POST", "/append", TOKEN, b"x" * 900)], scale.writes, 201)
        changed = Side(small, patches(few.last), scale.writes // 2, connections=1)
        fresh = Side(small, patches(few.first), scale.writes // 2, connections=1)
        comparisons = [
            Comparison("GET one / hello", one, hello, 1 / 0.7),
            Comparison("list of 50 / hello", listed, hello, 1 / 0.35),
            Comparison(f"list of 50 at {scale.many} / {scale.few}", listed_large, listed, 1.5),
            Comparison(f"list by state / list at {scale.many}", by_state, listed_large, 1.5),
            Comparison(f"summary / list at {scale.many}", counted, listed_large, 1.5),
            Comparison(f"search at {scale.many} / {scale.few}", search_large, search, 5),
            Comparison(f"PATCH after {scale.events} events / fresh", changed, fresh, 1.5),
            Comparison("POST / bare durable append", create, append, 2),
        ]
        met = [each.run(client, scale.rounds) for each in comparisons]
        met.append(memory(small, client, scale.memory))
    return all(met)


def main() -> int:
    """Run in a folder that is gone afterwards, also when the run is ended by a signal."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    scale = QUICK if "--quick" in sys.argv[1:] else FULL
    with tempfile.TemporaryDirectory(prefix="postwatch-benchmark-") as folder:
        return 0 if run(Path(folder), scale) else 1


if __name__ == "__main__":
    sys.exit(main())
