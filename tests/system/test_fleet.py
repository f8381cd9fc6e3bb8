"""Checkers of one location as real processes on a real PostgreSQL: killed, frozen, joined."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from checker.schedule.grid import unit_fraction
from domain.clock import iso_milliseconds
from store.log_reader import LogReader
from tests.checker.monitors import Owner
from tests.places import Place
from tests.postgres_server import find_binaries
from tests.system.parts import Part, stopping
from tests.system.service import postwatch
from tests.system.test_checker_killed import Servers
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from domain.check import CheckPerformed
    from store.store import Store
    from tests.places import Databases


pytestmark = [
    pytest.mark.thorough,
    pytest.mark.system,
    pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server"),
]

LOCATION = "de-nbg"
INTERVAL_SECONDS = 5.0
"""A check that is not begun within half an interval is skipped: a busy machine needs long ones."""

KILLED_SECONDS = 20.0
"""Within so many seconds the monitors of a killed checker are taken over: two looks, on a
machine that has other things to do. In virtual time that is measured exactly."""

FROZEN_SECONDS = 25.0
"""Those of a frozen one: five seconds more."""


class Fleet:
    """The store, and the checkers that watch its monitors."""

    def __init__(self, store: Store, place: Place, folder: Path, servers: Servers) -> None:
        owner = Owner(store)
        self.store = store
        self.folder = folder
        self.env = {
            **place.environment,
            "POSTWATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        self.monitors = [
            owner.create(
                hostname=address,
                port=servers.port,
                check_interval=INTERVAL_SECONDS / 60,
                config={"ignoreTls": True},
            )
            for address in servers.addresses
        ]
        self.disturbances: list[float] = []
        self._running = ExitStack()

    def start(self, name: str) -> Part:
        """Start a checker; it ends with the fleet at the latest."""
        where = ("--location", LOCATION, "--name", "Nuremberg (DE)", "--country", "DE")
        part = Part(["checker", *where], self.env, self.folder / f"{name}.log")
        self.disturb()
        part.start()
        self._running.enter_context(stopping([part]))
        return part

    def disturb(self) -> None:
        """Note that something happens now that may cost due times."""
        self.disturbances.append(time.time())

    def shares(self) -> dict[int, int]:
        """Return how many shards each living process holds."""
        rows = self.store.engine.fleet()
        return {
            int(row.session.beat.holder.rpartition(":")[2]): len(row.session.shards)
            for row in rows
            if row.session.beat is not None
        }

    def wait_until_shared(self, *parts: Part, seconds: float) -> float:
        """Wait until these hold all shards in fair shares; return how long that took."""
        began = time.monotonic()
        pids = {each.pid for each in parts}

        def is_shared() -> bool:
            shares = self.shares()
            counts = list(shares.values())
            return shares.keys() == pids and sum(counts) == 64 and max(counts) - min(counts) <= 1

        wait_until(is_shared, seconds=seconds, what="fair shares")
        return time.monotonic() - began

    def wait_for_checks(self, more: int) -> None:
        """Wait until every monitor has so many checks more."""
        before = {key: len(each) for key, each in self.recorded().items()}
        wait_until(
            lambda: all(len(each) >= before[key] + more for key, each in self.recorded().items()),
            seconds=60,
            what="checks of all monitors",
        )

    def recorded(self) -> dict[str, list[CheckPerformed]]:
        """Return the checks of each monitor, in the order of the log."""
        checks: dict[str, list[CheckPerformed]] = {str(each.id): [] for each in self.monitors}
        for logged in LogReader(self.store.checks).after(0, 100_000):
            checks[logged.event.monitor_id].append(logged.event)
        return checks

    def close(self) -> None:
        self._running.close()


@contextmanager
def running_fleet(databases: Databases, folder: Path) -> Iterator[Fleet]:
    with databases.migrated() as database, Servers() as servers:
        place = Place(folder / "data", database)
        with place.create() as store:
            fleet = Fleet(store, place, folder, servers)
            try:
                yield fleet
            finally:
                fleet.close()


@pytest.mark.timeout(300)
def test_every_due_time_is_recorded_once_whoever_dies_freezes_and_joins(
    postgres: Databases, tmp_path: Path
) -> None:
    with running_fleet(postgres, tmp_path) as fleet:
        a = fleet.start("a")
        fleet.wait_until_shared(a, seconds=60)
        b = fleet.start("b")
        fleet.wait_until_shared(a, b, seconds=60)
        fleet.wait_for_checks(2)

        fleet.disturb()
        a.kill()
        assert fleet.wait_until_shared(b, seconds=60) < KILLED_SECONDS

        c = fleet.start("c")
        fleet.wait_until_shared(b, c, seconds=60)
        fleet.disturb()
        b.freeze()
        assert fleet.wait_until_shared(c, seconds=60) < FROZEN_SECONDS
        fleet.wait_for_checks(2)
        fleet.disturb()
        b.thaw()
        fleet.wait_until_shared(b, c, seconds=60)

        d = fleet.start("d")
        fleet.wait_until_shared(b, c, d, seconds=60)
        _assert_fleet_is_shown(fleet, {b.pid, c.pid, d.pid})
        fleet.wait_for_checks(3)
        stopped = time.time()
        assert any("was frozen for too long" in each for each in c.messages())
        fleet.close()
        _assert_each_due_time_once(fleet, stopped)


def _assert_fleet_is_shown(fleet: Fleet, pids: set[int]) -> None:
    shown = json.loads(postwatch("fleet", "--json", env=fleet.env).stdout)
    (here,) = [each for each in shown if each["location"] == LOCATION]
    assert here["unheldShards"] == []
    assert {int(each["holder"].rpartition(":")[2]) for each in here["checkers"]} == pids
    assert {each["state"] for each in here["checkers"]} == {"checking"}
    assert sorted(shard for each in here["checkers"] for shard in each["shards"]) == [*range(64)]
    table = postwatch("fleet", env=fleet.env).stdout
    assert table.count("of 64") == 3


def _assert_each_due_time_once(fleet: Fleet, stopped: float) -> None:
    """Each step of each grid has one record, but for what a disturbance cost."""
    for monitor in fleet.monitors:
        checks = fleet.recorded()[str(monitor.id)]
        dues = [each.due_at for each in checks]
        assert dues == sorted(set(dues))
        phase = unit_fraction(monitor.id) * INTERVAL_SECONDS
        steps = [round((_seconds(each) - phase) / INTERVAL_SECONDS) for each in dues]
        exact = [_iso(phase + step * INTERVAL_SECONDS) for step in steps]
        # All but the first one, which is due when the monitor was made, are exactly on the grid.
        assert dues[1:] == exact[1:]
        for missing in set(range(steps[1], steps[-1])) - set(steps[1:]):
            at = phase + missing * INTERVAL_SECONDS
            assert any(-1 <= at - each <= FROZEN_SECONDS for each in fleet.disturbances)
        assert stopped - _seconds(dues[-1]) < 2 * INTERVAL_SECONDS


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _iso(seconds: float) -> str:
    return iso_milliseconds(datetime.fromtimestamp(seconds, UTC))
