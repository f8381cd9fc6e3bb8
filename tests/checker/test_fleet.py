"""Several checkers share the monitors of a location, in virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING

import pytest
import trio

from checker.fleet.claims import shard_of
from checker.fleet.leased_claims import FROZEN_SECONDS, LEASE_SECONDS, SNAPSHOT_SECONDS
from store.ports.leases import FleetSession
from tests.checker.virtual_fleet import INTERVAL_SECONDS, Fleet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from tests.checker.virtual_fleet import Member


SETTLED_SECONDS = 60.0


@asynccontextmanager
async def fleet_of(clock: MockClock, *names: str) -> AsyncIterator[Fleet]:
    """Run a fleet for as long as the block takes; it has settled when the block begins."""
    async with trio.open_nursery() as nursery:
        fleet = Fleet(clock, nursery)
        for name in names:
            fleet.join(name)
            await trio.sleep(5)
        await trio.sleep(SETTLED_SECONDS)
        yield fleet
        nursery.cancel_scope.cancel()


async def until_shared(fleet: Fleet, *members: Member, seconds: float) -> float:
    """Wait until members hold all shards; return how long that took."""
    began = trio.current_time()
    with trio.fail_after(seconds):
        while not fleet.is_shared(*members):  # noqa: ASYNC110 - no event tells
            await trio.sleep(0.05)
    return trio.current_time() - began


async def test_one_checker_holds_everything(autojump_clock: MockClock) -> None:
    async with fleet_of(autojump_clock, "a") as fleet:
        await trio.sleep(300)
        assert fleet.is_shared(fleet.members["a"])

    fleet.assert_nothing_doubled()
    fleet.assert_missing_only_after()


async def test_three_checkers_share_and_no_due_time_is_missing(autojump_clock: MockClock) -> None:
    async with fleet_of(autojump_clock, "a", "b", "c") as fleet:
        assert fleet.is_shared(*fleet.members.values())
        await trio.sleep(300)

    fleet.assert_nothing_doubled()
    fleet.assert_missing_only_after(0, 5, 10)
    assert {each.by for log in fleet.log.values() for each in log} == {"a", "b", "c"}
    assert sum(each.metrics.fenced for each in fleet.members.values()) == 0


async def test_monitors_of_a_killed_checker_are_taken_over_within_two_snapshots(
    autojump_clock: MockClock,
) -> None:
    async with fleet_of(autojump_clock, "a", "b", "c") as fleet:
        a, b, c = fleet.members.values()
        killed = fleet.now()
        a.kill()
        assert await until_shared(fleet, b, c, seconds=10) <= 2 * SNAPSHOT_SECONDS
        await trio.sleep(200)

    fleet.assert_nothing_doubled()
    fleet.assert_missing_only_after(0, 5, 10, killed)


async def test_due_time_that_passed_while_no_checker_held_the_shard_is_checked_once(
    autojump_clock: MockClock,
) -> None:
    async with fleet_of(autojump_clock, "a", "b") as fleet:
        a, _ = fleet.members.values()
        ours = [each for each in fleet.monitors if shard_of(each.id) in a.held]
        # A step that comes when the other one cannot have taken over; no check is under way.
        ours = [each for each in ours if _seconds_to_the_next(fleet, each) > 1]
        monitor = min(ours, key=lambda each: _seconds_to_the_next(fleet, each))
        await trio.sleep(_seconds_to_the_next(fleet, monitor) - 0.01)
        before = fleet.steps(monitor)
        a.kill()
        await trio.sleep(4)
        assert fleet.steps(monitor) == [*before, before[-1] + 1]
        assert fleet.log[monitor.id][-1].by == "b"
        await trio.sleep(INTERVAL_SECONDS)

    assert fleet.steps(monitor) == [*before, before[-1] + 1, before[-1] + 2]


def _seconds_to_the_next(fleet: Fleet, monitor: object) -> float:
    last = fleet.log[monitor.id][-1]  # type: ignore[attr-defined] # a monitor
    passed = fleet.wall() - type(fleet.wall()).fromisoformat(last.due_at)
    return INTERVAL_SECONDS - passed.total_seconds()


async def test_frozen_checker_is_replaced_and_records_nothing_twice_when_it_comes_back(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet_of(autojump_clock, "a", "b") as fleet:
        a, b = fleet.members.values()
        frozen = fleet.now()
        a.freeze()
        took = await until_shared(fleet, b, seconds=20)
        assert FROZEN_SECONDS <= took <= FROZEN_SECONDS + 3 * SNAPSHOT_SECONDS
        await trio.sleep(60)
        thawed = fleet.now()
        begun = len(a.begun)
        a.thaw()
        await trio.sleep(1)
        # Time went on: it knows that its shards are not its own any more before it asks.
        assert len(a.begun) == begun
        await until_shared(fleet, a, b, seconds=20)
        await trio.sleep(100)

    fleet.assert_nothing_doubled()
    fleet.assert_missing_only_after(0, 5, frozen, thawed)
    assert any("was frozen for too long" in each for each in caplog.messages)


async def test_checks_that_ran_when_the_checker_froze_are_fenced(autojump_clock: MockClock) -> None:
    async with fleet_of(autojump_clock, "a", "b") as fleet:
        a, _ = fleet.members.values()
        fleet.check_seconds = 3
        await trio.sleep(30)
        a.freeze()
        await trio.sleep(60)
        a.thaw()
        await trio.sleep(60)

    assert a.metrics.fenced > 0
    fleet.assert_nothing_doubled()


async def test_joining_checker_gets_its_share_when_running_checks_are_recorded(
    autojump_clock: MockClock,
) -> None:
    async with fleet_of(autojump_clock, "a") as fleet:
        fleet.check_seconds = 2.5
        await trio.sleep(60)
        joined = fleet.now()
        b = fleet.join("b")
        await trio.sleep(1)
        assert await until_shared(fleet, fleet.members["a"], b, seconds=20) < 10
        await trio.sleep(120)

    fleet.assert_nothing_doubled()
    fleet.assert_missing_only_after(0, joined)
    assert sum(each.metrics.fenced for each in fleet.members.values()) == 0


async def test_leaving_checker_gives_up_its_shards_at_once(autojump_clock: MockClock) -> None:
    async with fleet_of(autojump_clock, "a", "b") as fleet:
        a, b = fleet.members.values()
        left = fleet.now()
        a.checker.leaving.set()
        assert await until_shared(fleet, b, seconds=20) <= 2 * SNAPSHOT_SECONDS
        await trio.sleep(100)

    fleet.assert_nothing_doubled()
    fleet.assert_missing_only_after(0, 5, left)


async def test_no_check_begins_without_the_database_and_all_go_on_afterwards(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet_of(autojump_clock, "a", "b") as fleet:
        gone = fleet.now()
        fleet.table.is_away = True
        await trio.sleep(LEASE_SECONDS + SNAPSHOT_SECONDS)
        begun = [len(each.begun) for each in fleet.members.values()]
        await trio.sleep(60)
        assert [len(each.begun) for each in fleet.members.values()] == begun
        fleet.table.is_away = False
        back = fleet.now()
        await until_shared(fleet, *fleet.members.values(), seconds=20)
        await trio.sleep(100)

    fleet.assert_nothing_doubled()
    away = range(int(gone), int(back) + 10)
    fleet.assert_missing_only_after(0, 5, *away)
    assert sum("cannot claim monitors" in each for each in caplog.messages) == 2
    assert sum("can claim monitors again" in each for each in caplog.messages) == 2


@pytest.mark.thorough
async def test_clocks_that_are_minutes_apart_do_not_matter_and_are_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        fleet = Fleet(autojump_clock, nursery)
        a, b = fleet.join("a", clock_offset_seconds=200), fleet.join("b", clock_offset_seconds=-100)
        await trio.sleep(100)
        a.freeze()
        await trio.sleep(100)
        a.thaw()
        await trio.sleep(200)
        assert fleet.is_shared(a, b)
        nursery.cancel_scope.cancel()

    fleet.assert_nothing_doubled()
    fleet.assert_missing_only_after(0, 100, 200)
    assert a.metrics.clock_offset_seconds == pytest.approx(200)
    assert b.metrics.clock_offset_seconds == pytest.approx(-100)
    told = [each for each in caplog.messages if each.startswith("the clock of this host")]
    assert sorted(each.partition(" that of")[0] for each in told) == [
        "the clock of this host is 100.0 s behind",
        "the clock of this host is 200.0 s ahead of",
    ]


async def test_shard_that_is_locked_by_hand_is_logged_and_the_rest_is_shared(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        fleet = Fleet(autojump_clock, nursery)
        fleet.table.sessions[77] = FleetSession(77, frozenset({3, 5}), is_member=False)
        a, b = fleet.join("a"), fleet.join("b")
        await trio.sleep(60)
        assert [len(a.held), len(b.held)] == [31, 31]
        fleet.table.end(77)
        await trio.sleep(10)
        assert fleet.is_shared(a, b)
        nursery.cancel_scope.cancel()

    told = [each for each in caplog.messages if "is no checker" in each]
    assert len(told) == 2
    assert all("session 77 of the database holds shards 3, 5" in each for each in told)


@pytest.mark.thorough
async def test_no_sequence_of_disturbances_doubles_a_check(autojump_clock: MockClock) -> None:
    chance = Random(7)  # noqa: S311 - the same disturbances each time
    async with fleet_of(autojump_clock, "a", "b") as fleet:
        moments = [0.0, 5.0]
        for number in range(60):
            await trio.sleep(chance.uniform(0.1, 25))
            moments.append(fleet.now())
            _disturb(fleet, chance, f"m{number}")
        for each in fleet.members.values():
            each.thaw()
        moments.append(fleet.now())
        await trio.sleep(120)
        assert fleet.is_shared(*fleet.members.values())

    fleet.assert_nothing_doubled()
    fleet.assert_missing_only_after(*moments)


def _disturb(fleet: Fleet, chance: Random, name: str) -> None:
    living = list(fleet.members.values())
    awake = [each for each in living if not each.is_frozen]
    frozen = [each for each in living if each.is_frozen]
    what = chance.choice(["join", "kill", "freeze", "thaw", "thaw"])
    if what == "join" and len(living) < 5:
        fleet.join(name)
    elif what == "kill" and len(awake) > 1:
        dead = chance.choice(awake)
        dead.kill()
        del fleet.members[dead.name]
    elif what == "freeze" and len(awake) > 1:
        chance.choice(awake).freeze()
    elif frozen:
        chance.choice(frozen).thaw()
