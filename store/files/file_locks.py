"""Locks of files (flock): among the processes of one host.

The operating system keeps such a lock and releases it when the process ends, however it
ends. So nothing is left behind, and a lock file may stay.

`FileLocks` are the locks by name that processes hold while they run, each with a file that
says who holds it. `WriteQueue` lets the writers of one SQLite log take turns.
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


LONGEST_WAIT_SECONDS: Final = 5.0
"""How long a writer waits for its turn before it goes on without one."""

_RETRY_SECONDS: Final = 0.05
_TURN_RETRY_SECONDS: Final = 0.0003
"""Between two attempts to get the turn: a fraction of what a commit takes."""


def lock_file(
    descriptor: int,
    *,
    wait_seconds: float = 0,
    retry_seconds: float = _RETRY_SECONDS,
    shared: bool = False,
) -> bool:
    """Lock an open file or folder for this process; return False if another one keeps it.

    A shared lock keeps out only those that want it alone.

    Waits up to `wait_seconds` and tries every `retry_seconds`. The lock ends with the
    descriptor, or with `unlock`.
    """
    deadline = time.monotonic() + wait_seconds
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(retry_seconds)
        else:
            return True


def unlock(descriptor: int) -> None:
    """Release the lock of a file that stays open."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


class FileLocks(Locks):
    """Locks in the files of a folder."""

    spans_hosts = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = f"the data folder {folder.parent}"

    @override
    @contextmanager
    def hold(
        self, name: str, *, wait_seconds: float = 0, shared: bool = False
    ) -> Iterator[LockHandle]:
        with held(self._path(name), name, wait_seconds=wait_seconds, shared=shared):
            yield LockHandle()

    @override
    def holder(self, name: str) -> LockHolder | None:
        return holder_of(self._path(name))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


@contextmanager
def held(path: Path, part: str, *, wait_seconds: float = 0, shared: bool = False) -> Iterator[None]:
    """Hold a lock file while the block runs, and write into it which process does so as what.

    Of those that share it the file names the last one. Waits up to `wait_seconds` for a holder
    that is just ending. Raises LockHeldError, and StoreError when the file cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    try:
        if not lock_file(descriptor, wait_seconds=wait_seconds, shared=shared):
            raise LockHeldError(_read_holder(descriptor))
        holder = {"pid": os.getpid(), "part": part, "since": iso_milliseconds(utc_now())}
        # A full disk may have no room for the text; the lock itself needs none.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, orjson.dumps(holder), 0)
        yield
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> LockHolder | None:
    """Return who holds a lock file now; None when no process does."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # A shared lock, so that two processes that ask do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _read_holder(descriptor: int) -> LockHolder:
    try:
        holder = orjson.loads(os.pread(descriptor, 4096, 0))
    except orjson.JSONDecodeError:
        return LockHolder(None, None)
    return LockHolder(holder["pid"], holder["since"])


class WriteQueue:
    """Queues the writers of one SQLite log: the threads of this process, and other processes.

    SQLite's own waiting sleeps for up to 100 ms between two attempts, and two commands at
    once would take the same number, so that one of them works in vain. Correctness does not
    depend on a turn: a writer that waited too long writes without one.
    """

    def __init__(self, path: Path, *, longest_wait_seconds: float = LONGEST_WAIT_SECONDS) -> None:
        """Name the lock file; it is made when the first turn is taken."""
        self._path = path
        self._longest_wait_seconds = longest_wait_seconds
        self._threads = Lock()
        self._file: tuple[int, int] | None = None
        """The process that opened the file, and its descriptor."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn, at most `longest_wait_seconds`, and hold it during the block."""
        deadline = time.monotonic() + self._longest_wait_seconds
        if not self._threads.acquire(timeout=self._longest_wait_seconds):
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
            # The disk is full, say. The write itself will fail and report it.
            yield
            return
        lock_file(
            descriptor,
            wait_seconds=deadline - time.monotonic(),
            retry_seconds=_TURN_RETRY_SECONDS,
        )
        try:
            yield
        finally:
            unlock(descriptor)

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
