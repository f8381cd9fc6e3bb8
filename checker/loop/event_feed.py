"""The feed: the `monitoring` log, read from its beginning and then followed.

Pulled, not pushed: a lost notification cannot stop it, and it can be cancelled at any
time. Knows positions, not what events mean.

The intake: what the feed brings goes into the configuration and from there to the schedule.

Up to the head of the log changes are only folded, so that nothing is checked that was
changed or deleted long ago. From then on each change takes effect at once.

The location itself may be retired there, by somebody who saw no checker: this one was just
starting, or cut off from the database. Then it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

import trio

from checker.runtime.store_retry import StoreRetry
from domain.errors import RetiredError
from store.ports.errors import STORE_UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from checker.loop.check import Find
    from checker.loop.monitor_registry import MonitorRegistry
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.schedule import Schedule
    from store.log_reader import LoggedEvent


BATCH: Final = 250
POLL_SECONDS: Final = 0.05


class Signal(Protocol):
    """Tells whether anything was written since it was last asked. Costs microseconds."""

    def changed(self) -> bool:
        """Return whether there may be something new; True on the first call."""


class Reader(Protocol):
    """Reads a log by position."""

    def after(self, position: int, limit: int) -> Sequence[LoggedEvent]:
        """Return up to `limit` events that come after `position`, in order."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some events in order. At the head of the log there was nothing more to read."""

    events: Sequence[LoggedEvent]
    position: int
    at_head: bool


class Feed:
    """Follows a log and hands on what it reads."""

    def __init__(self, reader: Reader, signal: Signal) -> None:
        self._reader = reader
        self._signal = signal
        self._retry = StoreRetry("read what is to be checked")

    async def follow(self, send: trio.MemorySendChannel[Batch]) -> None:
        """Send all batches from the first position on, for ever.

        The first batch that is at the head is sent also when it is empty: it says that
        everything was read.
        """
        position, started = 0, False
        while True:
            await self._something_new()
            at_head = False
            while not at_head:
                batch = await self._read(position)
                position, at_head = batch.position, batch.at_head
                if batch.events or not started:
                    await send.send(batch)
                started = started or at_head

    async def _something_new(self) -> None:
        # On the loop thread on purpose: the question costs less than the way to a thread.
        while not self._may_have_changed():  # noqa: ASYNC110 - another process writes the log
            await trio.sleep(POLL_SECONDS)

    def _may_have_changed(self) -> bool:
        try:
            return self._signal.changed()
        except STORE_UNAVAILABLE:
            # The read that follows waits for the store, and says so in the log.
            return True

    async def _read(self, position: int) -> Batch:
        events = await self._retry.run(lambda: self._reader.after(position, BATCH))
        last = events[-1].position if events else position
        return Batch(events, last, at_head=len(events) < BATCH)


class EventFeed:
    """Keeps configuration and schedule in step with the log."""

    def __init__(
        self,
        registry: MonitorRegistry,
        schedule: Schedule,
        status: CheckerMetrics,
        find: Find,
        on_change: Callable[[UUID], None],
    ) -> None:
        """Take the parts; `find` says which monitors are to be checked by this checker."""
        self._registry = registry
        self._find = find
        self._schedule = schedule
        self._metrics = status
        self._on_change = on_change

    async def read_up(self, receive: trio.MemoryReceiveChannel[Batch]) -> None:
        """Read the log to its head. Raises RetiredError when the location is retired there."""
        at_head = False
        while not at_head:
            batch = await receive.receive()
            self._fold(batch)
            at_head = batch.at_head
        self._count(batch)
        self._require_location()

    async def follow(self, receive: trio.MemoryReceiveChannel[Batch]) -> None:
        """Let each change take effect, until RetiredError is raised."""
        async for batch in receive:
            for monitor_id in self._fold(batch):
                self._reschedule(monitor_id)
            self._count(batch)
            if batch.at_head:
                self._require_location()

    def _require_location(self) -> None:
        if self._registry.is_retired:
            raise RetiredError(
                f"location {self._registry.location.code} was retired while this checker ran "
                "or started, so it ends; start it again if servers are to be checked there"
            )

    def _fold(self, batch: Batch) -> dict[UUID, None]:
        """Return the monitors that changed, each once, in order."""
        touched = (self._registry.apply(each.event) for each in batch.events)
        return dict.fromkeys(chain.from_iterable(touched))

    def _reschedule(self, monitor_id: UUID) -> None:
        monitor = self._find(monitor_id)
        if monitor is None:
            self._schedule.remove(monitor_id)
        else:
            now = trio.current_time()
            self._schedule.watch(monitor_id, monitor.interval_seconds, now, monitor.changed_at)
        self._on_change(monitor_id)

    def _count(self, batch: Batch) -> None:
        self._metrics.position = batch.position
        self._metrics.monitors = len(self._registry)
        self._metrics.watched = len(self._schedule)
