"""The checker in virtual time: thirty days in a few seconds."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import trio

from checker.runtime.limits import Limits
from checker.schedule.grid import unit_fraction
from checker.schedule.wall_clock import follow_clock
from tests.checker.monitors import UP, ids
from tests.checker.thirty_days import ThirtyDays
from tests.checker.virtual import VirtualChecker, change, grid, new_monitor, resting_monitors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from domain.check import Outcome
    from mail.guard import ProbeGuard
    from mail.protocols.target import ProbeTarget


DAY = 86_400
MILLISECOND = timedelta(milliseconds=1)


def assert_same_times(actual: Sequence[datetime], expected: Sequence[datetime]) -> None:
    assert len(actual) == len(expected)
    assert all(abs(one - other) <= MILLISECOND for one, other in zip(actual, expected, strict=True))


@pytest.mark.thorough
async def test_thirty_days_of_changes_and_restarts_every_due_check_exactly_once(
    autojump_clock: MockClock,
) -> None:
    # `benchmarks.checker_virtual_time` does it with a thousand monitors.
    scenario = ThirtyDays(autojump_clock, 40, days=30)
    await scenario.run()

    assert scenario.checks > 10_000
    assert set(scenario.changes) == {"pause", "resume", "interval", "port", "delete", "create"}


@pytest.mark.thorough
async def test_many_monitors_keep_their_due_times_through_restarts(
    autojump_clock: MockClock,
) -> None:
    scenario = ThirtyDays(autojump_clock, 400, days=1, seed=5)
    await scenario.run()

    assert scenario.checks > 4000


async def test_monitor_with_pauses_and_edits_is_checked_at_its_due_times(
    autojump_clock: MockClock,
) -> None:
    monitor = new_monitor(check_interval=10)
    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(autojump_clock)
        checker.feed()
        await nursery.start(checker.run)
        created = checker.wall()
        checker.feed(monitor)
        await trio.sleep(3600)
        checker.feed(change(monitor, checker.wall(), status="disabled"))
        await trio.sleep(DAY)
        disabled = created + timedelta(seconds=3600)
        active = checker.wall()
        checker.feed(change(monitor, checker.wall(), status="active"))
        await trio.sleep(3600)
        edited = checker.wall()
        checker.feed(change(monitor, checker.wall(), check_interval=1))
        await trio.sleep(600)
        deleted = checker.wall()
        monitor.delete(actor={"type": "operator", "id": "tester"}, now=deleted)
        checker.feed(monitor)
        await trio.sleep(DAY)
        nursery.cancel_scope.cancel()

    expected = [
        *(created, *grid(monitor, 600, created, disabled)),
        *(active, *grid(monitor, 600, active, edited)),
        *(edited, *grid(monitor, 60, edited, deleted)),
    ]
    assert_same_times(checker.results.dues_of(monitor), expected)
    versions = [check.monitor_version for check in checker.results.checks]
    assert versions == sorted(versions)
    assert set(versions) == {1, 3, 4}


async def test_monitor_is_never_checked_twice_at_the_same_time(autojump_clock: MockClock) -> None:
    running: Counter[str] = Counter()

    async def slow(target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
        running[target.hostname] += 1
        assert running[target.hostname] == 1
        await trio.sleep(25)
        running[target.hostname] -= 1
        return UP

    monitor = new_monitor(check_interval=0.1)
    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(autojump_clock, slow)
        checker.feed(monitor)
        await nursery.start(checker.run)
        for port in range(1, 100):
            await trio.sleep(7)
            checker.feed(change(monitor, checker.wall(), port=port))
        nursery.cancel_scope.cancel()

    starts = checker.results.dues_of(monitor)
    assert len(starts) == pytest.approx(99 * 7 / 25, abs=2)
    assert checker.schedule.skipped == 0


async def test_slow_server_does_not_delay_others(autojump_clock: MockClock) -> None:
    async def one_hangs(target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
        await trio.sleep(target.timeout_seconds if target.hostname[0] == "h" else 0.1)
        return UP

    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(autojump_clock, one_hangs)
        checker.feed(
            *(
                new_monitor(
                    each, hostname=f"{'hangs' if number % 2 else 'works'}{number}", check_interval=1
                )
                for number, each in enumerate(ids(600))
            ),
        )
        await nursery.start(checker.run)
        await trio.sleep(600)
        nursery.cancel_scope.cancel()

    assert checker.metrics.worst_schedule_lag < 0.1
    assert checker.schedule.skipped == 0


async def test_starts_are_paced(autojump_clock: MockClock) -> None:
    starts: list[float] = []

    async def note(target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
        del target
        starts.append(trio.current_time())
        return UP

    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(autojump_clock, note, Limits(starts_per_tick=5, tick_seconds=0.01))
        checker.feed()
        await nursery.start(checker.run)
        checker.feed(*map(new_monitor, ids(1000)))
        await trio.sleep(3)
        nursery.cancel_scope.cancel()

    assert len(starts) >= 1000
    assert max(Counter(starts).values()) == 5
    distinct = sorted(set(starts))
    assert min(later - earlier for earlier, later in pairwise(distinct)) > 0.0099


async def test_no_more_probes_than_sockets_and_none_is_lost(autojump_clock: MockClock) -> None:
    open_now, most = 0, 0

    async def hold(target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
        nonlocal open_now, most
        del target
        open_now += 1
        most = max(most, open_now)
        await trio.sleep(1)
        open_now -= 1
        return UP

    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(autojump_clock, hold, Limits(open_sockets=10))
        checker.feed()
        await nursery.start(checker.run)
        monitors = resting_monitors(*["mail.example.org"] * 100)
        checker.feed(*monitors)
        await trio.sleep(11)
        nursery.cancel_scope.cancel()

    assert most == 10
    assert {check.monitor_id for check in checker.results.checks} == {each.id for each in monitors}


async def test_probes_pause_while_results_have_no_room_and_go_on_without_a_burst(
    autojump_clock: MockClock,
) -> None:
    monitors = [new_monitor(each, check_interval=1) for each in ids(600)]
    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(autojump_clock)
        checker.feed(*monitors)
        await nursery.start(checker.run)
        await trio.sleep(60)
        checker.results.has_room = False
        await trio.sleep(1)
        paused = len(checker.results.checks)
        await trio.sleep(120)
        assert len(checker.results.checks) == paused
        checker.results.has_room = True
        checker.wake_up.wake()
        resumed = checker.wall()
        await trio.sleep(61)
        nursery.cancel_scope.cancel()

    after = [check for check in checker.results.checks if check.finished_at > resumed]
    assert {check.monitor_id for check in after} == {each.id for each in monitors}
    per_second = Counter(check.started_at[:19] for check in after)
    # Those that are less late than the grace begin at once; the rest comes at its phase.
    burst = max(per_second.values())
    assert burst < 90
    assert sorted(per_second.values())[-4] < 30
    assert checker.schedule.skipped == pytest.approx(600 * 120 / 60 - 50, rel=0.1)
    assert checker.metrics.skipped > 0


async def test_restart_does_not_double_or_lose_due_checks(autojump_clock: MockClock) -> None:
    monitors = [new_monitor(each, check_interval=15) for each in ids(50)]
    events = [list(each.pending_events) for each in monitors]
    first = VirtualChecker(autojump_clock)
    async with trio.open_nursery() as nursery:
        first.feed(*monitors)
        await nursery.start(first.run)
        await trio.sleep(DAY / 2 + 7.7)
        nursery.cancel_scope.cancel()
    for monitor, pending in zip(monitors, events, strict=True):
        monitor.pending_events.extend(pending)
    second = VirtualChecker(autojump_clock, began=first.began)
    async with trio.open_nursery() as nursery:
        second.feed(*monitors)
        await nursery.start(second.run, trio.current_time())
        await trio.sleep(DAY / 2)
        nursery.cancel_scope.cancel()

    for monitor in monitors:
        steps = [
            (due.timestamp() - unit_fraction(monitor.id) * 900) / 900
            for due in first.results.dues_of(monitor) + second.results.dues_of(monitor)
        ]
        gaps = [round(later - earlier, 3) for earlier, later in pairwise(steps)]
        # At most the one check that was running when the first one ended is missing.
        assert set(gaps) <= {1.0, 2.0}
        assert gaps.count(2.0) <= 1


@pytest.mark.parametrize("seconds", [-3600, -30, 30, 3600])
async def test_due_times_follow_a_wall_clock_that_is_set(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, *, seconds: int
) -> None:
    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(autojump_clock)
        monitor = new_monitor(check_interval=1)  # the clock is set between two steps
        checker.feed(monitor)
        await nursery.start(checker.run)
        nursery.start_soon(follow_clock, checker.schedule, checker.wall)
        await trio.sleep(120)
        checker.began -= seconds
        await trio.sleep(240)
        nursery.cancel_scope.cancel()

    checks = checker.results.checks
    # No monitor waits for a time that has passed already, and no burst of checks follows.
    assert 6 <= len(checks) <= 8
    assert all(check.due_at <= check.started_at for check in checks)
    begun = [datetime.fromisoformat(check.started_at) for check in checks]
    dues = checker.results.dues_of(monitor)
    assert all(begin - due < timedelta(seconds=1) for begin, due in zip(begun, dues, strict=True))
    assert_same_times(dues[4:], grid(monitor, 60, dues[4] - MILLISECOND, dues[-1] + MILLISECOND))
    assert [each.getMessage() for each in caplog.records] == [
        f"the clock was set by {seconds:+.1f} s: due times follow it from the next checks on"
    ]
