"""A failure is confirmed quickly, and the monitors beside it are looked at. Virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trio

from checker.schedule.schedule import Schedule
from domain.check import Category, LoginFacts, Outcome, Phase, Verdict
from domain.clock import iso_milliseconds
from tests.checker.monitors import MONITOR_ID, NOW, UP, ids
from tests.checker.virtual import VirtualChecker, grid, new_monitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trio.testing import MockClock

    from domain.monitor import Monitor
    from mail.guard import ProbeGuard
    from mail.protocols.target import ProbeTarget


REFUSED = Outcome(
    Verdict.DOWN, Category.CONNECT_REFUSED, Phase.CONNECT, "refused", {"total": 1.0}, "192.0.2.1"
)
MINUTE = timedelta(minutes=1)


class Servers:
    """Servers at one address; those of the names in `failing` fail in the given way."""

    def __init__(self) -> None:
        self.failing: dict[str, Outcome] = {}
        self.seconds = 0.1

    async def __call__(self, target: ProbeTarget, guard: ProbeGuard, *_: object) -> Outcome:
        del guard
        await trio.sleep(self.seconds)
        found = self.failing.get(target.hostname, UP)
        return replace(found, address="192.0.2.1")


@asynccontextmanager
async def watched(
    clock: MockClock, servers: Servers, *monitors: Monitor
) -> AsyncIterator[VirtualChecker]:
    """Check monitors that were up until now."""
    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(clock, servers)
        checker.feed()
        await nursery.start(checker.run)
        checker.feed(*monitors)
        await trio.sleep(3600)
        yield checker
        nursery.cancel_scope.cancel()


def failing(checker: VirtualChecker, monitor: Monitor, category: Category) -> list[datetime]:
    """Return the due times of a monitor's checks that found a category."""
    return [
        datetime.fromisoformat(check.due_at)
        for check in checker.results.checks
        if check.monitor_id == monitor.id and check.outcome["category"] == category
    ]


def on_grid(monitor: Monitor, seconds: float, checker: VirtualChecker) -> set[datetime]:
    """Return the due times of a monitor so far, as they are recorded."""
    times = grid(monitor, seconds, NOW, checker.wall())
    return {datetime.fromisoformat(iso_milliseconds(each)) for each in times}


async def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, half a second at a time."""
    while not condition():  # noqa: ASYNC110 - the time is virtual
        await trio.sleep(0.5)


async def test_failure_is_confirmed_by_two_checks_a_minute_apart_then_the_grid_goes_on(
    autojump_clock: MockClock,
) -> None:
    servers, monitor = Servers(), new_monitor()
    async with watched(autojump_clock, servers, monitor) as checker:
        servers.failing["mail.example.org"] = REFUSED
        await trio.sleep(1200)
        servers.failing.clear()
        await trio.sleep(600)
        found = failing(checker, monitor, Category.CONNECT_REFUSED)
        steps = on_grid(monitor, 300, checker)

    first = found[0]
    assert first in steps
    assert found[:5] == [first, first + MINUTE, first + 2 * MINUTE, first + 5 * MINUTE, found[4]]
    assert found[4] == first + 10 * MINUTE
    assert checker.schedule.overrun == checker.schedule.skipped == 0


async def test_good_check_ends_the_confirmation(autojump_clock: MockClock) -> None:
    servers, monitor = Servers(), new_monitor()
    async with watched(autojump_clock, servers, monitor) as checker:
        servers.failing["mail.example.org"] = REFUSED
        await wait_for(lambda: failing(checker, monitor, Category.CONNECT_REFUSED))
        found = failing(checker, monitor, Category.CONNECT_REFUSED)
        servers.failing.clear()
        await trio.sleep(1200)
        good = failing(checker, monitor, Category.OK)

    assert [each - found[0] for each in good if each > found[0]][:3] == [
        MINUTE,
        5 * MINUTE,
        10 * MINUTE,
    ]


async def test_slow_failing_checks_keep_to_the_minutes(autojump_clock: MockClock) -> None:
    servers, monitor = Servers(), new_monitor(timeout_seconds=90)
    async with watched(autojump_clock, servers, monitor) as checker:
        servers.seconds = 90
        servers.failing["mail.example.org"] = REFUSED
        await trio.sleep(900)
        found = failing(checker, monitor, Category.CONNECT_REFUSED)

    assert [each - found[0] for each in found[:4]] == [
        0 * MINUTE,
        2 * MINUTE,
        4 * MINUTE,
        10 * MINUTE,
    ]


@pytest.mark.parametrize(
    ("category", "phase"),
    [
        (Category.AUTH_FAILED, Phase.AUTH),
        (Category.CONNECTION_CLOSED, Phase.AUTH),
        (Category.ADDRESS_BLOCKED, Phase.DNS),
        (Category.CONFIG_INVALID, None),
        (Category.SECRET_UNREADABLE, None),
    ],
)
async def test_refused_logins_and_our_own_faults_are_not_confirmed(
    autojump_clock: MockClock, category: Category, phase: Phase | None
) -> None:
    servers, monitor = Servers(), new_monitor()
    async with watched(autojump_clock, servers, monitor) as checker:
        servers.failing["mail.example.org"] = replace(
            REFUSED, category=category, phase=phase, login=LoginFacts(secret_was_sent=True)
        )
        await trio.sleep(900)
        found = failing(checker, monitor, category)

    assert found == [found[0], found[0] + 5 * MINUTE, found[0] + 10 * MINUTE][: len(found)]


async def test_short_interval_confirms_on_its_grid(autojump_clock: MockClock) -> None:
    servers, monitor = Servers(), new_monitor(check_interval=0.5)
    async with watched(autojump_clock, servers, monitor) as checker:
        servers.failing["mail.example.org"] = REFUSED
        await trio.sleep(300)
        found = failing(checker, monitor, Category.CONNECT_REFUSED)
        assert set(found) <= on_grid(monitor, 30, checker)
        assert checker.schedule.overrun == 0


async def test_siblings_of_an_address_are_checked_at_once_and_once(
    autojump_clock: MockClock,
) -> None:
    names = [f"name{number}" for number in range(20)]
    monitors = [
        new_monitor(each, hostname=name, check_interval=60)
        for each, name in zip(ids(20), names, strict=True)
    ]
    servers = Servers()
    async with watched(autojump_clock, servers, *monitors) as checker:
        await trio.sleep(7200)
        checker.results.checks.clear()
        servers.failing = dict.fromkeys(names, REFUSED)
        await wait_for(lambda: checker.results.checks)
        first = checker.wall()
        await trio.sleep(20)
        begun = {each.monitor_id for each in checker.results.checks}
        due_soon = {
            each.id for each in monitors if grid(each, 3600, first - MINUTE, first + 20 * MINUTE)
        }
        assert len(begun) >= 20 - len(due_soon)
        assert len({each.due_at for each in checker.results.checks}) <= 1 + len(due_soon)
        # Each of them is confirmed, and none is hastened again by that.
        await trio.sleep(300)
        counts = [
            sum(check.monitor_id == each for check in checker.results.checks) for each in begun
        ]
        assert max(counts) <= 4
        assert min(counts) >= 3


async def test_address_that_fails_again_and_again_is_alarmed_once_in_five_minutes(
    autojump_clock: MockClock,
) -> None:
    flapping, steady = (
        new_monitor(each, hostname=name, check_interval=interval)
        for each, name, interval in zip(
            ids(2, 0.4, 0.5), ("flapping", "steady"), (0.5, 600), strict=True
        )
    )
    servers = Servers()
    async with watched(autojump_clock, servers, flapping, steady) as checker:
        checker.results.checks.clear()
        for _ in range(60):
            servers.failing["flapping"] = REFUSED
            await trio.sleep(30)
            servers.failing.clear()
            await trio.sleep(30)
        count = sum(check.monitor_id == steady.id for check in checker.results.checks)

    assert 3 <= count <= 13


def test_fleet_computes_the_same_due_times() -> None:
    dues: list[list[datetime]] = []
    for origin, started in ((0.0, 10_000.0), (-500.0, 10_010.0)):
        schedule = Schedule(origin)
        schedule.resume(MONITOR_ID, 300, started + origin, absent_since=started + origin)
        seen: list[datetime] = []
        while len(seen) < 6:
            due = schedule.next_due()
            assert due is not None
            (taken,) = schedule.take(due, 1)
            schedule.finish(MONITOR_ID, due + 0.5, failed=True)
            seen.append(datetime.fromtimestamp(taken.due_wall, UTC))
        dues.append(seen)

    assert dues[0] == dues[1]
