"""How far back a start reads the checks, and when checks that are read late arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.policy_clock import arrival_times
from alerting.reading import position_at
from tests.alerting.scene import Scene
from tests.domain.given import NOON

if TYPE_CHECKING:
    from store.store import Store
    from tests.places import Place


@pytest.mark.any_engine
def test_the_position_of_a_moment_is_found_by_halving(place: Place, store: Store) -> None:
    scene = Scene(place, store)
    monitor = scene.monitor()
    for number in range(40):
        scene.record([(monitor, number * 10, "ok")])
    checks = store.reader("checks")
    head = checks.head()

    for number in range(41):
        found = position_at(checks, NOON.timestamp() + number * 10, head)
        after = [
            each.event.timestamp.timestamp() - NOON.timestamp() for each in checks.after(found, 99)
        ]
        assert after == [each * 10 for each in range(number, 40)]
    assert position_at(checks, NOON.timestamp(), 0) == 0


@pytest.mark.any_engine
def test_a_start_counts_only_checks_that_matter_and_decides_the_same(
    place: Place, store: Store
) -> None:
    scene = Scene(place, store)
    monitor = scene.monitor()
    scene.decider().load()
    for number in range(200):
        category = "timeout" if number > 190 else "ok"
        scene.record([(monitor, 300 + number * 300, category)])
    scene.clock.after_noon = 300 + 199 * 300
    first = scene.decider()
    first.load()
    while first.step():
        pass
    before = scene.topics()

    second = scene.decider()
    second.load()

    assert second._memory_begins_at() > 180
    place_again = second.policy.watches[str(monitor.id)].places["local"]
    assert place_again.is_failing
    scene.check(monitor, 300 + 200 * 300, "ok")
    while second.step():
        pass
    # Nobody has sent the alert, and after a start it comes too late.
    assert scene.topics() == [*before, "IncidentResolved", "AlertPlanned", "AlertSkipped"]


@given(st.lists(st.floats(0, 1e6), max_size=80))
def test_policy_time_never_goes_back_nor_beyond_the_clock(ends: list[float]) -> None:
    times = arrival_times(ends, 10.0, 1e5)

    assert times == sorted(times)
    assert all(10.0 <= each <= 1e5 for each in times)
    assert len(times) == len(ends)


def test_a_clock_that_is_ahead_and_late_checks_move_no_policy_time() -> None:
    ends = [float(number) for number in range(200)]
    ends[100] += 3600
    ends[150:153] = [1.0, 2.0, 3.0]

    times = arrival_times(ends, 0.0, 1e6)

    assert max(abs(each - number) for number, each in enumerate(times)) <= 3
