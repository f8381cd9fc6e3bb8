"""What alerting counts, and serves to Prometheus."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

if TYPE_CHECKING:
    from collections.abc import Iterator


_PREFIX: Final = "postwatch_alerting_"


class AlertingMetrics:
    """The metrics of the process that decides. No label names a host or a customer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(_PREFIX + name, text, registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(_PREFIX + name, text, labels, registry=self.registry)

        self.active = gauge("active", "1 while this process decides, 0 while it stands by.")
        self.position = gauge("position", "Position of the checks log up to which it is decided.")
        self.lag = gauge("lag_checks", "Positions of the checks log that are not decided on yet.")
        self.open_incidents = gauge("open_incidents", "Incidents that are open.")
        self.checks = counter("checks_total", "Checks that were decided on.")
        self.events = counter("events_total", "Decisions that were recorded.", "event")
        self.reloads = counter(
            "reloads_total", "Times that all was read again, because another process decided."
        )


@contextmanager
def metrics_server(metrics: AlertingMetrics, host: str, port: int) -> Iterator[int]:
    """Serve the metrics over HTTP while the block runs; give the port.

    Raises OSError when the address cannot be bound.
    """
    server, thread = start_http_server(port, host, metrics.registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
