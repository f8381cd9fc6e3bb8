"""Throttle for log lines that every request would write during an outage.

A store that is unavailable fails every request. The log says so once every ten seconds, with
the number of lines that were left out, and stays readable.
"""

from __future__ import annotations

import logging
import time
from threading import Lock
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable


log = logging.getLogger("postwatch.api")

BETWEEN_SECONDS: Final = 10.0


class LogThrottle:
    """Logs at most one line about a subject in `BETWEEN_SECONDS`, and counts the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._last: WeakKeyDictionary[object, tuple[float, int]] = WeakKeyDictionary()

    def log(self, level: int, subject: object, message: str, *values: object) -> None:
        """Log a line about a subject, or count it; the next logged line gives the count.

        `subject` is compared by identity and held by a weak reference.
        """
        now = self._clock()
        with self._lock:
            logged_at, left_out = self._last.get(subject, (float("-inf"), 0))
            if now - logged_at < BETWEEN_SECONDS:
                self._last[subject] = (logged_at, left_out + 1)
                return
            self._last[subject] = (now, 0)
        if left_out:
            message += f" (and {left_out} times in between)"
        log.log(level, message, *values)


LOG_THROTTLE: Final = LogThrottle()
"""Module-level, because a process has one log. Each app is a subject of its own."""
