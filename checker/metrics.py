"""What a checker tells Prometheus: read from its status when somebody asks.

The checks pay for plain counters only. The server has threads of its own and takes nothing
from the loop but the moment that it needs to read. No label names a host or a customer.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from checker.histogram import Histogram
    from checker.status import Status

_PREFIX: Final = "postwatch_checker_"
_MILLISECOND: Final = 0.001

_COUNTERS: Final = {
    "recorded": "Checks that are in the log.",
    "fenced": "Checks that were left out, because another checker had recorded theirs first.",
    "skipped": "Due times that passed by because nothing could begin in time.",
    "overrun": "Due times that passed by while the monitor's own check was running.",
    "held_back": "Checks that waited for others to the same address.",
    "exhausted": "Checks that could not be made for lack of sockets or memory.",
    "lagged": "Checks whose timings are too long because the checker was held up.",
}
_GAUGES: Final = {
    "monitors": "Monitors in the configuration.",
    "watched": "Monitors that are checked from here.",
    "position": "Position in the monitoring log up to which changes took effect.",
    "in_flight": "Checks under way; each has about one open socket.",
    "waiting": "Checks that wait for others to the same address.",
    "queued": "Finished checks that wait to be recorded.",
    "shards_held": "Shards of the location whose monitors are checked from here.",
    "clock_offset_seconds": "How far the clock of this host is ahead of the database's.",
    "store_away": "1 while the store takes no checks, else 0.",
}


class StatusCollector(Collector):
    """Turns a status into metrics."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """Return everything, as it is now."""
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(_PREFIX + name, text, getattr(self._status, name))
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(_PREFIX + name, text, getattr(self._status, name))
        yield self._checks()
        yield self._phases()
        yield _single(
            *("schedule_lag_seconds", "How late checks began that nothing held back."),
            self._status.lateness,
        )
        yield _single(
            *("loop_lag_seconds", "How long passes of the event loop took, or began late."),
            self._status.loop_lag,
        )

    def _checks(self) -> Metric:
        family = CounterMetricFamily(
            _PREFIX + "checks", "Checks by what came of them.", labels=("kind", "category")
        )
        # A copy in one step: the loop thread may add to the original meanwhile.
        for labels, count in self._status.checks.copy().items():
            family.add_metric(labels, count)
        return family

    def _phases(self) -> Metric:
        family = HistogramMetricFamily(
            _PREFIX + "phase_seconds", "How long checks took.", labels=("kind", "phase")
        )
        for labels, histogram in self._status.phases.copy().items():
            family.add_metric(labels, *_buckets(histogram, _MILLISECOND))
        return family


@contextmanager
def metrics_served(status: Status, host: str, port: int) -> Iterator[int]:
    """Answer to HTTP for as long as the block takes; give the port. Raises OSError."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(status))
    server, thread = start_http_server(port, host, registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _single(name: str, text: str, histogram: Histogram) -> Metric:
    buckets, total = _buckets(histogram, 1)
    return HistogramMetricFamily(_PREFIX + name, text, buckets, total)


def _buckets(histogram: Histogram, unit: float) -> tuple[list[tuple[str, int]], float]:
    buckets = [
        (floatToGoString(round(bound * unit, 9)), count)  # type: ignore[no-untyped-call] # no types
        for bound, count in histogram.cumulated()
    ]
    return buckets, histogram.sum * unit
