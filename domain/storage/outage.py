"""A short memory that something is away, so that not everybody waits for it.

Who finds it away says so in the log, once. For a while everybody else is told the same at
once; then one caller at a time tries again, until one succeeds.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final

from domain.storage.failures import DatabaseAwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger("postwatch.store.outage")
# A command that keeps no log ends with the same words.
log.addHandler(logging.NullHandler())

PAUSE_SECONDS: Final = 1.0
"""How long nobody tries."""


class Outage:
    """What the threads of a process know of one thing that may be away."""

    def __init__(
        self,
        back: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        only_slow: bool = False,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Take the words for the log when it is there again.

        `only_slow`: only what takes long to find out is worth remembering. `pause_seconds`:
        how long nobody tries.
        """
        self._back = back
        self._only_slow = only_slow
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._lock = Lock()
        self._error: DatabaseAwayError | None = None
        self._since = 0.0
        self._next_try = 0.0
        self._is_tried = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Try it in this block. Raises DatabaseAwayError at once when it is known to be away."""
        self._take_turn()
        try:
            yield
        except DatabaseAwayError as error:
            if error.trouble.is_slow or not self._only_slow:
                self._note(error)
            else:
                self._is_tried = False
            raise
        except BaseException:
            # That says nothing of what is away: the next one may try.
            self._is_tried = False
            raise
        self._forget()

    def _take_turn(self) -> None:
        with self._lock:
            if self._error is None:
                return
            if self._is_tried or self._clock() < self._next_try:
                raise self._error.again()
            self._is_tried = True

    def _note(self, error: DatabaseAwayError) -> None:
        with self._lock:
            if self._error is None:
                self._since = self._clock()
                if not error.is_told:
                    log.error("%s; %s", error, error.trouble.advice)
            error.is_told = True
            self._error = error
            self._next_try = self._clock() + self._pause_seconds
            self._is_tried = False

    def _forget(self) -> None:
        if self._error is None:
            return
        with self._lock:
            if self._error is not None:
                log.warning("%s after %.1f s", self._back, self._clock() - self._since)
            self._error = None
            self._is_tried = False
