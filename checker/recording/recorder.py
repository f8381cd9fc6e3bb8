"""The recorder: takes finished checks and appends them to the `checks` log in batches.

One transaction a batch, in a thread, never on the loop. While the store is away the batch
is kept and tried again; `has_room` then tells the checker to begin no more probes, and the
queue has a place for each one that has begun, so that nothing is ever thrown away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import trio

from checker.runtime.store_retry import StoreRetry
from domain.checks import PerformedCheck

if TYPE_CHECKING:
    from checker.recording.check_log import Appended
    from checker.runtime.limits import Limits
    from checker.runtime.metrics import CheckerMetrics


log = logging.getLogger("postwatch.checker")


Append = Callable[[Sequence[PerformedCheck]], "Appended"]
"""Appends a batch, in a thread. Given again when the store was away."""


class Recorder:
    """A bounded queue with one writer behind it.

    `taken` counts the checks that came, `written` those that the log has judged.
    """

    def __init__(
        self,
        append: Append,
        limits: Limits,
        status: CheckerMetrics,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self._append = append
        self._limits = limits
        self._metrics = status
        self._on_room = on_room
        self._retry = StoreRetry("record checks", on_change=self._note_store)
        self._scope = trio.CancelScope(shield=True)
        self._holds = 0
        self.taken = 0
        self.written = 0
        # The channel also takes what is in flight when it is full: has_room is the limit.
        bound = limits.queue + limits.open_sockets
        self._send, self._receive = trio.open_memory_channel[PerformedCheck](bound)

    @property
    def queued(self) -> int:
        """How many checks wait to be taken into a batch."""
        return self._receive.statistics().current_buffer_used

    @property
    def has_room(self) -> bool:
        """Whether more probes may begin."""
        return self.queued < self._limits.queue

    def put(self, check: PerformedCheck) -> None:
        """Take a check over. Never waits: its place was kept when its probe began."""
        self._send.send_nowait(check)
        self.taken += 1
        self._metrics.queued = self.queued

    def close(self) -> None:
        """Take no more checks. The writer flushes what it has and ends."""
        self._send.close()
        self._scope.deadline = trio.current_time() + self._limits.flush_seconds

    async def run(self) -> None:
        """Write until closed and flushed. Only `close` ends it: a cancellation does not."""
        with self._scope:
            while batch := await self._next_batch():
                self._holds = len(batch)
                await self._write(batch)
                self._holds = 0
        lost = self._holds + self.queued
        if lost:
            log.error("the store did not come back: %d checks were not recorded", lost)

    async def _next_batch(self) -> list[PerformedCheck]:
        """Return what has come in; empty when closed and flushed.

        The first check waits a moment for others, unless a whole batch is there already.
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
        appended = await self._retry.run(lambda: self._append(batch))
        self.written += len(batch)
        self._metrics.recorded += appended.recorded
        self._metrics.queued = self.queued
        if appended.fenced:
            self._metrics.fenced += appended.fenced
            log.warning(
                "%d checks are left out: other checkers recorded their due times first",
                appended.fenced,
            )
        self._on_room()

    def _note_store(self, is_away: bool) -> None:  # noqa: FBT001 - a state, not an option
        self._metrics.store_away = is_away
