"""Numbers for Prometheus while the store is away: what is known without it, and that it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventsourcing.persistence import OperationalError
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from api.resources.metrics import StoreCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric


class Part(Collector):
    """Gives one number, or is away."""

    def __init__(self, name: str, *, is_away: bool = False) -> None:
        self._name = name
        self._is_away = is_away

    def collect(self) -> Iterator[Metric]:
        """Give it."""
        yield GaugeMetricFamily(f"{self._name}_begun", "Begun.", 1)
        if self._is_away:
            raise OperationalError("away")
        yield GaugeMetricFamily(self._name, "Whole.", 1)


def scrape(*parts: Part) -> list[str]:
    registry = CollectorRegistry()
    registry.register(StoreCollector(*parts))
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_a_scrape_gives_what_can_be_read_and_says_that_the_rest_is_away() -> None:
    assert scrape(Part("one", is_away=True), Part("two")) == [
        "two_begun 1.0",
        "two 1.0",
        "postwatch_store_away 1.0",
    ]


def test_a_scrape_of_a_store_that_answers_says_so() -> None:
    assert scrape(Part("one")) == ["one_begun 1.0", "one 1.0", "postwatch_store_away 0.0"]
