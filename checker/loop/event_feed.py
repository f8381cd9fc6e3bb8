"""The event feed: follows the `monitoring` log and applies its events to the checker.

`LogFollower` pulls batches of events, first from the beginning of the log, then as they
appear. Pulling cannot miss an event because of a lost notification, and can be cancelled at
any time. `EventFeed` folds each batch into the registry of monitors. Up to the head of the
log it only folds, so that no monitor is checked that was changed or deleted long ago. From
then on each change reaches the schedule at once.

An operator may retire the location of this checker while it starts, or while it is cut off
from the database. The feed then ends the checker.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import trio

from checker.runtime.store_retry import StoreRetry
from domain.config_secrets import read_user
from domain.errors import RetiredError
from domain.monitor_requests import CheckRequested, LoginRetryRequested
from store.ports.errors import STORE_UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from checker.loop.dispatcher import FindMonitor
    from checker.loop.monitor_registry import MonitorRegistry
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.schedule import Schedule
    from store.log_reader import LoggedEvent
    from store.ports.engine import ChangeSignal

    ReadEvents = Callable[[int, int], Sequence[LoggedEvent]]
    """Returns the events after a position, in order, as many as the limit at most."""


BATCH_EVENTS: Final = 250
POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in order. `position` is that of the last one; `at_head`: the log has no more."""

    events: Sequence[LoggedEvent]
    position: int
    at_head: bool


class BatchSource(Protocol):
    """Gives the events of a log, batch after batch."""

    async def next_batch(self) -> Batch:
        """Return the next batch; wait for new events when all were read."""


class LogFollower:
    """Reads a log from its beginning, then waits for new events."""

    def __init__(
        self, read: ReadEvents, signal: ChangeSignal, batch_events: int = BATCH_EVENTS
    ) -> None:
        """Take what reads the log, and the signal that says whether it has changed."""
        self._read = read
        self._signal = signal
        self._batch_events = batch_events
        self._retry = StoreRetry("read what is to be checked")
        self._position = 0
        self._at_head = False

    async def next_batch(self) -> Batch:
        """Return the next batch; wait for new events when all were read.

        A batch at the head of the log may be empty, at the start and after a full batch: it
        says that all was read.
        """
        while True:
            was_at_head = self._at_head
            if was_at_head:
                await self._wait_for_change()
            batch = await self._read_batch()
            self._position, self._at_head = batch.position, batch.at_head
            if batch.events or not was_at_head:
                return batch

    async def _wait_for_change(self) -> None:
        # Asked in the thread of the loop on purpose: a thread costs more than the question.
        while not self._may_have_changed():  # noqa: ASYNC110 - another process writes the log
            await trio.sleep(POLL_SECONDS)

    def _may_have_changed(self) -> bool:
        try:
            return self._signal.changed()
        except STORE_UNAVAILABLE:
            # The read that follows waits for the store, and logs that.
            return True

    async def _read_batch(self) -> Batch:
        position, limit = self._position, self._batch_events
        events = await self._retry.run(lambda: self._read(position, limit))
        last = events[-1].position if events else position
        return Batch(events, last, at_head=len(events) < limit)


class EventFeed:
    """Keeps registry and schedule in step with the log."""

    def __init__(
        self,
        source: BatchSource,
        registry: MonitorRegistry,
        schedule: Schedule,
        *,
        find: FindMonitor,
        metrics: CheckerMetrics,
        on_change: Callable[[UUID], None],
        on_login_retry: Callable[[str, str | None], None],
        wake: Callable[[], None],
    ) -> None:
        """Take the parts.

        `on_change` is called for each monitor that changed, `on_login_retry` with the customer
        and the user of a refused login that is to be tried again, and `wake` when a check
        became due.
        """
        self._source = source
        self._registry = registry
        self._schedule = schedule
        self._find = find
        self._metrics = metrics
        self._on_change = on_change
        self._on_login_retry = on_login_retry
        self._wake = wake

    async def read_to_head(self) -> None:
        """Fold the log up to its head. Raises RetiredError when the location is retired there."""
        at_head = False
        while not at_head:
            batch = await self._source.next_batch()
            self._fold(batch)
            at_head = batch.at_head
        self._count(batch)
        self._require_location()

    async def follow(self) -> None:
        """Apply new events until cancelled. Raises RetiredError when the location is retired."""
        while True:
            batch = await self._source.next_batch()
            for monitor_id in self._fold(batch):
                self._reschedule(monitor_id)
            for logged in batch.events:
                if isinstance(logged.event, CheckRequested | LoginRetryRequested):
                    self._follow_request(logged.event)
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
        """Fold events into the registry; return the monitors that changed, each once, in order."""
        changed = (self._registry.apply(each.event) for each in batch.events)
        return dict.fromkeys(chain.from_iterable(changed))

    def _reschedule(self, monitor_id: UUID) -> None:
        monitor = self._find(monitor_id)
        if monitor is None:
            self._schedule.remove(monitor_id)
        else:
            now = trio.current_time()
            self._schedule.check_now(monitor_id, monitor.interval_seconds, now, monitor.changed_at)
        self._on_change(monitor_id)

    def _follow_request(self, request: CheckRequested | LoginRetryRequested) -> None:
        """Check a monitor because people asked for it, also a disabled one."""
        monitor = self._find(UUID(request.monitor_id), even_disabled=True)
        if monitor is None:
            return
        if isinstance(request, LoginRetryRequested):
            self._on_login_retry(monitor.customer_id, read_user(monitor.kind, monitor.config))
        self._schedule.request(
            monitor.monitor_id,
            monitor.interval_seconds,
            trio.current_time(),
            request.timestamp.timestamp(),
            once=monitor.status == "disabled",
        )
        self._wake()

    def _count(self, batch: Batch) -> None:
        self._metrics.position = batch.position
        self._metrics.monitors = len(self._registry)
        self._metrics.watched = len(self._schedule)
