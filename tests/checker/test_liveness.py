"""Which checkers count as frozen, for one that takes a snapshot each second."""

from __future__ import annotations

from checker.fleet.leased_claims import FROZEN_SECONDS, LivenessMonitor
from store.ports.leases import FleetSession, Heartbeat

BEAT = Heartbeat("there:1")


def session(beats: int, *, is_member: bool = True, beat: Heartbeat | None = BEAT) -> FleetSession:
    return FleetSession(7, frozenset({1}), is_member=is_member, beats=beats, beat=beat)


def test_checker_with_new_heartbeats_is_not_frozen() -> None:
    liveness = LivenessMonitor()
    assert all(not liveness.find_frozen([session(second)], second) for second in range(60))


def test_checker_without_new_heartbeats_for_long_enough_is_frozen() -> None:
    liveness = LivenessMonitor()
    found = [bool(liveness.find_frozen([session(3)], second)) for second in range(8)]
    assert found == [second >= FROZEN_SECONDS for second in range(8)]


def test_checker_that_took_no_snapshots_has_seen_nothing() -> None:
    liveness = LivenessMonitor()
    for second in range(3):
        liveness.find_frozen([session(3)], second)
    # This checker was frozen too, or the database did not answer any checker.
    assert liveness.find_frozen([session(3)], 60) == []
    assert liveness.find_frozen([session(3)], 61) == []


def test_member_that_never_sent_a_heartbeat_is_frozen_after_a_while() -> None:
    silent = session(0, beat=None)
    liveness = LivenessMonitor()
    assert any(liveness.find_frozen([silent], second) for second in range(8))


def test_leaving_checker_can_be_frozen_too() -> None:
    liveness = LivenessMonitor()
    assert any(liveness.find_frozen([session(3, is_member=False)], second) for second in range(8))


def test_foreign_session_does_not_count_as_frozen() -> None:
    liveness = LivenessMonitor()
    stranger = session(0, is_member=False, beat=None)
    assert not any(liveness.find_frozen([stranger], second) for second in range(60))
