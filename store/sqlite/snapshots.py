"""The snapshots of long streams: a file in the folder of the views of each host.

As a view it can be deleted at any time, and no export, backup or proof includes it. A host
with PostgreSQL has such a file, too: a snapshot costs no round trip then, and the schema has
no table that several versions of Postwatch would share.

A row names the code that folded it, and only the same code reads it, because another version
may fold the same events to something else.
"""

from __future__ import annotations

import logging
import sqlite3
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from typing_extensions import override

import domain
from domain.snapshots import Snapshots
from store.files.data_folder import make_folder
from store.sqlite.connections import ThreadConnections

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


log = logging.getLogger("postwatch.store")

_WAIT_SECONDS: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS snapshots (
    stream TEXT PRIMARY KEY, code TEXT NOT NULL, snapshot BLOB NOT NULL
) WITHOUT ROWID
"""
_READ: Final = "SELECT snapshot FROM snapshots WHERE stream = ? AND code = ?"
_WRITE: Final = "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)"


@cache
def domain_code() -> str:
    """Return a digest of the code that folds events: the source files of the domain."""
    found = sha256()
    for folder in domain.__path__:
        for path in sorted(Path(folder).glob("*.py")):
            found.update(path.name.encode() + b"\n" + path.read_bytes())
    return found.hexdigest()


class SnapshotFile(Snapshots):
    """Snapshots in a file, which is made when the first one is written."""

    def __init__(self, path: Path, code: Callable[[], str] = domain_code) -> None:
        self._path = path
        self._code = code
        self._connections = ThreadConnections(self._connect)
        self._is_usable = True

    @override
    def read(self, stream: UUID) -> bytes | None:
        if not self._is_usable or not self._path.exists():
            return None
        try:
            row = self._connections.get().execute(_READ, (stream.hex, self._code())).fetchone()
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
            return None
        return row[0] if row else None

    @override
    def write(self, stream: UUID, snapshot: bytes) -> None:
        if not self._is_usable:
            return
        try:
            make_folder(self._path.parent)
            self._connections.get().execute(_WRITE, (stream.hex, self._code(), snapshot))
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        self._connections.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=_WAIT_SECONDS
        )
        connection.execute("PRAGMA journal_mode=WAL")
        # What a crash loses or damages is folded again.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(_SCHEMA)
        return connection

    def _give_up(self, error: Exception) -> None:
        """Do without snapshots until the next start, or until the next use if the file was busy.

        A damaged file is removed, so that the next start makes a new one.
        """
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return
        log.warning(
            "long streams are folded without snapshots: %s: %s", self._path, type(error).__name__
        )
        self._is_usable = False
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
