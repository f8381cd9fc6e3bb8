"""The latencies of a running service during an archive run and without one."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from statistics import quantiles
from typing import TYPE_CHECKING, Final

from domain.clock import utc_now
from store.store import open_store
from tests.domain.realistic import Fleet, record
from tests.system.service import CLEAN, ROOT, Service
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.service import Client


MONITORS: Final = 1000
SECONDS: Final = 8


def measure_service(folder: Path, *, quick: bool) -> None:
    """GET and PATCH without an archive run, beside one, and without one again."""
    data = folder / "data"
    checks = 30_000 if quick else 150_000
    with Service(data, POSTWATCH_ARCHIVE_AFTER="never") as service:
        made = service.client.create("smtp", name="Measured", hostname="192.0.2.1", status="paused")
        with open_store(data) as store:
            fleet = Fleet(MONITORS, start=utc_now() - timedelta(days=60))
            record(store, fleet.checks(checks))
        wait_until(lambda: _is_caught_up(service), seconds=300, what="views caught up")
        path = f"/api/smtp-monitors/{made['publicId']}"
        before = _latencies(service.client, path, lambda: True)
        run = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "checks", "archive", "--older-than", "30d"],
            cwd=ROOT,
            env={**CLEAN, **service.env},
            stdout=subprocess.PIPE,
            text=True,
        )
        started = time.monotonic()
        beside = _latencies(service.client, path, lambda: run.poll() is None, seconds=300)
        took = time.monotonic() - started
        said, _ = run.communicate(timeout=300)
        after = _latencies(service.client, path, lambda: True)
    print(f"  {said.strip()} ({took:.1f} s)")
    for name in ("GET", "PATCH"):
        alone = [*before[name], *after[name]]
        _print(name, alone, beside[name])


def _is_caught_up(service: Service) -> bool:
    with service.views() as views:
        return all(projector.lag() == 0 for projector in views.projectors.values())


def _latencies(
    client: Client, path: str, going_on: object, *, seconds: float = SECONDS
) -> dict[str, list[float]]:
    """Return milliseconds of requests, one after the other, while something goes on."""
    found: dict[str, list[float]] = {"GET": [], "PATCH": []}
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end and going_on():  # type: ignore[operator]
        number += 1
        for method, body in (("GET", None), ("PATCH", {"name": f"Measured {number}"})):
            started = time.monotonic()
            answer = client(method, path, body)
            found[method].append((time.monotonic() - started) * 1000)
            if answer.status != 200:  # noqa: PLR2004 - the only good answer
                raise RuntimeError(f"{method} was answered {answer.status}")
    return found


def _print(name: str, alone: list[float], beside: list[float]) -> None:
    figures = [quantiles(each, n=100) for each in (alone, beside)]
    (a50, a95), (b50, b95) = ((each[49], each[94]) for each in figures)
    print(
        f"  {name:>5}: p50 {a50:.1f} ms alone, {b50:.1f} beside ({b50 / a50:.2f}); "
        f"p95 {a95:.1f}, {b95:.1f} ({b95 / a95:.2f}); slowest {max(alone):.0f}, {max(beside):.0f}"
    )
