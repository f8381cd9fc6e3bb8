"""Who counts as frozen, seen by somebody who looks once a second."""

from __future__ import annotations

from checker.fleet.leased_claims import STILL_SECONDS, LivenessMonitor
from store.ports.leases import FleetSession, Heartbeat

BEAT = Heartbeat("there:1")


def session(beats: int, *, is_member: bool = True, beat: Heartbeat | None = BEAT) -> FleetSession:
    return FleetSession(7, frozenset({1}), is_member=is_member, beats=beats, beat=beat)


def test_who_says_something_new_is_not_still() -> None:
    stillness = LivenessMonitor()
    assert all(not stillness.still([session(second)], second) for second in range(60))


def test_who_says_nothing_new_for_long_enough_is_still() -> None:
    stillness = LivenessMonitor()
    found = [bool(stillness.still([session(3)], second)) for second in range(8)]
    assert found == [second >= STILL_SECONDS for second in range(8)]


def test_who_did_not_look_himself_has_seen_nothing() -> None:
    stillness = LivenessMonitor()
    for second in range(3):
        stillness.still([session(3)], second)
    # We were frozen too, or the database did not answer anybody.
    assert stillness.still([session(3)], 60) == []
    assert stillness.still([session(3)], 61) == []


def test_member_that_never_said_anything_is_still_after_a_while() -> None:
    silent = session(0, beat=None)
    stillness = LivenessMonitor()
    assert any(stillness.still([silent], second) for second in range(8))


def test_who_leaves_can_be_frozen_too() -> None:
    stillness = LivenessMonitor()
    assert any(stillness.still([session(3, is_member=False)], second) for second in range(8))


def test_stranger_is_left_alone() -> None:
    stillness = LivenessMonitor()
    stranger = session(0, is_member=False, beat=None)
    assert not any(stillness.still([stranger], second) for second in range(60))
