"""Healthy monitors beside hanging ones: whether they begin and are timed as without them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from benchmarks.checker_path import populate, running_checker
from benchmarks.checker_product import lateness_ms, percentile
from benchmarks.checker_stub import HANG_HOSTS, HANGS, HOST
from checker.limits import Limits
from domain.log_reader import LogReader
from domain.store import create_store

if TYPE_CHECKING:
    from benchmarks.checker_stub import Hang, Ports
    from checker.probe import Prober
    from domain.store import Store

TIMEOUT_SECONDS: Final = 30.0
_CONFIGS: Final[dict[Hang, dict[str, Any]]] = {
    "greeting": {"ignoreTls": True},
    "ehlo": {"ignoreTls": True},
    "starttls": {"requireTls": True},
    "tls": {"secure": True},
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of the healthy monitors, and how many sockets were open at most."""

    checks: int
    lag_p50: float
    lag_p99: float
    total_p50: float
    total_p99: float
    marked: int
    most_open: int


@dataclass(frozen=True, slots=True)
class Load:
    """How many monitors there are, how often they are checked, and how long is measured."""

    monitors: int
    hanging: int
    interval_seconds: float
    seconds: float


def run_beside_hanging(prober: Prober, ports: Ports, load: Load) -> Figures:
    """Check for a while; `load.hanging` of the monitors hang, a quarter in each phase."""
    with tempfile.TemporaryDirectory() as folder, create_store(Path(folder)) as store:
        common: dict[str, Any] = {"check_interval": load.interval_seconds / 60}
        healthy = load.monitors - load.hanging
        populate(store, healthy, port=ports.smtp, config={"ignoreTls": True}, **common)
        for hang in HANGS if load.hanging else ():
            populate(
                *(store, load.hanging // len(HANGS)),
                hostnames=HANG_HOSTS,
                port=ports.hanging[hang],
                config=_CONFIGS[hang],
                timeout_seconds=TIMEOUT_SECONDS,
                **common,
            )
        return trio.run(_measure, store, prober, load)


async def _measure(store: Store, prober: Prober, load: Load) -> Figures:
    async with running_checker(store, prober.probe, Limits(grace_seconds=0)) as status:
        # The first checks of all monitors, then one interval at their own phases.
        await trio.sleep(load.monitors * 0.004 + load.interval_seconds)
        start = LogReader(store.checks).head()
        most_open = 0
        for _ in range(int(load.seconds * 10)):
            await trio.sleep(0.1)
            most_open = max(most_open, status.in_flight)
    return _figures(store, start, most_open)


def _figures(store: Store, start: int, most_open: int) -> Figures:
    checks = [each.event for each in LogReader(store.checks).after(start, 1_000_000)]
    healthy = [each for each in checks if each.outcome["address"] == HOST]
    lags = [lateness_ms(each) for each in checks]
    totals = [each.outcome["timings"]["total"] for each in healthy]
    return Figures(
        checks=len(checks),
        lag_p50=percentile(lags, 0.5),
        lag_p99=percentile(lags, 0.99),
        total_p50=percentile(totals, 0.5),
        total_p99=percentile(totals, 0.99),
        marked=sum(bool(each.outcome["warnings"]) for each in healthy),
        most_open=most_open,
    )
