"""Following the `monitoring` log of a real store."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from eventsourcing.persistence import OperationalError

from checker.loop import event_feed as feed_module
from checker.loop.event_feed import Batch, Feed
from store.log_reader import LogReader
from tests.checker.monitors import Owner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from store.log_reader import LoggedEvent
    from store.ports.engine import ChangeSignal
    from store.store import Store


@pytest.fixture
def signal(store: Store) -> Iterator[ChangeSignal]:
    opened = store.signal("monitoring")
    yield opened
    opened.close()


@asynccontextmanager
async def following(feed: Feed) -> AsyncIterator[trio.MemoryReceiveChannel[Batch]]:
    send, receive = trio.open_memory_channel[Batch](0)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed.follow, send)
            yield receive
            nursery.cancel_scope.cancel()


async def test_empty_log_is_at_its_head_at_once(store: Store, signal: ChangeSignal) -> None:
    async with following(Feed(LogReader(store.monitoring), signal)) as receive:
        assert await receive.receive() == Batch([], 0, at_head=True)


async def test_everything_is_read_in_order_then_what_comes(
    store: Store, signal: ChangeSignal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "BATCH", 4)
    owner = Owner(store)
    for _ in range(5):
        owner.create()
    expected = [each.position for each in LogReader(store.monitoring).after(0, 100)]

    async with following(Feed(LogReader(store.monitoring), signal)) as receive:
        positions: list[int] = []
        batch = Batch([], 0, at_head=False)
        while not batch.at_head:
            batch = await receive.receive()
            assert len(batch.events) <= 4
            positions += [each.position for each in batch.events]
        assert positions == expected

        monitor = owner.create(name="new")
        batch = await receive.receive()
        assert batch.events[-1].event.originator_id == monitor.id
        assert batch.events[0].position > expected[-1]


async def test_new_events_arrive_soon(store: Store, signal: ChangeSignal) -> None:
    owner = Owner(store)
    async with following(Feed(LogReader(store.monitoring), signal)) as receive:
        while not (await receive.receive()).at_head:
            pass
        owner.create()
        with trio.fail_after(30):
            await receive.receive()


async def test_log_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        failures = 3

        def after(self, position: int, limit: int) -> Sequence[LoggedEvent]:
            del position, limit
            Away.failures -= 1
            if Away.failures >= 0:
                raise OperationalError("unable to open database file")
            return []

    class Deaf:
        def changed(self) -> bool:
            raise OperationalError("disk I/O error")

    async with following(Feed(Away(), Deaf())) as receive:
        assert (await receive.receive()).at_head
    assert len(caplog.messages) == 2
    assert caplog.messages[0].startswith("cannot read what is to be checked")
