"""Waiting for a condition, with a deadline: tests never sleep and hope."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")

LOOK_SECONDS = 0.02


def wait_until(condition: Callable[[], T], *, seconds: float = 30, what: str = "condition") -> T:
    """Return the first true value of `condition`. Raises TimeoutError at the deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s; last value {value!r}")
        pause.wait(LOOK_SECONDS)
