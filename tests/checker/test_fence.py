"""Two checkers that both check the same monitor: which of their checks the log records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import OperationalError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker.recording.check_log import CheckLog
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from store.store import create_store, open_store
from tests.checker.monitors import HERE, NOW, UP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from domain.check import CheckPerformed
    from domain.checks import Checks


A, B = "A", "B"


class Interrupted:
    """A log that lets something happen before and after each of its calls."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self.happens: Callable[[str], None] = lambda _: None
        self.looks = 0

    def look(self, *arguments: Any) -> dict[UUID, list[CheckPerformed]]:  # noqa: ANN401 - passed through
        self.happens("before look")
        self.looks += 1
        found = self._checks.look(*arguments)
        self.happens("after look")
        return found

    def record(self, batch: Sequence[PerformedCheck], **who: Any) -> None:  # noqa: ANN401
        self.happens("before record")
        self._checks.record(batch, **who)
        self.happens("after record")


@dataclass
class Writer:
    """One checker of the two: its own sight of the log."""

    name: str
    log: Interrupted
    check_log: CheckLog
    recorded: int = 0
    fenced: int = 0

    def append(self, batch: Sequence[PerformedCheck]) -> None:
        """Append, as often as the store is away."""
        while True:
            try:
                done = self.check_log.append(batch)
            except OperationalError:
                continue
            self.recorded += done.recorded
            self.fenced += done.fenced
            return


@dataclass
class Two:
    """Two processes on one store, each with an open log of its own."""

    logs: dict[str, Checks]
    writers: dict[str, Writer] = field(default_factory=dict)

    def begin(self, *, seconds: int = 3600) -> None:
        """Start both of them anew; their clock shows so long after NOW."""
        for name, checks in self.logs.items():
            log = Interrupted(checks)
            check_log = CheckLog(
                log,  # type: ignore[arg-type] # stands in for Checks
                HERE,
                clock=lambda: NOW + timedelta(seconds=seconds),
                is_shared=True,
            )
            self.writers[name] = Writer(name, log, check_log)

    def stored(self, monitor_id: UUID) -> list[CheckPerformed]:
        found = self.logs[A].look([monitor_id], HERE.code, 1000)
        return list(reversed(found[monitor_id]))

    def dues(self, monitor_id: UUID) -> list[int]:
        return [seconds_of(each.due_at) for each in self.stored(monitor_id)]


def at(seconds: float) -> str:
    return iso_milliseconds(NOW + timedelta(seconds=seconds))


def seconds_of(due_at: str) -> int:
    return round((datetime.fromisoformat(due_at) - NOW).total_seconds())


def check(monitor_id: UUID, due: float, by: str = A, *, version: int = 1) -> PerformedCheck:
    started = at(due + (0.1 if by == A else 0.2))
    return PerformedCheck(monitor_id, version, "smtp", at(due), started, NOW, UP.as_json())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("fence") / "data"
    with create_store(folder) as one, open_store(folder) as other:
        yield Two({A: one.checks, B: other.checks})


@pytest.fixture
def two(shared: Two) -> Two:
    shared.begin()
    return shared


@pytest.fixture
def monitor_id() -> UUID:
    return uuid4()


def test_frozen_holder_that_comes_back_records_nothing_twice(two: Two, monitor_id: UUID) -> None:
    a, b = two.writers.values()
    a.append([check(monitor_id, 0)])
    # A probes the step at 60, and is frozen. B takes over, and goes on for long.
    for due in range(60, 1200, 60):
        b.append([check(monitor_id, due, B)])
    a.append([check(monitor_id, 60)])
    a.append([check(monitor_id, 1200)])
    b.append([check(monitor_id, 1200, B)])

    assert two.dues(monitor_id) == list(range(0, 1201, 60))
    assert (a.recorded, a.fenced) == (2, 1)
    assert (b.recorded, b.fenced) == (19, 1)


def test_holder_that_never_recorded_anything_is_fenced_too(two: Two, monitor_id: UUID) -> None:
    a, b = two.writers.values()
    b.append([check(monitor_id, 60, B)])
    a.append([check(monitor_id, 60)])

    assert two.dues(monitor_id) == [60]
    assert (a.recorded, a.fenced) == (0, 1)


def test_one_conflict_does_not_cost_the_rest_of_the_batch(two: Two) -> None:
    monitors = [uuid4() for _ in range(20)]
    a, b = two.writers.values()
    a.append([check(each, 0) for each in monitors])
    b.append([check(monitors[3], 60, B)])
    a.append([check(each, 60) for each in monitors])

    assert all(two.dues(each) == [0, 60] for each in monitors)
    assert (a.recorded, a.fenced) == (39, 1)
    # Each look is a way to the server and back: one for what is new, one for the conflict.
    assert (a.log.looks, b.log.looks) == (2, 1)


def test_append_of_another_checker_between_read_and_append_is_noticed(
    two: Two, monitor_id: UUID
) -> None:
    a, b = two.writers.values()
    looks: list[str] = []

    def overtaken(when: str) -> None:
        if when == "after look" and not looks:
            looks.append(when)
            b.append([check(monitor_id, 60, B)])

    a.log.happens = overtaken
    a.append([check(monitor_id, 60)])

    assert two.dues(monitor_id) == [60]
    assert (a.recorded, a.fenced) == (0, 1)


def test_due_time_that_one_checker_checked_twice_is_recorded_once(
    two: Two, monitor_id: UUID
) -> None:
    # It lost the shard and took it again while its first check waited for the store.
    a = two.writers[A]
    a.append([check(monitor_id, 0), check(monitor_id, 60), check(monitor_id, 60)])
    a.append([check(monitor_id, 60)])

    assert two.dues(monitor_id) == [0, 60]
    assert a.recorded + a.fenced == 4


def test_changed_monitor_is_recorded_although_a_step_of_the_old_version_was_due_later(
    two: Two, monitor_id: UUID
) -> None:
    a, b = two.writers.values()
    a.append([check(monitor_id, 60)])
    b.append([check(monitor_id, 59, B, version=2)])
    a.append([check(monitor_id, 59, version=2)])

    assert two.dues(monitor_id) == [60, 59]


def test_due_time_of_a_clock_that_was_ahead_fences_no_check(two: Two, monitor_id: UUID) -> None:
    a, b = two.writers.values()
    a.append([check(monitor_id, 7000)])  # the clock shows 3600
    b.append([check(monitor_id, 3540, B), check(monitor_id, 3600, B)])

    assert two.dues(monitor_id) == [7000, 3540, 3600]


@pytest.mark.parametrize("when", ["before record", "after record"])
def test_lost_answer_does_not_count_as_another_checker(
    two: Two, monitor_id: UUID, when: str
) -> None:
    a = two.writers[A]
    failures = [OperationalError("gone")]

    def fail(now: str) -> None:
        if now == when and failures:
            raise failures.pop()

    a.log.happens = fail
    a.append([check(monitor_id, due) for due in (0, 60, 120)])

    assert two.dues(monitor_id) == [0, 60, 120]
    assert (a.recorded, a.fenced) == (3, 0)


def test_store_that_fails_after_a_conflict_records_nothing_twice(
    two: Two, monitor_id: UUID
) -> None:
    a, b = two.writers.values()
    a.append([check(monitor_id, 0)])
    b.append([check(monitor_id, 60, B)])
    failures = [OperationalError("gone")]

    def fail_the_look_that_follows_the_conflict(now: str) -> None:
        if now == "before look" and failures:
            raise failures.pop()

    a.log.happens = fail_the_look_that_follows_the_conflict
    a.append([check(monitor_id, 60)])

    assert failures == []
    assert two.dues(monitor_id) == [0, 60]
    assert (a.recorded, a.fenced) == (1, 1)


events = st.sampled_from(["go on", "go on", "go on", "freeze", "fail"])
probed = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), max_size=14).map(
    lambda found: sorted(found, key=lambda each: each[1])
)


class Play:
    """Two writers with what each of them found, and everything that may happen to them."""

    def __init__(self, two: Two, found: dict[str, list[tuple[int, int]]], data: Any) -> None:  # noqa: ANN401 - of Hypothesis
        two.begin()
        self.monitors = [uuid4() for _ in range(3)]
        self._two = two
        self._data = data
        self._events = data.draw(st.lists(events, max_size=40))
        self._busy: list[str] = []
        self._queues = {
            name: [check(self.monitors[which], 60 * step, name) for which, step in each]
            for name, each in found.items()
        }
        for name, writer in two.writers.items():
            writer.log.happens = partial(self._happens, name)

    def run(self) -> None:
        """Let both append all that they found."""
        while names := [name for name, queue in self._queues.items() if queue]:
            name = self._data.draw(st.sampled_from(names))
            self._busy = [name]
            self._append(name)

    def _append(self, name: str) -> None:
        queue, size = self._queues[name], self._data.draw(st.integers(1, 5))
        batch, queue[:] = queue[:size], queue[size:]
        self._two.writers[name].append(batch)

    def _happens(self, name: str, when: str) -> None:
        del when
        if not self._events:
            return
        event = self._events.pop()
        if event == "fail":
            raise OperationalError("gone")
        if event == "freeze" and len(self._busy) == 1:
            # The other one does as much as it likes meanwhile.
            other = B if name == A else A
            self._busy.append(other)
            for _ in range(self._data.draw(st.integers(1, 3))):
                self._append(other)
            self._busy.pop()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(by_a=probed, by_b=probed, data=st.data())
def test_no_due_time_is_recorded_twice_whatever_happens(
    shared: Two, by_a: list[tuple[int, int]], by_b: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Freezes and failures anywhere, answers lost, any due times in any order of the writers."""
    play = Play(shared, {A: by_a, B: by_b}, data)
    play.run()

    for place, monitor_id in enumerate(play.monitors):
        dues = shared.dues(monitor_id)
        wanted = {60 * step for which, step in [*by_a, *by_b] if which == place}
        assert len(dues) == len(set(dues)), "recorded twice"
        assert dues == sorted(dues), "recorded in the wrong order"
        assert set(dues) <= wanted
        assert dues[-1:] == sorted(wanted)[-1:], "the last one is missing"
    judged = sum(each.recorded + each.fenced for each in shared.writers.values())
    assert judged == len(by_a) + len(by_b)
