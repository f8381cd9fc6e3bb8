"""Changes by the API while checkers record as fast as they can, in the same database."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.fleet_append import recording
from benchmarks.population import TOKEN
from benchmarks.servers import started
from projections.catalog import Views
from store.store import create_store
from tests.domain.given import CREATE_SMTP

if TYPE_CHECKING:
    from pathlib import Path

    from tests.places import Databases


WRITERS: Final = 2
MASTER_KEY: Final = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
_PATH: Final = "/api/smtp-monitors"


class Latency(NamedTuple):
    """How long changes took, in milliseconds."""

    median: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> Latency:
        """Return the median and the 99th percentile."""
        ordered = sorted(seconds)
        return cls(statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.99)] * 1000)


class Found(NamedTuple):
    """Latencies without and with the checkers, and what these recorded a second meanwhile."""

    quiet: Latency
    busy: Latency
    checks_a_second: float


def measure(databases: Databases, folder: Path, requests: int) -> Found:
    """Change a monitor again and again; half of the requests create one."""
    with databases.migrated() as database:
        with create_store(folder, bytes(32), database=database) as store, Views(store) as views:
            store.monitoring.set_up("Example Organization", "Example Customer", TOKEN)
            views.projector("monitors").catch_up()
        env = {"POSTWATCH_DATABASE_URL": database.url, "POSTWATCH_MASTER_KEY": MASTER_KEY}
        with started("api", folder, env) as server:
            _change(server.port, requests // 4)
            quiet = _change(server.port, requests)
            with recording(database, WRITERS) as rate:
                busy = _change(server.port, requests)
                checks = rate()
    return Found(Latency.of(quiet), Latency.of(busy), checks)


def _change(port: int, requests: int) -> list[float]:
    """Return the seconds of each request, one after the other on one connection."""
    seconds = []
    body = {"customerId": 1, "name": CREATE_SMTP.name, "hostname": "mail.example.com"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        made = _send(connection, "POST", _PATH, body)
        for number in range(requests):
            began = time.perf_counter()
            if number % 2:
                _send(connection, "POST", _PATH, body)
            else:
                path = f"{_PATH}/{made['publicId']}"
                _send(connection, "PATCH", path, {"name": f"Name {number} {began}"})
            seconds.append(time.perf_counter() - began)
    return seconds


def _send(
    connection: http.client.HTTPConnection, method: str, path: str, body: dict[str, object]
) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body), headers)
    answer = connection.getresponse()
    found: dict[str, str] = json.loads(answer.read())
    if answer.status >= http.client.BAD_REQUEST:
        raise RuntimeError(f"{method} {path}: {answer.status}")
    return found
