"""Following the `monitoring` log of a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from eventsourcing.persistence import OperationalError

from checker.loop.event_feed import Batch, LogFollower
from store.log_reader import LoggedEvent, LogReader
from store.ports.engine import ChangeSignal
from tests.checker.monitors import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from store.store import Store


@pytest.fixture
def signal(store: Store) -> Iterator[ChangeSignal]:
    opened = store.signal("monitoring")
    yield opened
    opened.close()


async def test_empty_log_is_at_its_head_at_once(store: Store, signal: ChangeSignal) -> None:
    assert await follower(store, signal).next_batch() == Batch([], 0, at_head=True)


async def test_everything_is_read_in_order_then_what_comes(
    store: Store, signal: ChangeSignal
) -> None:
    owner = Owner(store)
    for _ in range(5):
        owner.create()
    expected = [each.position for each in LogReader(store.monitoring).after(0, 100)]

    log = follower(store, signal, batch_events=4)
    positions: list[int] = []
    batch = Batch([], 0, at_head=False)
    while not batch.at_head:
        batch = await log.next_batch()
        assert len(batch.events) <= 4
        positions += [each.position for each in batch.events]
    assert positions == expected

    monitor = owner.create(name="new")
    batch = await next_batch(log)
    assert batch.events[-1].event.originator_id == monitor.id
    assert batch.events[0].position > expected[-1]


async def test_full_last_batch_is_followed_by_an_empty_one_at_the_head(
    store: Store, signal: ChangeSignal
) -> None:
    Owner(store)
    events = len(LogReader(store.monitoring).after(0, 100))
    log = follower(store, signal, batch_events=events)

    assert not (await log.next_batch()).at_head
    assert await log.next_batch() == Batch([], events, at_head=True)


async def test_full_batch_that_follows_is_told_to_end_at_the_head(
    store: Store, signal: ChangeSignal
) -> None:
    owner = Owner(store)
    log = follower(store, signal, batch_events=2)
    while not (await log.next_batch()).at_head:
        pass

    owner.create()  # two events: the number and the monitor
    full = await next_batch(log)

    assert len(full.events) == 2
    assert not full.at_head
    assert await next_batch(log) == Batch([], full.position, at_head=True)


async def test_new_events_arrive_soon(store: Store, signal: ChangeSignal) -> None:
    owner = Owner(store)
    log = follower(store, signal)
    while not (await log.next_batch()).at_head:
        pass
    async with trio.open_nursery() as nursery:
        nursery.start_soon(next_batch, log)
        await trio.testing.wait_all_tasks_blocked()
        owner.create()


async def test_unavailable_log_is_read_again_until_it_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = [OperationalError("unable to open database file") for _ in range(3)]

    def read(position: int, limit: int) -> Sequence[LoggedEvent]:
        del position, limit
        if failures:
            raise failures.pop()
        return []

    class Deaf(ChangeSignal):
        def changed(self) -> bool:
            raise OperationalError("disk I/O error")

        def close(self) -> None:
            raise AssertionError

    assert (await LogFollower(read, Deaf()).next_batch()).at_head
    assert len(caplog.messages) == 2
    assert caplog.messages[0].startswith("cannot read what is to be checked")


async def test_signal_that_fails_is_no_reason_to_stop_reading() -> None:
    reads: list[int] = []

    def read(position: int, limit: int) -> Sequence[LoggedEvent]:
        del limit
        reads.append(position)
        return [LoggedEvent(1, "event")] if len(reads) == 2 else []

    class Deaf(ChangeSignal):
        def changed(self) -> bool:
            raise OperationalError("disk I/O error")

        def close(self) -> None:
            raise AssertionError

    log = LogFollower(read, Deaf())
    assert (await log.next_batch()).at_head
    assert (await log.next_batch()).position == 1


def follower(store: Store, signal: ChangeSignal, **options: int) -> LogFollower:
    return LogFollower(LogReader(store.monitoring).after, signal, **options)


async def next_batch(log: LogFollower) -> Batch:
    """Return the next batch, with a deadline."""
    with trio.fail_after(30):
        return await log.next_batch()
