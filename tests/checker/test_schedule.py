"""The rules of the schedule, with time as an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checker.schedule.grid import Due, unit_fraction
from checker.schedule.schedule import GRACE_SECONDS, NEAR_SECONDS, SPREAD_SECONDS, Schedule
from tests.checker.monitors import ids

if TYPE_CHECKING:
    from uuid import UUID


START = 1000.0


A, B = ids(2)


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(origin=0.0)


def is_on_grid(monitor_id: UUID, interval: float, due: float) -> bool:
    steps = due / interval - unit_fraction(monitor_id)
    return abs(steps - round(steps)) * interval < 1e-6


def take_at(schedule: Schedule, now: float) -> list[UUID]:
    return [due.monitor_id for due in schedule.take(now, 1000)]


def next_due(schedule: Schedule) -> float:
    due = schedule.next_due()
    assert due is not None
    return due


def test_empty_schedule_has_nothing_due(schedule: Schedule) -> None:
    assert schedule.next_due() is None
    assert schedule.take(START, 10) == []


def test_new_monitor_is_due_at_once_and_then_at_its_own_phase(schedule: Schedule) -> None:
    schedule.check_now(A, 60, START)
    assert schedule.take(START, 10) == [Due(A, START, START)]
    schedule.finish(A, START + 1)

    assert is_on_grid(A, 60, next_due(schedule))
    assert START < next_due(schedule) <= START + 60


def test_running_monitor_is_not_taken_again(schedule: Schedule) -> None:
    schedule.check_now(A, 60, START)
    take_at(schedule, START)

    assert take_at(schedule, START + 1000) == []
    assert schedule.next_due() is None


def test_due_times_do_not_drift_however_long_checks_take(schedule: Schedule) -> None:
    schedule.resume(A, 6.0, START, START)
    first = next_due(schedule)
    for round_ in range(100_000):
        due = next_due(schedule)
        assert due == pytest.approx(first + round_ * 6.0, abs=1e-6)
        assert take_at(schedule, due + 0.01) == [A]
        schedule.finish(A, due + 1.7)


def test_edit_during_a_run_takes_effect_after_it(schedule: Schedule) -> None:
    schedule.check_now(A, 60, START)
    take_at(schedule, START)
    schedule.check_now(A, 600, START + 1)
    assert take_at(schedule, START + 2) == []
    schedule.finish(A, START + 3)

    assert schedule.take(START + 3, 10) == [Due(A, START + 3, START + 1)]
    schedule.finish(A, START + 4)
    assert is_on_grid(A, 600, next_due(schedule))


def test_changed_monitor_is_due_at_once_and_its_old_due_time_is_stale(schedule: Schedule) -> None:
    schedule.resume(A, 60, START, START)
    old = next_due(schedule)
    schedule.check_now(A, 3600, START)
    assert take_at(schedule, START) == [A]
    schedule.finish(A, START)

    assert next_due(schedule) != old
    assert is_on_grid(A, 3600, next_due(schedule))


def test_removed_monitor_is_not_due(schedule: Schedule) -> None:
    schedule.check_now(A, 60, START)
    schedule.remove(A)
    schedule.remove(A)
    schedule.remove(B)

    assert take_at(schedule, START + 1000) == []
    assert schedule.next_due() is None
    assert len(schedule) == 0


def test_monitor_that_is_removed_while_it_runs_ends_with_its_check(schedule: Schedule) -> None:
    schedule.check_now(A, 60, START)
    take_at(schedule, START)
    schedule.remove(A)
    schedule.finish(A, START + 1)

    assert schedule.next_due() is None
    assert len(schedule) == 0


def test_monitor_that_comes_back_while_it_runs_is_not_run_twice(schedule: Schedule) -> None:
    schedule.check_now(A, 60, START)
    take_at(schedule, START)
    schedule.remove(A)
    schedule.check_now(A, 60, START + 1)
    assert take_at(schedule, START + 1) == []
    schedule.finish(A, START + 2)

    assert take_at(schedule, START + 2) == [A]


def test_check_that_outlasts_its_interval_is_counted_not_caught_up(schedule: Schedule) -> None:
    schedule.resume(A, 10, START, START)
    due = next_due(schedule)
    take_at(schedule, due)
    schedule.finish(A, due + 35)

    assert schedule.overrun == 3
    assert schedule.skipped == 0
    assert next_due(schedule) == pytest.approx(due + 40)


def test_due_times_missed_in_a_stall_are_counted_not_caught_up(schedule: Schedule) -> None:
    monitors = ids(500)
    for each in monitors:
        schedule.resume(each, 60, START, START)

    assert take_at(schedule, START + 600) == []
    assert schedule.skipped == pytest.approx(10 * len(monitors), rel=0.02)
    per_second = [len(take_at(schedule, START + 600 + second)) for second in range(1, 61)]
    assert sum(per_second) == len(monitors)
    assert max(per_second) < 25


def test_after_a_stall_a_long_interval_does_not_wait_for_its_next_due_time(
    schedule: Schedule,
) -> None:
    day = 86_400.0
    schedule.resume(A, day, START, START)
    due = next_due(schedule)
    awake = due + GRACE_SECONDS + 1
    assert take_at(schedule, awake) == []

    late = next_due(schedule)
    assert awake <= late <= awake + SPREAD_SECONDS
    assert take_at(schedule, late) == [A]
    schedule.finish(A, late + 1)
    assert next_due(schedule) == pytest.approx(due + day)
    assert schedule.skipped == 1


def test_short_delay_does_not_skip(schedule: Schedule) -> None:
    schedule.resume(A, 60, START, START)
    assert take_at(schedule, next_due(schedule) + GRACE_SECONDS - 0.1) == [A]
    assert schedule.skipped == 0


def test_new_monitor_is_checked_however_long_it_had_to_wait(schedule: Schedule) -> None:
    schedule.check_now(A, 60, START)
    assert take_at(schedule, START + 500) == [A]
    assert schedule.skipped == 0


def test_restart_goes_on_at_the_same_phase() -> None:
    # Two processes: their monotonic clocks have nothing in common, the wall clock has.
    before, after = Schedule(origin=-1_700_000_000.0), Schedule(origin=-1_700_000_000.0 - 7777.5)
    before.resume(A, 300, START, START)
    after.resume(A, 300, START - 7777.5, START - 7777.5)

    assert next_due(before) == pytest.approx(next_due(after) + 7777.5, abs=1e-5)


def test_restart_after_a_short_absence_checks_nothing_out_of_turn(schedule: Schedule) -> None:
    schedule.resume(A, 86_400, START, START - 1)

    assert is_on_grid(A, 86_400, next_due(schedule))


def test_restart_after_a_missed_due_time_checks_the_overdue_at_a_pace(schedule: Schedule) -> None:
    monitors = ids(600)
    for each in monitors:
        schedule.resume(each, 3600, START, START - 3700)

    # The last turn comes after five seconds, and may be left to a phase within five more.
    per_second = [len(take_at(schedule, START + second)) for second in range(11)]
    assert sum(per_second) == len(monitors)
    assert max(per_second) <= 126


def test_overdue_monitor_whose_phase_comes_before_its_turn_waits_for_it(
    schedule: Schedule,
) -> None:
    monitors = ids(5000)
    for each in monitors:
        schedule.resume(each, 20, START, START - 20)

    per_second = [len(take_at(schedule, START + second)) for second in range(21)]
    assert sum(per_second) == len(monitors)
    assert max(per_second) < 500
    assert schedule.skipped == 0


def test_never_checked_monitors_are_checked_soon_and_at_a_pace(schedule: Schedule) -> None:
    day = 86_400
    # One whose own phase comes soon would be left to it.
    late = [each for each in ids(600) if not 0 < unit_fraction(each) * day - START < 70]
    monitors = late[:500]
    for each in monitors:
        schedule.resume(each, day, START, START)
    for each in monitors:
        schedule.expedite(each, START)

    assert take_at(schedule, START) == monitors[:1]
    assert take_at(schedule, START + 1.0001) == monitors[1:251]
    assert take_at(schedule, START + 60) == monitors[251:]
    assert schedule.skipped == 0


def test_monitor_that_was_checked_or_removed_since_the_start_is_not_expedited(
    schedule: Schedule,
) -> None:
    schedule.resume(A, 60, START, START)
    due = next_due(schedule)
    take_at(schedule, due)
    schedule.expedite(A, due)
    schedule.expedite(B, due)
    schedule.finish(A, due)
    schedule.expedite(A, due)

    assert next_due(schedule) == pytest.approx(due + 60)


def test_monitor_whose_phase_comes_before_its_turn_waits_for_its_phase(schedule: Schedule) -> None:
    monitors = ids(500)
    for each in monitors:
        schedule.resume(each, 1, START, START)
        schedule.expedite(each, START)

    # The turn of the last one would come after two seconds.
    assert sum(len(take_at(schedule, START + tenth / 10)) for tenth in range(11)) == 500


def test_check_that_failed_for_our_own_reasons_is_repeated(schedule: Schedule) -> None:
    schedule.resume(A, 60, START, START)
    due = next_due(schedule)
    (taken,) = schedule.take(due, 10)
    schedule.repeat(taken)
    schedule.finish(A, due + 1)

    assert schedule.take(due + 1, 10) == [Due(A, due + 1, due)]


def test_more_monitors_widen_the_spread(schedule: Schedule) -> None:
    schedule.widen_spread(100_000)
    monitors = ids(400)
    for each in monitors:
        schedule.resume(each, 86_400, START, START)
    later = START + 86_400 + GRACE_SECONDS
    taken = [each for each in monitors if each in take_at(schedule, later)]
    rest = len(monitors) - len(taken)

    in_half_of_it = sum(len(take_at(schedule, later + second)) for second in range(1, 201))
    assert in_half_of_it == pytest.approx(rest / 2, abs=60)


def test_take_returns_the_longest_due_first_up_to_the_limit(schedule: Schedule) -> None:
    some = ids(9)
    for number, each in enumerate(some):
        schedule.check_now(each, 60, START + number / 10)

    assert [due.monitor_id for due in schedule.take(START + 1, 4)] == some[:4]
    assert [due.monitor_id for due in schedule.take(START + 1, 100)] == some[4:]


def test_many_edits_do_not_let_the_heap_grow(schedule: Schedule) -> None:
    for number in range(10_000):
        schedule.check_now(A, 60 + number % 7, START)

    assert len(schedule._heap) < 100
    assert take_at(schedule, START) == [A]


def test_phases_are_evenly_spread() -> None:
    buckets = [0] * 10
    for each in ids(10_000):
        buckets[int(unit_fraction(each) * 10)] += 1
    assert min(buckets) > 850
    assert max(buckets) < 1150


@pytest.mark.parametrize(("ahead", "is_extra"), [(NEAR_SECONDS - 1, False), (30.0, True)])
def test_overdue_monitor_waits_for_its_own_phase_when_that_comes_soon(
    schedule: Schedule, *, ahead: float, is_extra: bool
) -> None:
    schedule.resume(A, 3600, START, START)
    due = next_due(schedule)
    again = Schedule(origin=0.0)

    again.resume(A, 3600, due - ahead, due - 7200)
    again.expedite(A, due - ahead)

    assert (next_due(again) < due - 1) is is_extra
