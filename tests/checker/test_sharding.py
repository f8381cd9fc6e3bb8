"""Who gets which shards: any sequence of joins, deaths and delays ends in fair shares."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from checker.fleet.claims import ALL, SHARDS, decide, shard_of
from tests.checker.monitors import ids

NO_SHARDS: frozenset[int] = frozenset()


class Fleet:
    """Members that step one after the other, and take only what is free."""

    def __init__(self) -> None:
        self.members: dict[int, frozenset[int]] = {}
        self.elsewhere = NO_SHARDS

    def step(self, me: int) -> bool:
        """Let a member look and act; return whether it did anything."""
        decision = decide(self.members, self.elsewhere, me)
        mine = self.members[me]
        kept = frozenset(sorted(mine)[: len(mine) - decision.give])
        free = ALL - self.elsewhere.union(*self.members.values())
        self.members[me] = kept | (decision.take & free)
        return self.members[me] != mine

    def settle(self) -> None:
        """Let all members step until none does anything."""
        for _ in range(4):
            have_moved = [self.step(each) for each in sorted(self.members)]
            if not any(have_moved):
                return
        raise AssertionError("no end")

    def assert_fair(self) -> None:
        held = [shard for each in self.members.values() for shard in each]
        assert sorted(held) == sorted(ALL - self.elsewhere), "each shard is held once"
        counts = [len(each) for each in self.members.values()]
        assert max(counts) - min(counts) <= 1


class FleetMachine(RuleBasedStateMachine):
    """Joins, deaths, strangers, in any order, with or without time to settle between."""

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet()
        self.number = 0

    @rule()
    def join(self) -> None:
        self.number += 1
        self.fleet.members[self.number] = NO_SHARDS

    @precondition(lambda self: self.fleet.members)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.fleet.members.pop(data.draw(st.sampled_from(sorted(self.fleet.members))))

    @rule(shards=st.frozensets(st.integers(0, SHARDS - 1), max_size=3))
    def lock_by_hand(self, shards: frozenset[int]) -> None:
        self.fleet.elsewhere = shards.difference(*self.fleet.members.values())

    @precondition(lambda self: self.fleet.members)
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        self.fleet.step(data.draw(st.sampled_from(sorted(self.fleet.members))))

    @precondition(lambda self: self.fleet.members)
    @rule()
    def settle(self) -> None:
        self.fleet.settle()
        self.fleet.assert_fair()

    def teardown(self) -> None:
        if self.fleet.members:
            self.settle()


TestFleet = FleetMachine.TestCase
TestFleet.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def settled(members: int) -> Fleet:
    fleet = Fleet()
    fleet.members = dict.fromkeys(range(members), NO_SHARDS)
    fleet.settle()
    return fleet


def moved(before: dict[int, frozenset[int]], after: dict[int, frozenset[int]]) -> int:
    """Return how many shards have another holder."""
    was = {shard: member for member, shards in before.items() for shard in shards}
    now = {shard: member for member, shards in after.items() for shard in shards}
    return sum(was.get(shard) != now.get(shard) for shard in ALL)


@settings(max_examples=30, deadline=None)
@given(members=st.integers(1, 70))
def test_joining_member_gets_its_share_and_no_other_shard_moves(members: int) -> None:
    fleet = settled(members)
    before = dict(fleet.members)
    fleet.members[members] = NO_SHARDS
    fleet.settle()

    fleet.assert_fair()
    assert moved(before, fleet.members) == len(fleet.members[members]) == SHARDS // (members + 1)


@settings(max_examples=30, deadline=None)
@given(members=st.integers(2, 70), data=st.data())
def test_only_shards_of_the_dead_member_move(members: int, data: st.DataObject) -> None:
    fleet = settled(members)
    before = dict(fleet.members)
    dead = fleet.members.pop(data.draw(st.integers(0, members - 1)))
    fleet.settle()

    fleet.assert_fair()
    assert moved(before, fleet.members) == len(dead)


def test_shard_of_a_monitor_never_changes() -> None:
    assert shard_of(UUID(int=0)) == 21
    assert shard_of(UUID("01234567-89ab-cdef-0123-456789abcdef")) == 40


def test_monitors_are_evenly_spread() -> None:
    counts = [0] * SHARDS
    for each in ids(SHARDS * 1000):
        counts[shard_of(each)] += 1
    assert min(counts) > 800
    assert max(counts) < 1200
