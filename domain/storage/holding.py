"""A lock file that one process holds, says so in it, and cannot leave behind.

The lock is the operating system's (flock): it ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import orjson

from domain.clock import iso_milliseconds, utc_now
from domain.errors import StoreError
from domain.storage.locks import HeldError, Hold, Holder, Locks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOK_SECONDS: Final = 0.05


class FileLocks(Locks):
    """Locks in the files of a folder: among the processes of one host."""

    spans_hosts = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = f"the data folder {folder.parent}"

    @contextmanager
    def hold(self, name: str, *, wait_seconds: float = 0) -> Iterator[Hold]:
        """Hold a lock while the block runs. Raises HeldError, StoreError."""
        with held(self._path(name), name, wait_seconds=wait_seconds):
            yield Hold()

    def holder(self, name: str) -> Holder | None:
        """Return who holds a lock now; None when nobody does."""
        return holder_of(self._path(name))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


@contextmanager
def held(path: Path, part: str, *, wait_seconds: float = 0) -> Iterator[None]:
    """Hold a lock file while the block runs; `part` says in it what for.

    Waits up to `wait_seconds` for a holder that is just ending. Raises HeldError, and
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


def holder_of(path: Path) -> Holder | None:
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
                raise HeldError(_said(descriptor)) from None
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _said(descriptor: int) -> Holder:
    try:
        said = orjson.loads(os.pread(descriptor, 4096, 0))
    except orjson.JSONDecodeError:
        return Holder(None, None)
    return Holder(said["pid"], said["since"])
