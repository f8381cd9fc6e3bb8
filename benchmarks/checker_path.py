"""The whole path of a check in this process: schedule, probe, durable record.

CPU is the kernel's account of this process, with all its threads; the servers are another
process, so their share does not count. Beside it the parts that cannot be saved: a bare TLS
handshake, and a plain probe without schedule and record.
"""

from __future__ import annotations

import gc
import resource
import socket
import ssl
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import trio

from benchmarks.checker_stub import HOST
from checker.run import run_checker
from checker.runtime.limits import Limits
from checker.runtime.location import Location
from checker.runtime.metrics import CheckerMetrics
from domain.actor import operator
from domain.clock import utc_now
from domain.commands import CreateCustomer, CreateMonitor
from domain.monitor import Monitor
from mail.prober import Prober
from mail.protocols.target import ProbeTarget
from store.store import create_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from benchmarks.checker_stub import Ports
    from checker.loop.check import Probe
    from store.store import Store


ME: Final = operator("benchmark")
HERE: Final = Location("bench", "Benchmark")
ALLOWED: Final = ("127.0.0.0/8",)
FULL_PIPE: Final = Limits(open_sockets=64, starts_per_tick=64, per_destination=64)
"""Always as many checks under way as there may be."""

MONITORS: Final = 1000

CREDENTIALS: Final = {"user": "user@example.org", "password": "a password"}


def kinds(ports: Ports) -> dict[str, dict[str, Any]]:
    """Return what is measured, and the monitor that asks for it."""
    return {
        "SMTP plain": {"port": ports.smtp, "config": {"ignoreTls": True}},
        "SMTP STARTTLS, verified": {"port": ports.smtp, "config": {"requireTls": True}},
        "SMTP implicit TLS, verified": {"port": ports.smtps, "config": {"secure": True}},
        "IMAP login": {"port": ports.imap, "kind": "imap_pop", "config": CREDENTIALS},
    }


def cpu_seconds() -> float:
    """Return what this process has used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def prober_for(ca_file: Path) -> Prober:
    """Return a prober as the checker makes it, which may reach loopback."""
    return Prober.from_settings(ALLOWED, ("127.0.0.1",), ca_file)


def populate(
    store: Store,
    count: int,
    *,
    hostnames: tuple[str, ...] = (HOST,),
    check_interval: float,
    **fields: Any,  # noqa: ANN401 - fields of the command
) -> None:
    """Create monitors. In few transactions, except for those that have secrets to seal."""
    organization = store.monitoring.create_organization("Benchmark", ME)
    customer = store.monitoring.create_customer(CreateCustomer(organization.id, "One", None), ME)
    common: dict[str, Any] = {
        "kind": "smtp",
        "port": None,
        "config": {},
        "status": "active",
        "check_interval": check_interval,
        "timeout_seconds": 30,
        "notification_email": None,
        "notification_phone_number": None,
        "allowed_check_country_codes": None,
    } | fields
    commands = [
        CreateMonitor(
            name=f"Monitor {number}",
            organization_id=organization.id,
            customer_id=customer.id,
            hostname=hostnames[number % len(hostnames)],
            **common,
        )
        for number in range(count)
    ]
    if common["config"].keys() & {"password", "auth"}:
        for command in commands:
            store.monitoring.create_monitor(command, ME)
        return
    made = (
        Monitor.create(
            number, command, monitor_id=uuid4(), config=command.config, actor=ME, now=utc_now()
        )
        for number, command in enumerate(commands, start=1)
    )
    for some in _in_handfuls(made):
        store.monitoring.save(*some)


def _in_handfuls(made: Iterator[Monitor]) -> Iterator[list[Monitor]]:
    some: list[Monitor] = []
    for each in made:
        some.append(each)
        if len(some) == 500:  # noqa: PLR2004
            yield some
            some = []
    yield some


def whole_path(prober: Prober, seconds: float, fields: dict[str, Any], expected: float) -> float:
    """Return milliseconds of CPU a check, in a full pipe.

    More is due than can be done in `expected` milliseconds a check, but not much more, as
    what is skipped costs a little as well.
    """
    interval = MONITORS * expected / 1000 / 60
    with tempfile.TemporaryDirectory() as folder, create_store(Path(folder)) as store:
        populate(store, MONITORS, check_interval=interval, **fields)
        return trio.run(_measure_path, store, prober, seconds)


@asynccontextmanager
async def running_checker(
    store: Store, probe: Probe, limits: Limits
) -> AsyncIterator[CheckerMetrics]:
    """Run a checker until the block ends; the block begins when it is ready."""
    metrics, ready, stop = CheckerMetrics(), trio.Event(), trio.Event()

    def begin() -> None:
        gc.freeze()
        gc.enable()
        ready.set()

    async def run() -> None:
        await run_checker(
            store,
            probe,
            location=HERE,
            limits=limits,
            metrics=metrics,
            stop=stop,
            on_ready=begin,
        )

    gc.disable()  # as the command does
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await ready.wait()
        yield metrics
        stop.set()


async def _measure_path(store: Store, prober: Prober, seconds: float) -> float:
    async with running_checker(store, prober.probe, FULL_PIPE) as metrics:
        # What is done once for each monitor is no part of a check: its secret is opened, its
        # stream looked up in the log.
        while metrics.recorded < 2 * MONITORS:  # noqa: ASYNC110 - a benchmark may poll
            await trio.sleep(0.1)
        checks, cpu = metrics.checks.total(), cpu_seconds()
        await trio.sleep(seconds)
        result = (cpu_seconds() - cpu) * 1000 / (metrics.checks.total() - checks)
    failed = {key: count for key, count in metrics.checks.items() if key[1] != "ok"}
    if failed:
        raise RuntimeError(f"checks failed: {failed}")
    return result


def plain_probe(prober: Prober, port: int, probes: int) -> float:
    """Return milliseconds of CPU of a plain SMTP probe alone, as many at a time."""
    target = ProbeTarget(protocol="smtp", hostname=HOST, port=port, tls="never", timeout_seconds=30)

    async def some() -> None:
        for _ in range(probes // FULL_PIPE.open_sockets):
            await prober.probe(target)

    async def all_of_them() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(FULL_PIPE.open_sockets):
                nursery.start_soon(some)

    before = cpu_seconds()
    trio.run(all_of_them)
    return (cpu_seconds() - before) * 1000 / probes


def bare_handshake(ca_file: Path, port: int, handshakes: int) -> float:
    """Return milliseconds of CPU of a blocking connect and a verified TLS handshake."""
    context = ssl.create_default_context(cafile=str(ca_file))
    before = cpu_seconds()
    for _ in range(handshakes):
        with (
            socket.create_connection((HOST, port)) as plain,
            context.wrap_socket(plain, server_hostname=HOST),
        ):
            pass
    return (cpu_seconds() - before) * 1000 / handshakes
