"""The numbers of single monitors in /metrics, read at each scrape (docs/metrics.md).

There are at most as many monitors as the setting says: what is down comes first, so that a limit
that is too low hides what is well.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from domain.clock import Clock, utc_now
from projections.core.table import ViewUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from domain.monitor_state import MonitorState
    from projections.core.table import Record
    from projections.readers.states import StateReader, WatchedMonitor


UP: Final[Mapping[MonitorState, int]] = {"up": 1, "suspicious": 1, "recovering": 0, "down": 0}
"""What `postwatch_monitor_up` is; in other states nothing is known, and it is left out."""

_SECONDS_PER_DAY: Final = 86_400
_MS_PER_SECOND: Final = 1000


class MonitorCollector(Collector):
    """How many monitors are in each state, and the numbers of `most` monitors; None: of none."""

    def __init__(self, states: StateReader, most: int | None, clock: Clock = utc_now) -> None:
        self._states = states
        self._most = most
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Give the counts, then the numbers of monitors; nothing while the view is being made."""
        try:
            yield from list(self._found())
        except ViewUnavailableError:
            return

    def _found(self) -> Iterator[Metric]:
        totals = self._states.totals()
        counts = GaugeMetricFamily("postwatch_monitors", "Monitors by state.", labels=["state"])
        for state, number in totals.items():
            counts.add_metric([state], number)
        yield counts
        if self._most is not None:
            found = self._states.watched(self._most)
            yield GaugeMetricFamily(
                "postwatch_monitors_omitted",
                "Monitors beyond POSTWATCH_METRICS_MONITORS, which have no numbers here.",
                max(sum(totals.values()) - len(found), 0),
            )
            yield from _of_monitors(found, self._clock())


def _of_monitors(found: Sequence[WatchedMonitor], now: datetime) -> Iterator[Metric]:
    info = _gauge("info", "Always 1: the name and the type of a monitor.", "name", "type")
    up = _gauge("up", "0 while an incident says that it is down, else 1; left out if not known.")
    states = _gauge("state", "1 for the state of a monitor.", "state")
    ages = _gauge("last_check_age_seconds", "Time since the end of its newest check.")
    days = _gauge("cert_days_left", "Days until the first certificate that it shows ends.")
    phases = _gauge("phase_seconds", "Duration in its last check.", "location", "phase")
    for each in found:
        info.add_metric([each.public_id, each.name, each.kind], 1)
        if each.state in UP:
            up.add_metric([each.public_id], UP[each.state])
        states.add_metric([each.public_id, each.state], 1)
        if each.last_checks:
            newest = max(check["checked_at"] for check in each.last_checks)
            ages.add_metric([each.public_id], (now - _moment(newest)).total_seconds())
        ends = [_moment(tls["not_after"]) for tls in _certificates(each.last_checks)]
        if ends:
            left = (min(ends) - now).total_seconds() / _SECONDS_PER_DAY
            days.add_metric([each.public_id], left)
        for location, phase, milliseconds in _timings(each.last_checks):
            phases.add_metric([each.public_id, location, phase], milliseconds / _MS_PER_SECOND)
    yield from (info, up, states, ages, days, phases)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"postwatch_monitor_{name}", text, labels=["monitor", *labels])


def _certificates(checks: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for each in checks:
        tls = each["outcome"].get("tls")
        if tls and tls.get("not_after"):
            yield tls


def _timings(checks: Iterable[Record]) -> Iterator[tuple[str, str, float]]:
    for each in checks:
        for phase, milliseconds in each["outcome"].get("timings", {}).items():
            yield each["location"], phase, milliseconds


def _moment(text: str) -> datetime:
    """Return a recorded time; one without an offset is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
