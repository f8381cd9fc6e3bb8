"""Setting the damaged file of a view aside, so that a new one is made from the log.

A file that another process has open must stay: SQLite deletes the `-wal` of a file by its name
when the last connection closes, which would then be that of the new file
(sqlite.org/howtocorrupt.html, 2.4). Each connection to a file in WAL mode holds a shared lock on
it, so an exclusive one shows that nobody has it open.
"""

from __future__ import annotations

import fcntl
import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path


log = logging.getLogger("postwatch.projections")

KEPT: Final = 2
"""Damaged files of one view that are kept, the newest ones."""

_SHARED_FIRST: Final = 0x40000002
_SHARED_SIZE: Final = 510
"""The bytes that SQLite locks for a reader (sqlite.org/fileformat2.html, the lock-byte page)."""


def set_aside(path: Path) -> bool:
    """Rename a damaged file, unless another process has it open; return whether it is gone.

    This process must have no connection to it: closing a file drops all POSIX locks on it.
    """
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return True  # Another process has just set it aside.
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except OSError:
            return False
        if not _is_still(path, file):
            return True
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        aside = path.with_name(f"{path.name}.damaged-{datetime.now(tz=UTC):%Y%m%dT%H%M%S.%fZ}")
        path.rename(aside)
    log.error("the view file %s is damaged: it is now %s, and is rebuilt", path, aside.name)
    for old in sorted(path.parent.glob(f"{path.name}.damaged-*"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return True


def _is_still(path: Path, file: BinaryIO) -> bool:
    """Return whether an open file still has its name."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
