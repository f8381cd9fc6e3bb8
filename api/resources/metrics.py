"""GET /metrics: numbers for Prometheus, summed over all workers.

prometheus-client keeps the counters, and shares them between workers in files when
`PROMETHEUS_MULTIPROC_DIR` is set before this module is imported. Numbers of the store
(positions, lag, archive) are read at each scrape.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api.http.execution import Cost
from api.http.log_throttle import LOG_THROTTLE
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.openapi.operations import DocumentedAnswer, DocumentedOperation
from api.openapi.resource import SERVICE, Resource, Route
from api.resources.monitor_metrics import MonitorCollector
from domain.clock import utc_now
from domain.errors import ArchiveError
from projections.core.joined_log import readers_of
from store.archiving import archive_lag
from store.ports.engine import LOGS
from store.ports.errors import STORE_UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta
    from uuid import UUID

    import falcon
    from eventsourcing.persistence import Recording
    from prometheus_client.metrics_core import Metric

    from api.resources.parts import Parts
    from projections.core.projector import Projector
    from store.store import Store


OWN: Final = CollectorRegistry()
"""This process's counters. Module-level, because a process has one set of them."""

REQUESTS: Final = Counter(
    "postwatch_http_requests", "Requests.", ("method", "route", "status"), registry=OWN
)
DURATION: Final = Histogram(
    "postwatch_http_request_duration_seconds",
    "Time from the first look at a request to its answer.",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=OWN,
)
EVENTS: Final = Counter(
    "postwatch_events_recorded",
    "Events that commands of the API recorded.",
    ("event",),
    registry=OWN,
)
_NO_ROOM: Final = (OSError, IndexError)
"""What counting raises while the counter file cannot grow: OSError at first, then IndexError,
because prometheus_client.mmap_dict takes the file for grown."""

_METHODS: Final = frozenset({"GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"})


class RequestMetrics:
    """Falcon middleware that counts and times requests."""

    async def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - the signature is the framework's
    ) -> None:
        """Count by route, never by path: paths hold ids, so their number has no bound."""
        method = req.method if req.method in _METHODS else "other"
        seconds = time.perf_counter() - req.context.started
        count_request(method, req.uri_template or "none", resp.status_code, seconds)


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request; one that cannot be counted is answered all the same."""
    try:
        count, duration = _series(method, route, str(status))
        count.inc()
        duration.observe(seconds)
    except _NO_ROOM as error:
        _log_uncounted(error)


@cache
def _series(method: str, route: str, status: str) -> tuple[Counter, Histogram]:
    """Return counter and histogram of such requests; there are as many as routes and statuses."""
    return REQUESTS.labels(method, route, status), DURATION.labels(method, route)


_counter: Final = cache(EVENTS.labels)
"""Return the counter of a topic's events."""


def count_events(recordings: list[Recording[UUID]]) -> None:
    """Count the events of a command. They are recorded by now: a failure to count is logged."""
    try:
        for recording in recordings:
            _counter(recording.notification.topic).inc()
    except _NO_ROOM as error:
        _log_uncounted(error)


def _log_uncounted(error: Exception) -> None:
    what = "metrics lack counts: there is no room for them (%s)"
    LOG_THROTTLE.log(logging.WARNING, OWN, what, type(error).__name__)


class ViewCollector(Collector):
    """Positions of logs and views, read at each scrape."""

    def __init__(self, projectors: Mapping[str, Projector]) -> None:
        self._projectors = projectors

    def collect(self) -> Iterator[Metric]:
        """Give the position of each log and the lag of each view."""
        positions = GaugeMetricFamily(
            "postwatch_log_position", "Position of the newest event.", labels=["log"]
        )
        lags = GaugeMetricFamily(
            "postwatch_view_lag_events", "Positions that a view is behind.", labels=["view"]
        )
        heads: dict[str, int] = {}
        for name, projector in self._projectors.items():
            heads |= {each.name: each.head() for each in readers_of(projector.log)}
            lags.add_metric([name], projector.lag())
        for log_name, head in heads.items():
            positions.add_metric([log_name], head)
        yield positions
        yield lags


class ArchiveCollector(Collector):
    """What is archived, what waits for it, and the size of the logs, read at each scrape."""

    def __init__(self, store: Store, archive_after: timedelta | None) -> None:
        self._store = store
        self._archive_after = archive_after

    def collect(self) -> Iterator[Metric]:
        """Give how many checks are archived, up to where, in how many bytes, and how late."""
        segments = self._store.archive.segments()
        checks = sum(each.events for each in segments)
        through = segments[-1].last if segments else 0
        size = self._store.archive.files.size()
        yield GaugeMetricFamily("postwatch_archived_checks", "Checks in the archive.", checks)
        yield GaugeMetricFamily("postwatch_archive_position", "Archived up to here.", through)
        yield GaugeMetricFamily("postwatch_archive_bytes", "Bytes of the archive.", size)
        sizes = GaugeMetricFamily("postwatch_log_bytes", "Bytes of a log.", labels=["log"])
        for log_name in LOGS:
            sizes.add_metric([log_name], self._store.engine.log_bytes(log_name))
        yield sizes
        # A damaged check has no age: /readyz says so.
        with suppress(ArchiveError):
            yield from self._lag()

    def _lag(self) -> Iterator[Metric]:
        if self._archive_after is not None:
            lag = archive_lag(self._store, self._archive_after, utc_now())
            yield GaugeMetricFamily(
                "postwatch_archive_lag_seconds",
                "How long the oldest check that is due has waited to be archived.",
                lag.total_seconds(),
            )


class StoreCollector(Collector):
    """Metrics of the store. A part that cannot be read is left out, and a metric says so."""

    def __init__(self, *parts: Collector) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Give the metrics of all parts that can be read."""
        is_unavailable = False
        for part in self._parts:
            try:
                yield from list(part.collect())
            except STORE_UNAVAILABLE:
                is_unavailable = True
        yield GaugeMetricFamily(
            "postwatch_store_away", "1 while the store does not answer.", int(is_unavailable)
        )


class Metrics:
    """GET /metrics: for roles that may read the numbers of the whole installation."""

    def __init__(self, parts: Parts) -> None:
        self._registry = CollectorRegistry()
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            MultiProcessCollector(self._registry)  # type: ignore[no-untyped-call] # has no types
        else:
            self._registry.register(OWN)
        self._registry.register(
            StoreCollector(
                ViewCollector(parts.views.projectors),
                ArchiveCollector(parts.store, parts.archive_after),
                MonitorCollector(parts.views.states, parts.metrics_monitors),
            )
        )

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer in the text format of Prometheus."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_METRICS)
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = generate_latest(self._registry)


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/metrics",
        name="getMetrics",
        tag=SERVICE.name,
        summary="Numbers for Prometheus",
        answers={
            200: DocumentedAnswer(
                "In the text format of Prometheus", {"text/plain": {"type": "string"}}
            )
        },
        errors=(403,),
    )


def _routes(parts: Parts) -> Iterator[Route]:
    yield Route("/metrics", Metrics(parts))


RESOURCE: Final = Resource(routes=_routes, operations=_operations)
