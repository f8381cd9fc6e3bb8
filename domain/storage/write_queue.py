"""Writers of one log wait their turn here instead of polling for SQLite's lock.

SQLite's own waiting sleeps for up to 100 ms between two looks, and two commands at once
would take the same number, so that one of them works in vain. The queue is a courtesy:
what is right does not depend on it, and who waited too long goes on without a turn.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_WAIT_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.0003
"""Between two looks whether another process is done: a fraction of what a commit takes."""


class WriteQueue:
    """Turns for the threads of this process, and among processes by a file's lock."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made when the first turn is taken."""
        self._path = path
        self._threads = Lock()
        self._file: tuple[int, int] | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn, at most `LONGEST_WAIT_SECONDS`, and hold it during the block."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        if not self._threads.acquire(timeout=LONGEST_WAIT_SECONDS):
            yield
            return
        try:
            with self._turn_among_processes(deadline):
                yield
        finally:
            self._threads.release()

    @contextmanager
    def _turn_among_processes(self, deadline: float) -> Iterator[None]:
        try:
            descriptor = self._open()
        except OSError:
            # The disk is full, say. Whoever writes meets that and tells it; we are a courtesy.
            yield
            return
        _lock(descriptor, deadline)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file[1])
            self._file = None

    def _open(self) -> int:
        """Return this process's own descriptor: one from before a fork would share its lock."""
        if self._file is None or self._file[0] != os.getpid():
            self._file = (os.getpid(), os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        return self._file[1]


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return
            time.sleep(_LOOK_SECONDS)
        else:
            return
