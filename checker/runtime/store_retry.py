"""Retries work on a store that is unavailable: in a thread, with backoff, until it succeeds.

Logs once that the store is unavailable and what waits for it, and once that it is back.
Errors that waiting does not cure pass through.
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

FIRST_BACKOFF_SECONDS: Final = 0.05
MAX_BACKOFF_SECONDS: Final = 2.0


class StoreRetry:
    """Retries for one use of a store, such as recording checks."""

    def __init__(
        self,
        purpose: str,
        *,
        threads: int = 1,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Name the purpose as log lines show it, such as `record checks`.

        `on_change` is called with True when the store becomes unavailable, with False when
        it is back.
        """
        self._purpose = purpose
        # Threads of its own: one use of the store that hangs does not hold up the others.
        self._limiter = trio.CapacityLimiter(threads)
        self._on_change = on_change
        self._unavailable_since: float | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, however long the store is unavailable. Cancellable."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            try:
                result = await trio.to_thread.run_sync(work, limiter=self._limiter)
            except STORE_UNAVAILABLE as error:
                self._note_unavailable(error)
                await trio.sleep(backoff)
                backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)
            else:
                if self._unavailable_since is not None:
                    self._note_available(self._unavailable_since)
                return result

    def _note_unavailable(self, error: Exception) -> None:
        if self._unavailable_since is None:
            self._unavailable_since = trio.current_time()
            self._on_change(True)
            log.warning("cannot %s, trying until it works: %s", self._purpose, error)

    def _note_available(self, since: float) -> None:
        seconds = trio.current_time() - since
        log.warning("can %s again after %.1f s; nothing was lost", self._purpose, seconds)
        self._unavailable_since = None
        self._on_change(False)
