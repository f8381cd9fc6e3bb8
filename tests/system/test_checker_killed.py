"""The checker alone is killed while checks run: what is affected, and what is not."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import pytest

from checker.schedule.grid import unit_fraction
from store.log_reader import LogReader
from store.store import Store, create_store
from tests.checker.monitors import Owner
from tests.mailservers.processes import free_ports
from tests.mailservers.scripted import Peer, scripted
from tests.system.service import CLEAN, ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from uuid import UUID

    from domain.check import CheckPerformed


pytestmark = [pytest.mark.system, pytest.mark.thorough]

MONITORS = 20
INTERVAL_SECONDS = 3.0
KILLS = 3
CLOCK_SECONDS = 0.02
"""How far the due times that two processes count for the same step may lie apart."""


class Servers:
    """One server for each monitor. A test can make all of them delay their answers."""

    def __init__(self) -> None:
        self.addresses = [f"127.9.0.{number + 1}" for number in range(MONITORS)]
        self.port = free_ports(1)[0]
        self.begun: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.gate = threading.Event()
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self.gate.set()
        for address in self.addresses:
            script = partial(self._talk, address)
            self._running.enter_context(scripted(script, host=address, port=self.port))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.gate.set()
        self._running.close()

    @property
    def waiting(self) -> int:
        """How many connections are under way."""
        return self.begun.total() - self.answered.total()

    def _talk(self, address: str, peer: Peer) -> None:
        self.begun[address] += 1
        self.gate.wait()
        peer.send(b"220 mx\r\n")
        peer.expect("EHLO")
        peer.send(b"250 mx\r\n")
        peer.expect("QUIT")
        self.answered[address] += 1
        peer.send(b"221 bye\r\n")


class Watch:
    """A store whose monitors are checked by a checker process that can be killed."""

    def __init__(self, store: Store, folder: Path, servers: Servers) -> None:
        owner = Owner(store)
        self._store = store
        self._folder = folder
        self._monitors = {
            owner.create(
                hostname=address,
                port=servers.port,
                check_interval=INTERVAL_SECONDS / 60,
                config={"ignoreTls": True},
            ).id: address
            for address in servers.addresses
        }

    def recorded(self) -> dict[UUID, list[CheckPerformed]]:
        """Return the checks of each monitor, in the order of the log."""
        checks: dict[UUID, list[CheckPerformed]] = {each: [] for each in self._monitors}
        by_id = {str(each): each for each in self._monitors}
        for logged in LogReader(self._store.checks).after(0, 100_000):
            checks[by_id[str(logged.event.monitor_id)]].append(logged.event)
        return checks

    def by_address(self) -> Counter[str]:
        """Return how many checks were recorded of the monitor at each address."""
        return Counter({self._monitors[key]: len(each) for key, each in self.recorded().items()})

    def wait_for_all(self, more: int = 1) -> None:
        """Wait until every monitor has so many checks more."""
        before = {key: len(each) for key, each in self.recorded().items()}
        wait_until(
            lambda: all(len(each) >= before[key] + more for key, each in self.recorded().items()),
            what="checks of all monitors",
        )

    @contextmanager
    def checker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a checker; end it by draining, unless it was killed."""
        env = {
            **CLEAN,
            "POSTWATCH_DATA": str(self._folder),
            "POSTWATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        command = [sys.executable, "-m", "cli.main", "checker"]
        with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Servers that answer."""
    with Servers() as running:
        yield running


@pytest.fixture
def watch(tmp_path: Path, servers: Servers) -> Iterator[Watch]:
    """Monitors of these servers."""
    folder = tmp_path / "data"
    with create_store(folder) as store:
        yield Watch(store, folder, servers)


def test_exactly_the_checks_under_way_are_missing(watch: Watch, servers: Servers) -> None:
    with watch.checker() as process:
        watch.wait_for_all(more=2)
        servers.gate.clear()
        wait_until(
            lambda: servers.waiting > 3 and watch.by_address() == servers.answered,
            what="checks that hang, all others recorded",
        )
        process.kill()
    servers.gate.set()
    with watch.checker():
        watch.wait_for_all(more=2)

    assert watch.by_address() == servers.answered
    assert servers.waiting > 3
    assert all(servers.begun[each] - servers.answered[each] <= 1 for each in servers.addresses)
    _assert_nothing_is_doubled(watch)


def test_no_kill_loses_or_doubles_a_monitor(watch: Watch, servers: Servers) -> None:
    for _ in range(KILLS):
        with watch.checker() as process:
            watch.wait_for_all()
            process.kill()
    with watch.checker():
        watch.wait_for_all()

    recorded = watch.by_address()
    assert all(
        recorded[each] <= servers.begun[each] <= recorded[each] + KILLS
        for each in servers.addresses
    )
    _assert_nothing_is_doubled(watch)


def _assert_nothing_is_doubled(watch: Watch) -> None:
    for monitor_id, checks in watch.recorded().items():
        dues = defaultdict(list)
        for each in checks:
            dues[_due(monitor_id, each)].append(each)
        assert all(len(each) == 1 for each in dues.values())
        assert all(
            earlier.timestamp <= datetime.fromisoformat(later.started_at)
            for earlier, later in pairwise(checks)
        )


def _due(monitor_id: UUID, check: CheckPerformed) -> int | str:
    """Return the step of the monitor's grid at which a check was due, or the time beside it."""
    moment = datetime.fromisoformat(check.due_at).timestamp()
    steps = moment / INTERVAL_SECONDS - unit_fraction(monitor_id)
    is_step = abs(steps - round(steps)) * INTERVAL_SECONDS < CLOCK_SECONDS
    return round(steps) if is_step else check.due_at
