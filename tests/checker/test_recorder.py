"""From finished checks to the log: in batches, once, and never lost."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import trio
from eventsourcing.persistence import IntegrityError, OperationalError

from checker.recording.check_log import AppendResult, CheckLog
from checker.recording.recorder import CheckRecorder
from checker.runtime.limits import Limits
from checker.runtime.metrics import CheckerMetrics
from domain.checks import Checks, PerformedCheck
from domain.errors import ConflictError
from store.log_reader import LogReader
from tests.checker.monitors import HERE, NOW, UP
from tests.checker.whole_run import until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from checker.runtime.location import Location
    from store.store import Store


QUICK = Limits(batch=10, linger_seconds=0.01, queue=20, open_sockets=30, flush_seconds=5)


def check(number: int, monitor_id: UUID | None = None) -> PerformedCheck:
    due = f"2026-03-01T12:00:00.{number:03d}Z"
    return PerformedCheck(monitor_id or uuid4(), 1, "smtp", due, due, NOW, UP.as_json())


def recorded(store: Store) -> list[str]:
    return [each.event.due_at for each in LogReader(store.checks).after(0, 10_000)]


class Flaky:
    """A log that raises the errors in `before` and `after` its work."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self.before: list[Exception] = []
        self.after: list[Exception] = []
        self.sizes: list[int] = []
        self.look = checks.look

    def record(self, batch: Sequence[PerformedCheck], **who: Any) -> None:  # noqa: ANN401
        if self.before:
            raise self.before.pop()
        self._checks.record(batch, **who)
        self.sizes.append(len(batch))
        if self.after:
            raise self.after.pop()


def check_log(flaky: Flaky, location: Location = HERE) -> CheckLog:
    return CheckLog(flaky, location)  # type: ignore[arg-type] # stands in for Checks


async def run_with(
    append: Callable[[Sequence[PerformedCheck]], AppendResult],
    checks: Sequence[PerformedCheck],
    limits: Limits = QUICK,
) -> CheckerMetrics:
    metrics = CheckerMetrics()
    recorder = CheckRecorder(append, limits, metrics)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        for each in checks:
            recorder.put(each)
        recorder.close()
    return metrics


async def test_checks_are_recorded_in_order_in_batches(store: Store) -> None:
    flaky = Flaky(store.checks)
    metrics = await run_with(check_log(flaky).append, [check(number) for number in range(25)])

    assert recorded(store) == [check(number).due_at for number in range(25)]
    assert flaky.sizes == [10, 10, 5]
    assert (metrics.recorded, metrics.queued) == (25, 0)


async def test_single_check_does_not_wait_for_a_full_batch(store: Store) -> None:
    recorder = CheckRecorder(CheckLog(store.checks, HERE).append, QUICK, CheckerMetrics())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        recorder.put(check(1))
        await until(lambda: len(recorded(store)) == 1)
        recorder.close()


async def test_unavailable_store_loses_nothing_and_is_logged_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    flaky = Flaky(store.checks)
    flaky.before = [OperationalError("database is locked") for _ in range(3)]
    checks = [check(number) for number in range(15)]
    metrics = await run_with(check_log(flaky).append, checks)

    assert recorded(store) == [each.due_at for each in checks]
    assert not metrics.store_away
    lines = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(lines) == 2
    assert lines[0] == "cannot record checks, trying until it works: database is locked"
    assert lines[1].startswith("can record checks again after")


async def test_lost_answer_does_not_record_a_batch_twice(store: Store) -> None:
    flaky = Flaky(store.checks)
    flaky.after = [OperationalError("server closed the connection")]
    checks = [check(number) for number in range(5)]
    await run_with(check_log(flaky).append, checks)

    assert recorded(store) == [each.due_at for each in checks]


async def test_checks_of_another_process_are_counted_in(
    store: Store, other_process: AbstractContextManager[Store]
) -> None:
    monitor_id = uuid4()
    await run_with(CheckLog(store.checks, HERE).append, [check(1, monitor_id)])
    with other_process as other:
        await run_with(CheckLog(other.checks, HERE).append, [check(2, monitor_id)])
    await run_with(CheckLog(store.checks, HERE).append, [check(3, monitor_id)])

    assert recorded(store) == [check(number).due_at for number in (1, 2, 3)]


async def test_another_process_that_always_appends_first_ends_the_checker(store: Store) -> None:
    flaky = Flaky(store.checks)
    flaky.before = [IntegrityError("secret stored data") for _ in range(1000)]

    with pytest.RaisesGroup(pytest.RaisesExc(ConflictError, match="postwatch fleet")) as raised:
        await run_with(check_log(flaky).append, [check(1)])
    assert raised.value.exceptions[0].__context__ is None


async def test_full_queue_has_no_room_but_takes_the_checks_in_flight(
    store: Store,
) -> None:
    recorder = CheckRecorder(CheckLog(store.checks, HERE).append, QUICK, CheckerMetrics())
    rooms = []
    for number in range(QUICK.queue + QUICK.open_sockets):
        rooms.append(recorder.has_room)
        recorder.put(check(number))

    assert rooms == [True] * QUICK.queue + [False] * QUICK.open_sockets
    assert not recorder.has_room


@pytest.mark.parametrize(("checks", "is_announced"), [(19, False), (20, True), (45, True)])
async def test_room_is_announced_once_after_a_full_queue(
    store: Store, checks: int, *, is_announced: bool
) -> None:
    announced: list[bool] = []
    append = CheckLog(store.checks, HERE).append
    recorder = CheckRecorder(
        append, QUICK, CheckerMetrics(), on_room=lambda: announced.append(recorder.has_room)
    )
    for number in range(checks):
        recorder.put(check(number))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        recorder.close()

    assert len(recorded(store)) == checks
    assert announced == [True] * is_announced


async def test_cancellation_does_not_lose_what_is_queued(store: Store) -> None:
    recorder = CheckRecorder(CheckLog(store.checks, HERE).append, QUICK, CheckerMetrics())
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recorder.run)
            for number in range(20):
                recorder.put(check(number))
            scope.cancel()
            recorder.close()

    assert len(recorded(store)) == 20


async def test_store_that_does_not_come_back_is_given_up_and_the_loss_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(batch: Sequence[PerformedCheck]) -> AppendResult:
        raise OperationalError(f"disk full, {len(batch)} refused")

    limits = Limits(batch=10, linger_seconds=0, flush_seconds=0.2)
    await run_with(fail, [check(number) for number in range(25)], limits)

    assert caplog.messages[-1] == "the store did not come back: 25 checks were not recorded"


async def test_bug_in_the_log_raises() -> None:
    def fail(batch: Sequence[PerformedCheck]) -> AppendResult:
        raise TypeError(f"{len(batch)} is not JSON")

    with pytest.RaisesGroup(TypeError):
        await run_with(fail, [check(1)])


async def test_last_check_of_this_location_is_found(store: Store) -> None:
    log = CheckLog(store.checks, HERE)
    assert log.last_check_at() is None

    await run_with(log.append, [check(number) for number in range(450)], Limits())
    assert log.last_check_at() == NOW
    elsewhere = type(HERE)("fr-par", "Paris", "FR")
    assert CheckLog(store.checks, elsewhere).last_check_at() is None
    await run_with(CheckLog(store.checks, elsewhere).append, [check(1)] * 1, Limits())
    assert log.last_check_at() == NOW
