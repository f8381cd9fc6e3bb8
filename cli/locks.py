"""One process for each part of a data folder: a lock file that dies with its holder.

The lock is the operating system's (flock), so a killed process leaves none behind. The
file says who holds it.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import orjson

from cli.exit_codes import ExitCode
from cli.failure import CommandError
from domain.clock import iso_milliseconds, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from domain.store import DataFolder

_LOOK_SECONDS: Final = 0.05


@contextmanager
def hold(folder: DataFolder, part: str, *, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock of a part while the block runs.

    Waits up to `wait_seconds` for a holder that is just ending. Raises CommandError that
    says which process holds the lock.
    """
    path = folder.locks / f"{part}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(descriptor, path, part, time.monotonic() + wait_seconds)
        _write_holder(descriptor, part)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, part: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise CommandError(
                    ExitCode.ALREADY_RUNNING,
                    f"{part} is already running on the data folder {path.parent.parent}: "
                    f"{_holder(descriptor)}; stop that process, or set POSTWATCH_DATA to "
                    "another folder",
                ) from None
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _write_holder(descriptor: int, part: str) -> None:
    holder = {"pid": os.getpid(), "part": part, "since": iso_milliseconds(utc_now())}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, orjson.dumps(holder), 0)


def _holder(descriptor: int) -> str:
    try:
        holder = orjson.loads(os.pread(descriptor, 4096, 0))
    except orjson.JSONDecodeError:
        return "held by a process that is just starting"
    return f"held by process {holder['pid']} since {holder['since']}"
