"""A lock file that one process holds, says so in it, and cannot leave behind.

The lock is the operating system's (flock): it ends with the process, however that ends.

Writers of one log wait their turn here instead of polling for SQLite's lock.

SQLite's own waiting sleeps for up to 100 ms between two looks, and two commands at once
would take the same number, so that one of them works in vain. The queue is a courtesy:
what is right does not depend on it, and who waited too long goes on without a turn.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Final

import orjson
from typing_extensions import override

from domain.clock import iso_milliseconds, utc_now
from domain.errors import StoreError
from store.ports.locks import LockHandle, LockHeldError, LockHolder, Locks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_RETRY_SECONDS: Final = 0.05


class FileLocks(Locks):
    """Locks in the files of a folder: among the processes of one host."""

    spans_hosts = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = f"the data folder {folder.parent}"

    @override
    @contextmanager
    def hold(self, name: str, *, wait_seconds: float = 0) -> Iterator[LockHandle]:
        """Hold a lock while the block runs. Raises LockHeldError, StoreError."""
        with held(self._path(name), name, wait_seconds=wait_seconds):
            yield LockHandle()

    @override
    def holder(self, name: str) -> LockHolder | None:
        return holder_of(self._path(name))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


@contextmanager
def held(path: Path, part: str, *, wait_seconds: float = 0) -> Iterator[None]:
    """Hold a lock file while the block runs; `part` says in it what for.

    Waits up to `wait_seconds` for a holder that is just ending. Raises LockHeldError, and
    StoreError when the file cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    try:
        _acquire(descriptor, time.monotonic() + wait_seconds)
        said = {"pid": os.getpid(), "part": part, "since": iso_milliseconds(utc_now())}
        # A full disk may have no room for the words; the lock itself needs none.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, orjson.dumps(said), 0)
        yield
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> LockHolder | None:
    """Return who holds a lock file now; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two who ask do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockHeldError(_said(descriptor)) from None
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _said(descriptor: int) -> LockHolder:
    try:
        said = orjson.loads(os.pread(descriptor, 4096, 0))
    except orjson.JSONDecodeError:
        return LockHolder(None, None)
    return LockHolder(said["pid"], said["since"])


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
