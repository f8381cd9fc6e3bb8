"""The feed: the `monitoring` log, read from its beginning and then followed.

Pulled, not pushed: a lost notification cannot stop it, and it can be cancelled at any
time. Knows positions, not what events mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import trio

from checker.patience import Patience
from domain.storage.failures import STORE_AWAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.log_reader import LoggedEvent

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
        self._patience = Patience("read what is to be checked")

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
        except STORE_AWAY:
            # The read that follows waits for the store, and says so in the log.
            return True

    async def _read(self, position: int) -> Batch:
        events = await self._patience.insist(lambda: self._reader.after(position, BATCH))
        last = events[-1].position if events else position
        return Batch(events, last, at_head=len(events) < BATCH)
