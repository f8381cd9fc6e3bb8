"""Healthy monitors beside hanging ones: whether they begin and are timed as without them."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from benchmarks.checker_path import ALLOWED, populate, running_checker
from benchmarks.checker_product import lateness_ms, percentile
from benchmarks.checker_stub import HANG_HOSTS, HANGS, HOST
from checker.runtime.limits import Limits, fit_to_open_files
from domain.check import Category
from mail.prober import Prober
from store.log_reader import LogReader
from store.store import create_store
from tests.mailservers.dns_server import dns_server

if TYPE_CHECKING:
    from benchmarks.checker_stub import Hang, Ports
    from store.store import Store


_SHARES: Final = {"p50": 0.5, "p99": 0.99, "max": 1.0}
_CONFIGS: Final[dict[Hang, dict[str, Any]]] = {
    "connect": {"ignoreTls": True},
    "greeting": {"ignoreTls": True},
    "ehlo": {"ignoreTls": True},
    "starttls": {"requireTls": True},
    "tls": {"secure": True},
    "auth": {"ignoreTls": True, "auth": {"user": "robot", "pass": "secret"}},
}

_NAMES: Final = tuple(f"mx{number}.example" for number in range(20))
_DEAD_NAMES: Final = tuple(f"dead{number}.example" for number in range(80))
_ZONE: Final = {name: [HOST] for name in _NAMES} | dict.fromkeys(_DEAD_NAMES, "silent")


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds, and how many sockets were open at most.

    `lags` and `totals` are those of the healthy monitors, `all_lags` those of all, `overtimes`
    how long after its timeout a check ended, `phases` where. `marked` says that its own
    timings are too long.
    """

    lags: list[float]
    all_lags: list[float]
    totals: list[float]
    overtimes: list[float]
    phases: Counter[str]
    marked: int
    most_open: int


@dataclass(frozen=True, slots=True)
class Load:
    """How many monitors there are, how often they are checked, and how long is measured.

    `hanging` of them hang, as many in each phase; with them come the dead names.
    """

    monitors: int
    hanging: int
    interval_seconds: float
    seconds: float

    @property
    def timeout_seconds(self) -> float:
        """How long a hanging one is waited for: half of all the time."""
        return self.interval_seconds / 2


def run_beside_hanging(ca_file: Path, ports: Ports, load: Load) -> Figures:
    """Check for a while."""
    with (
        tempfile.TemporaryDirectory() as folder,
        create_store(Path(folder)) as store,
        dns_server(_ZONE) as dns,
    ):
        common: dict[str, Any] = {"check_interval": load.interval_seconds / 60}
        plain: dict[str, Any] = common | {"port": ports.smtp, "config": {"ignoreTls": True}}
        healthy = load.monitors - load.hanging
        if load.hanging:
            healthy -= len(_DEAD_NAMES)
            populate(store, len(_DEAD_NAMES), hostnames=_DEAD_NAMES, **plain)
        populate(store, healthy, hostnames=_NAMES, **plain)
        for hang in HANGS if load.hanging else ():
            populate(
                store,
                load.hanging // len(HANGS),
                hostnames=HANG_HOSTS,
                port=ports.hanging[hang],
                config=_CONFIGS[hang],
                timeout_seconds=load.timeout_seconds,
                **common,
            )
        prober = Prober.from_settings(ALLOWED, (dns.address,), ca_file)
        return trio.run(_measure, store, prober, load)


async def _measure(store: Store, prober: Prober, load: Load) -> Figures:
    limits = replace(fit_to_open_files(Limits()), grace_seconds=0)
    async with running_checker(store, prober.probe, limits) as metrics:
        # The first checks of all monitors, then one interval at their own phases.
        await trio.sleep(load.monitors * 0.004 + load.interval_seconds)
        start = LogReader(store.checks).head()
        most_open = 0
        for _ in range(int(load.seconds * 10)):
            await trio.sleep(0.1)
            most_open = max(most_open, metrics.in_flight)
    return _figures(store, load, start, most_open)


def _figures(store: Store, load: Load, start: int, most_open: int) -> Figures:
    checks = [each.event for each in LogReader(store.checks).after(start, 1_000_000)]
    healthy = [each for each in checks if each.outcome["address"] == HOST]
    late = [each for each in checks if each.outcome["category"] == Category.TIMEOUT]
    return Figures(
        lags=[lateness_ms(each) for each in healthy],
        all_lags=[lateness_ms(each) for each in checks],
        totals=[each.outcome["timings"]["total"] for each in healthy],
        overtimes=[each.outcome["timings"]["total"] - load.timeout_seconds * 1000 for each in late],
        phases=Counter(each.outcome["phase"] for each in late),
        marked=sum(bool(each.outcome["warnings"]) for each in healthy),
        most_open=most_open,
    )


def show(load: Load, run: Figures) -> None:
    """Print one run."""
    print(f"  {load.hanging} hang and {len(_DEAD_NAMES) if load.hanging else 0} names are dead: ")
    for name, values in (
        ("start lag of the healthy", run.lags),
        ("start lag of all", run.all_lags),
        ("healthy checks took", run.totals),
        ("ended after their timeout", run.overtimes),
    ):
        if values:
            spread = "  ".join(
                f"{name} {percentile(values, share):7.1f}" for name, share in _SHARES.items()
            )
            print(f"    {name:26} {spread} ms  ({len(values)} checks)")
    if run.phases:
        print("    ended in", ", ".join(f"{phase} {n}" for phase, n in run.phases.most_common()))
    print(f"    {run.marked} marked as lagged, {run.most_open} open at most", flush=True)


def compare(without: Figures, beside: Figures) -> None:
    """Print what the hanging ones change for the healthy ones."""
    for name, one, other in (
        ("start lag", without.lags, beside.lags),
        ("duration", without.totals, beside.totals),
    ):
        ratios = "  ".join(
            f"{label} {percentile(other, share) / max(percentile(one, share), 0.001):.2f}"
            for label, share in _SHARES.items()
        )
        print(f"  {name} of the healthy, beside hanging ones / without: {ratios}")
