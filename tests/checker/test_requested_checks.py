"""Checks that people ask for: at once, also of a disabled monitor. Virtual time and real stores."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel

from domain.clock import iso_milliseconds
from domain.monitor_requests import CheckRequested, requests_id
from tests.checker.monitors import ME, MONITOR_ID, Owner
from tests.checker.virtual import VirtualChecker, change, new_monitor
from tests.checker.whole_run import FakeProbe, running_checker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from trio.testing import MockClock

    from domain.monitor import Monitor
    from store.store import Store


def request(checker: VirtualChecker, monitor_id: UUID = MONITOR_ID) -> CheckRequested:
    """Feed a request that is made now."""
    made = CheckRequested(
        originator_id=requests_id(monitor_id, CheckRequested),
        originator_version=1,
        timestamp=checker.wall(),
        monitor_id=str(monitor_id),
        actor=ME,
    )
    checker.feed_events([made])
    return made


@asynccontextmanager
async def checking(clock: MockClock, *monitors: Monitor) -> AsyncIterator[VirtualChecker]:
    """Check for an hour, then as long as the block takes."""
    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(clock)
        checker.feed()
        await nursery.start(checker.run)
        checker.feed(*monitors)
        await trio.sleep(3600)
        checker.results.checks.clear()
        yield checker
        nursery.cancel_scope.cancel()


async def test_requested_check_is_made_at_once_and_the_grid_goes_on(
    autojump_clock: MockClock,
) -> None:
    async with checking(autojump_clock, new_monitor(check_interval=60)) as checker:
        made = request(checker)
        await trio.sleep(2)
        (check,) = checker.results.checks
        assert check.due_at == iso_milliseconds(made.timestamp)
        assert datetime.fromisoformat(check.started_at) - made.timestamp < timedelta(seconds=0.1)
        await trio.sleep(3600)
        assert len(checker.results.checks) == 2
        assert checker.schedule.overrun == 0


async def test_request_during_a_check_is_made_after_it_with_a_later_due_time(
    autojump_clock: MockClock,
) -> None:
    async with checking(autojump_clock, new_monitor(check_interval=60)) as checker:
        request(checker)
        await trio.lowlevel.checkpoint()
        request(checker)
        await trio.sleep(5)
        dues = [each.due_at for each in checker.results.checks]
        assert len(dues) in {1, 2}
        assert dues == sorted(set(dues))


async def test_disabled_monitor_is_checked_once(autojump_clock: MockClock) -> None:
    monitor = new_monitor(check_interval=1)
    async with checking(autojump_clock, monitor) as checker:
        checker.feed(change(monitor, checker.wall(), status="disabled"))
        await trio.sleep(300)
        checker.results.checks.clear()
        for _ in range(2):
            request(checker)
            await trio.sleep(300)
        assert len(checker.results.checks) == 2
        assert len(checker.schedule) == 0
        checker.feed(change(monitor, checker.wall(), status="active"))
        await trio.sleep(300)
        assert len(checker.results.checks) == pytest.approx(2 + 6, abs=1)


async def test_unknown_and_deleted_monitors_are_left_alone(autojump_clock: MockClock) -> None:
    monitor = new_monitor(check_interval=60)
    async with checking(autojump_clock, monitor) as checker:
        monitor.delete(actor=ME, now=checker.wall())
        checker.feed(monitor)
        await trio.sleep(1)
        request(checker)
        await trio.sleep(10)
        assert checker.results.checks == []


async def test_request_reaches_a_running_checker(store: Store) -> None:
    monitor = Owner(store).create(status="disabled")
    probe = FakeProbe()
    async with running_checker(store, probe) as checker:
        request = store.monitoring.requests.check_now(monitor.id, ME)
        (check,) = await checker.wait_for_checks(1)

    assert check.monitor_id == str(monitor.id)
    assert check.due_at == iso_milliseconds(request.timestamp)
    assert len(probe.targets) == 1


async def test_request_of_a_moment_without_a_checker_is_made_up_for(store: Store) -> None:
    monitor = Owner(store).create()
    async with running_checker(store, FakeProbe()) as checker:
        await checker.wait_for_checks(1)
    request = store.monitoring.requests.check_now(monitor.id, ME)
    async with running_checker(store, FakeProbe()) as checker:
        found = await checker.wait_for_checks(2)
    async with running_checker(store, FakeProbe()) as checker:
        await checker.wait_for_checks(2)
        assert checker.metrics.in_flight == 0

    assert found[1].due_at == iso_milliseconds(request.timestamp)
