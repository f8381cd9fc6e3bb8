"""The metrics of a checker: plain counters, and how Prometheus reads them.

Checks pay for plain additions only: the instruments of prometheus_client cost several times
as much, and a check changes about thirty values. A collector turns the counters into metrics
when Prometheus asks, in threads of the metrics server. No label names a host or a customer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric

    from domain.check import Outcome


class Histogram:
    """Counts observed values up to each bound, and sums them up.

    One thread writes. Another one may read meanwhile; it may miss the newest value.
    """

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        """The number of observed values."""
        return sum(self._counts)

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def cumulative_counts(self) -> Iterator[tuple[float, int]]:
        """Yield each bound and the number of values up to it; the last bound is infinity."""
        so_far = 0
        for bound, count in zip((*self._bounds, float("inf")), list(self._counts), strict=True):
            so_far += count
            yield bound, so_far


LAG_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""In seconds, for the delays that the checker itself causes."""

PHASE_BOUNDS_MS: Final = (
    0.5,
    1,
    2.5,
    5,
    10,
    25,
    50,
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10_000,
    30_000,
)
"""In milliseconds, like the timings of outcomes: for what servers and networks take."""


@dataclass(slots=True)
class CheckerMetrics:
    """Counters since the start, and the current state of each part. The loop's thread writes.

    `checks` counts by kind and category, `phases` holds durations by kind and phase.
    `schedule_lag` holds how late checks started; those that waited for other checks of their
    address count in `held_back` instead, and in `waiting` while they wait. `skipped` and
    `overrun` count missed due times, as in `Schedule`. `exhausted` counts checks that failed
    for lack of sockets or memory, `not_made` those that the stop interrupted, and `fenced`
    those whose due time another checker had already recorded. `clock_offset_seconds` is how far
    the clock of this host is ahead of the database's.
    """

    position: int = 0
    monitors: int = 0
    watched: int = 0
    in_flight: int = 0
    queued: int = 0
    recorded: int = 0
    fenced: int = 0
    skipped: int = 0
    overrun: int = 0
    not_made: int = 0
    exhausted: int = 0
    held_back: int = 0
    waiting: int = 0
    lagged: int = 0
    shards_held: int = 0
    clock_offset_seconds: float = 0.0
    store_away: bool = False
    stopping: bool = False
    worst_schedule_lag: float = 0.0
    checks: Counter[tuple[str, str]] = field(default_factory=Counter)
    phases: dict[tuple[str, str], Histogram] = field(default_factory=dict)
    schedule_lag: Histogram = field(default_factory=lambda: Histogram(LAG_BOUNDS))
    loop_lag: Histogram = field(default_factory=lambda: Histogram(LAG_BOUNDS))

    def count_start(self, lag_seconds: float) -> None:
        """Count a check that started so long after its due time."""
        self.worst_schedule_lag = max(self.worst_schedule_lag, lag_seconds)
        self.schedule_lag.observe(lag_seconds)

    def count_outcome(self, kind: str, outcome: Outcome) -> None:
        """Count a finished check and the durations of its phases."""
        self.checks[kind, outcome.category] += 1
        for phase, milliseconds in outcome.timings_ms.items():
            histogram = self.phases.get((kind, phase))
            if histogram is None:
                histogram = self.phases[kind, phase] = Histogram(PHASE_BOUNDS_MS)
            histogram.observe(milliseconds)


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


class CheckerMetricsCollector(Collector):
    """Turns the counters into metrics of Prometheus."""

    def __init__(self, metrics: CheckerMetrics) -> None:
        self._metrics = metrics

    @override
    def collect(self) -> Iterator[Metric]:
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(_PREFIX + name, text, getattr(self._metrics, name))
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(_PREFIX + name, text, getattr(self._metrics, name))
        yield self._checks()
        yield self._phases()
        yield _family_of(
            "schedule_lag_seconds",
            "How late checks began that nothing held back.",
            self._metrics.schedule_lag,
        )
        yield _family_of(
            "loop_lag_seconds",
            "How long passes of the event loop took, or began late.",
            self._metrics.loop_lag,
        )

    def _checks(self) -> Metric:
        family = CounterMetricFamily(
            _PREFIX + "checks", "Checks by what came of them.", labels=("kind", "category")
        )
        # A copy in one step: the loop's thread may add to the original meanwhile.
        for labels, count in self._metrics.checks.copy().items():
            family.add_metric(labels, count)
        return family

    def _phases(self) -> Metric:
        family = HistogramMetricFamily(
            _PREFIX + "phase_seconds", "How long checks took.", labels=("kind", "phase")
        )
        for labels, histogram in self._metrics.phases.copy().items():
            family.add_metric(labels, *_buckets(histogram, _MILLISECOND))
        return family


@contextmanager
def metrics_server(metrics: CheckerMetrics, host: str, port: int) -> Iterator[int]:
    """Serve the metrics over HTTP while the block runs; give the port.

    Raises OSError when the address cannot be bound.
    """
    registry = CollectorRegistry()
    registry.register(CheckerMetricsCollector(metrics))
    server, thread = start_http_server(port, host, registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _family_of(name: str, text: str, histogram: Histogram) -> Metric:
    buckets, total = _buckets(histogram, 1)
    return HistogramMetricFamily(_PREFIX + name, text, buckets, total)


def _buckets(histogram: Histogram, unit: float) -> tuple[list[tuple[str, int]], float]:
    buckets = [
        (floatToGoString(round(bound * unit, 9)), count)  # type: ignore[no-untyped-call] # no types
        for bound, count in histogram.cumulative_counts()
    ]
    return buckets, histogram.sum * unit
