"""Checks, and requests of the API, beside a service that archives by itself, and without.

    python -m benchmarks.archive_lateness [SEGMENTS]

A whole service checks 2,000 monitors every five minutes, with some days of checks in its log:
first with POSTWATCH_ARCHIVE_AFTER=never, then while it archives SEGMENTS (4) segments, then
when it has nothing more to archive. Takes some minutes, and leaves nothing behind.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Final

from domain.clock import utc_now
from soak.smtp_server import smtp_server
from store.archive.segment import MOST_EVENTS
from store.store import open_store
from tests.domain.given import TESTER, make_owners
from tests.domain.realistic import Fleet, record
from tests.system.service import Service
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from store.store import Store


MONITORS: Final = 2000
ALONE_SECONDS: Final = 90
_REQUEST_SECONDS: Final = 0.1
_LAG: Final = 100
_AGE: Final = timedelta(days=9)


def main() -> None:
    """Make the store, run the service twice, and print what it took."""
    segments = int([*sys.argv[1:], "4"][0])
    with tempfile.TemporaryDirectory(prefix="postwatch-lateness-") as folder:
        data = Path(folder) / "data"
        with smtp_server() as port:
            with Service(data, POSTWATCH_ARCHIVE_AFTER="never") as service:
                with open_store(data) as store:
                    _fill(store, port, segments)
                made = service.client.create("smtp", name="Measured", hostname="192.0.2.1")
                path = f"/api/smtp-monitors/{made['publicId']}"
                wait_until(lambda: _is_caught_up(service), seconds=900, what="views caught up")
                _measure(service, path, "never", _for_seconds(ALONE_SECONDS))
            with Service(data) as again, open_store(data) as store:
                again.token = service.token
                log_bytes = store.engine.log_bytes("checks")
                wait_until(lambda: store.engine.locks.holder("archive"), seconds=120)
                _measure(again, path, "archiving", lambda: _is_archived(store, segments))
                _measure(again, path, "afterwards", _for_seconds(ALONE_SECONDS))
                print(f"  {store.archive.through():,} checks archived; the log has {log_bytes:,}")


def _fill(store: Store, port: int, segments: int) -> None:
    """Make monitors, and old checks of others: a checker appends to the streams of these now."""
    command = make_owners(store).create(hostname="127.0.0.1", port=port, check_interval=5)
    for _ in range(MONITORS):
        store.monitoring.create_monitor(command, TESTER)
    fleet = Fleet(MONITORS, start=utc_now() - _AGE)
    for _ in range(segments * MOST_EVENTS // 4096 + 1):
        record(store, fleet.checks(4096))


def _is_caught_up(service: Service) -> bool:
    time.sleep(1)
    with service.views() as views, open_store(service.data) as store:
        head = store.reader("checks").head()
        return (store.incidents.tracked("checks") or 0) > head - _LAG and all(
            each.lag() < _LAG for each in views.projectors.values()
        )


def _for_seconds(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _is_archived(store: Store, segments: int) -> bool:
    """Return whether all full segments are made and their checks are deleted from the log."""
    through = store.archive.through()
    is_made = len(store.archive.segments()) >= segments
    return is_made and len(store.engine.rows("checks").after(0, 3 * MONITORS, through=through)) <= (
        MONITORS
    )


def _measure(service: Service, path: str, name: str, is_over: Callable[[], bool]) -> None:
    """Make requests until something is over; print their times, and how late checks began."""
    found: dict[str, list[float]] = {"GET": [], "PATCH": []}
    with open_store(service.data) as store:
        before = store.reader("checks").head()
        begun = time.monotonic()
        number = 0
        while not is_over():
            number += 1
            for method, body in (("GET", None), ("PATCH", {"name": f"Measured {name} {number}"})):
                started = time.monotonic()
                answer = service.client(method, path, body)
                found[method].append((time.monotonic() - started) * 1000)
                if answer.status != 200:  # noqa: PLR2004 - the only good answer
                    raise RuntimeError(f"{method} was answered {answer.status}")
                time.sleep(_REQUEST_SECONDS)
        found["late"] = [
            (_time(each.event.started_at) - _time(each.event.due_at)).total_seconds() * 1000
            for each in store.reader("checks").after(before, 1 << 20)
        ]
    print(f"{name}: {time.monotonic() - begun:.0f} s")
    for what, took in found.items():
        cuts = quantiles(took, n=100)
        print(
            f"  {what:>5}: {len(took)}, p50 {cuts[49]:.1f} ms, p95 {cuts[94]:.1f}, "
            f"p99 {cuts[98]:.1f}, most {max(took):.0f}",
            flush=True,
        )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
