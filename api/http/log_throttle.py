"""Log lines about what every request meets while it lasts: few of them, and how many more.

A store that is away fails every request. The log shall say so, and go on to be readable.
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
    """Lets one line about a subject into the log in ten seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._told: WeakKeyDictionary[object, tuple[float, int]] = WeakKeyDictionary()

    def tell(self, level: int, subject: object, message: str, *values: object) -> None:
        """Log a line about a subject, or count it for the next one."""
        now = self._clock()
        with self._lock:
            told_at, left_out = self._told.get(subject, (float("-inf"), 0))
            if now - told_at < BETWEEN_SECONDS:
                self._told[subject] = (told_at, left_out + 1)
                return
            self._told[subject] = (now, 0)
        if left_out:
            message += f" (and {left_out} times in between)"
        log.log(level, message, *values)


SELDOM: Final = LogThrottle()
"""Module-level, because a process has one log. Each app is a subject of its own."""
