"""Wrapped data keys in an SQLite file of their own.

No write-ahead log here, and `secure_delete` on: when a key is destroyed its bytes are
overwritten in the only file that held them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from domain.keys import KeyStore
from domain.storage.sqlite_log import LOCK_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS master (id INTEGER PRIMARY KEY CHECK (id = 1), fingerprint TEXT);
CREATE TABLE IF NOT EXISTS data_keys (owner TEXT PRIMARY KEY, wrapped BLOB NOT NULL) WITHOUT ROWID;
"""


class SqliteKeyStore(KeyStore):
    """Keys in a file. A connection is opened for each use, so threads and forks are safe."""

    def __init__(self, path: Path, *, create: bool) -> None:
        self._path = path
        if create:
            with closing(self._connect()) as connection:
                connection.executescript(_SCHEMA)

    def master_fingerprint(self) -> str | None:
        """Return the fingerprint of the wrapping master key, None when new."""
        found: str | None = self._value("SELECT fingerprint FROM master WHERE id = 1")
        return found

    def set_master_fingerprint(self, fingerprint: str) -> None:
        """Record which master key wraps the keys; the first one to do so wins."""
        self._execute("INSERT OR IGNORE INTO master VALUES (1, ?)", fingerprint)

    def get(self, owner: str) -> bytes | None:
        """Return the wrapped data key of an owner, None when there is none."""
        found: bytes | None = self._value("SELECT wrapped FROM data_keys WHERE owner = ?", owner)
        return found

    def add(self, owner: str, wrapped: bytes) -> bytes:
        """Keep a wrapped key unless the owner has one; return the one that is kept."""
        self._execute("INSERT OR IGNORE INTO data_keys VALUES (?, ?)", owner, wrapped)
        kept = self.get(owner)
        return wrapped if kept is None else kept

    def destroy(self, owner: str) -> None:
        """Overwrite and remove the owner's key."""
        self._execute("DELETE FROM data_keys WHERE owner = ?", owner)

    def close(self) -> None:
        """Do nothing: no connection is kept."""

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")
        return connection

    def _execute(self, statement: str, *values: str | bytes) -> None:
        with closing(self._connect()) as connection:
            connection.execute(statement, values)

    def _value(self, statement: str, *values: str) -> Any:  # noqa: ANN401 - a column of any type
        with closing(self._connect()) as connection:
            row = connection.execute(statement, values).fetchone()
        return row[0] if row else None
