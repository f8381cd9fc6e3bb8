"""Invariants of the schedule, under random operations of a state machine that records all."""

from __future__ import annotations

from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from checker.schedule.grid import Due, unit_fraction
from checker.schedule.schedule import GRACE_SECONDS, SPREAD_SECONDS, Schedule

IDS = [UUID(int=number) for number in range(1, 6)]
INTERVALS = [6.0, 7.5, 60.0, 300.0, 86_400.0]
ids = st.sampled_from(IDS)
intervals = st.sampled_from(INTERVALS)


class ScheduleMachine(RuleBasedStateMachine):
    """Edits, deletes, checks and stalls in any order, beside a simple model of them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 5000.0
        self.schedule = Schedule(origin=-123.25)
        self.intervals: dict[UUID, float] = {}
        self.running: set[UUID] = set()
        self.changed: set[UUID] = set()
        self.fresh: set[UUID] = set()
        self.fired: dict[UUID, float] = {}

    @rule(monitor_id=ids, interval=intervals)
    def create_or_change(self, monitor_id: UUID, interval: float) -> None:
        self.schedule.check_now(monitor_id, interval, self.now)
        self.intervals[monitor_id] = interval
        self.changed.add(monitor_id)
        self.fresh.discard(monitor_id)

    @rule(monitor_id=ids, interval=intervals, absence=st.floats(0, 10_000))
    def resume(self, monitor_id: UUID, interval: float, absence: float) -> None:
        if monitor_id not in self.intervals and monitor_id not in self.running:
            self.schedule.resume(monitor_id, interval, self.now, self.now - absence)
            self.intervals[monitor_id] = interval
            self.fired.pop(monitor_id, None)
            self.fresh.add(monitor_id)

    @rule(monitor_id=ids)
    def hasten(self, monitor_id: UUID) -> None:
        self.schedule.expedite(monitor_id, self.now)
        if monitor_id in self.fresh:
            self.changed.add(monitor_id)

    @precondition(lambda self: self.intervals)
    @rule(data=st.data(), ago=st.floats(0, 100))
    def request(self, data: st.DataObject, ago: float) -> None:
        monitor_id = data.draw(st.sampled_from(sorted(self.intervals)))
        asked = self.now + 123.25 - ago
        self.schedule.request(monitor_id, self.intervals[monitor_id], self.now, asked)
        self.changed.add(monitor_id)
        self.fresh.discard(monitor_id)

    @rule(monitor_id=ids, ago=st.floats(0, 100))
    def hasten_sibling(self, monitor_id: UUID, ago: float) -> None:
        before = {each: due for due, each in self.schedule._heap}
        self.schedule.hasten(monitor_id, self.now, self.now + 123.25 - ago)
        after = {each: due for due, each in self.schedule._heap}
        if before.get(monitor_id) != after.get(monitor_id):
            self.changed.add(monitor_id)
            self.fresh.discard(monitor_id)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        monitor_id = data.draw(st.sampled_from(sorted(self.running)))
        self.schedule.repeat(Due(monitor_id, self.now, self.now))
        if monitor_id in self.intervals:
            self.changed.add(monitor_id)

    @rule(monitor_id=ids)
    def remove(self, monitor_id: UUID) -> None:
        self.schedule.remove(monitor_id)
        self.intervals.pop(monitor_id, None)
        self.changed.discard(monitor_id)
        self.fresh.discard(monitor_id)

    @rule(seconds=st.floats(0, 100) | st.floats(0, 200_000))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wait_for_the_next(self) -> None:
        self.now = max(self.now, self.schedule.next_due() or 0.0)

    @rule(limit=st.integers(1, 5))
    def take(self, limit: int) -> None:
        for monitor_id, due, _ in self.schedule.take(self.now, limit):
            assert monitor_id in self.intervals, "a removed monitor was taken"
            assert monitor_id not in self.running, "taken twice at once"
            assert due <= self.now, "taken too early"
            fresh = monitor_id in self.changed
            assert fresh or self.now - due <= GRACE_SECONDS, "a missed due time was fired"
            assert fresh or due != self.fired.get(monitor_id), "one due time was fired twice"
            self.running.add(monitor_id)
            self.changed.discard(monitor_id)
            self.fresh.discard(monitor_id)
            self.fired[monitor_id] = due

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        monitor_id = data.draw(st.sampled_from(sorted(self.running)))
        self.running.remove(monitor_id)
        failed = data.draw(st.sampled_from([None, True, False]))
        self.schedule.finish(monitor_id, self.now, failed=failed)
        if failed and monitor_id in self.intervals:
            self.changed.add(monitor_id)  # a check that confirms the failure may be late

    @invariant()
    def nothing_is_lost(self) -> None:
        waiting = {monitor_id for _, monitor_id in self.schedule._heap}
        assert waiting == self.intervals.keys() - self.running

    @invariant()
    def nothing_waits_longer_than_an_interval(self) -> None:
        for due, monitor_id in self.schedule._heap:
            assert due - self.now <= self.intervals[monitor_id] + 1e-6

    @invariant()
    def what_is_not_urgent_is_on_the_grid_or_within_the_spread(self) -> None:
        for due, monitor_id in self.schedule._heap:
            interval = self.intervals[monitor_id]
            steps = (due + 123.25 - unit_fraction(monitor_id) * interval) / interval
            on_grid = abs(steps - round(steps)) * interval < 1e-4
            soon = due - self.now <= SPREAD_SECONDS
            assert on_grid or soon or monitor_id in self.changed


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
