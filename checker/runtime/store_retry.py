"""Work on a store that may be away for a while: in a thread, again and again until it is back.

Says once in the log that the store is away and what is waiting for it, and once that it
is back. Errors that waiting does not heal pass through.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from store.ports.errors import STORE_UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")

log = logging.getLogger("postwatch.checker")

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 2.0


class StoreRetry:
    """One use of a store, such as recording checks, and whether the store is there for it."""

    def __init__(
        self,
        purpose: str,
        *,
        threads: int = 1,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Name the purpose as the log line is to show it, such as `record checks`.

        `on_change` is told when the store goes away (True) and when it is back.
        """
        self._purpose = purpose
        # Threads of its own, so that one use that hangs does not stop the others.
        self._limiter = trio.CapacityLimiter(threads)
        self._on_change = on_change
        self._away_since: float | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, however long the store is away. Can be cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                result = await trio.to_thread.run_sync(work, limiter=self._limiter)
            except STORE_UNAVAILABLE as error:
                self._note_away(error)
                await trio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self._note_back()
                return result

    def _note_away(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = trio.current_time()
            self._on_change(True)
            log.warning("cannot %s, trying until it works: %s", self._purpose, error)

    def _note_back(self) -> None:
        if self._away_since is not None:
            seconds = trio.current_time() - self._away_since
            log.warning("can %s again after %.1f s; nothing was lost", self._purpose, seconds)
            self._away_since = None
            self._on_change(False)
