"""The recorder: appends finished checks to the `checks` log in batches.

Each batch is one transaction, in a thread, never on the loop. While the store is unavailable
the recorder keeps the batch and retries. `has_room` then stops new probes; the queue has a
place for each probe that has begun, so no finished check is ever dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import trio

from checker.runtime.store_retry import StoreRetry
from domain.checks import PerformedCheck

if TYPE_CHECKING:
    from checker.recording.check_log import AppendResult
    from checker.runtime.limits import Limits
    from checker.runtime.metrics import CheckerMetrics


log = logging.getLogger("postwatch.checker")


AppendChecks = Callable[[Sequence[PerformedCheck]], "AppendResult"]
"""Appends a batch of checks, in a thread. Called again after the store was unavailable."""


class RecordingProgress(Protocol):
    """How far the recorder is, in counts of checks since the start."""

    @property
    def received(self) -> int:
        """How many checks were handed to the recorder."""

    @property
    def processed(self) -> int:
        """How many of them are recorded, or left out because another checker recorded them."""


class CheckRecorder:
    """A bounded queue of checks, and the one task that writes them to the log.

    `received` and `processed` are its `RecordingProgress`.
    """

    def __init__(
        self,
        append: AppendChecks,
        limits: Limits,
        metrics: CheckerMetrics,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the parts. `on_room` is called when a full queue has room again."""
        self._append = append
        self._limits = limits
        self._metrics = metrics
        self._on_room = on_room
        self._retry = StoreRetry("record checks", on_change=self._note_store)
        self._scope = trio.CancelScope(shield=True)
        self._was_full = False
        self._writing = 0
        self.received = 0
        self.processed = 0
        # has_room is the limit; beyond it the channel holds the results of running probes.
        bound = limits.queue + limits.open_sockets
        self._send, self._receive = trio.open_memory_channel[PerformedCheck](bound)

    @property
    def queued(self) -> int:
        """How many checks wait to be taken into a batch."""
        return self._receive.statistics().current_buffer_used

    @property
    def has_room(self) -> bool:
        """Whether more probes may begin."""
        return self._receive.statistics().current_buffer_used < self._limits.queue

    def put(self, check: PerformedCheck) -> None:
        """Take a check over. Never waits: the queue has a place for each probe that began."""
        self._send.send_nowait(check)
        self.received += 1
        self._metrics.queued = queued = self.queued
        self._was_full = self._was_full or queued >= self._limits.queue

    def close(self) -> None:
        """Take no more checks. `run` writes what it has and ends."""
        self._send.close()
        self._scope.deadline = trio.current_time() + self._limits.flush_seconds

    async def run(self) -> None:
        """Write checks until closed and flushed. Only `close` ends it: a cancellation does not."""
        with self._scope:
            while batch := await self._next_batch():
                self._writing = len(batch)
                await self._write(batch)
                self._writing = 0
        lost = self._writing + self.queued
        if lost:
            log.error("the store did not come back: %d checks were not recorded", lost)

    async def _next_batch(self) -> list[PerformedCheck]:
        """Return the queued checks, up to a batch; none when closed and flushed.

        Waits a moment for more when the batch is not full.
        """
        try:
            batch = [await self._receive.receive()]
        except trio.EndOfChannel:
            return []
        self._drain_into(batch)
        if len(batch) < self._limits.batch:
            await trio.sleep(self._limits.linger_seconds)
            self._drain_into(batch)
        return batch

    def _drain_into(self, batch: list[PerformedCheck]) -> None:
        while len(batch) < self._limits.batch:
            try:
                batch.append(self._receive.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                return

    async def _write(self, batch: list[PerformedCheck]) -> None:
        appended = await self._retry.run(partial(self._append, batch))
        self.processed += len(batch)
        self._metrics.recorded += appended.recorded
        self._metrics.queued = self.queued
        if appended.fenced:
            self._metrics.fenced += appended.fenced
            log.warning(
                "%d checks are left out: other checkers recorded their due times first",
                appended.fenced,
            )
        if self._was_full and self.has_room:
            self._was_full = False
            self._on_room()

    def _note_store(self, is_unavailable: bool) -> None:  # noqa: FBT001 - a state, not an option
        self._metrics.store_away = is_unavailable
