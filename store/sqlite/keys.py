"""Wrapped data keys in an SQLite file of their own.

The file has no write-ahead log, and `secure_delete` is on: a destroyed key is overwritten in
the only file that held it. Without a write-ahead log a commit is the removal of a journal
file, and only `synchronous=EXTRA` has that removal on disk when the commit returns. A key
whose commit is undone by a power cut would be lost.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from store.keys.key_ring import KeyStore, KeyTable, Rewrapping, WrappedKey
from store.sqlite.log import LOCK_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from store.keys.key_ring import Wrap


_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS master (id INTEGER PRIMARY KEY CHECK (id = 1), fingerprint TEXT);
CREATE TABLE IF NOT EXISTS data_keys (owner TEXT PRIMARY KEY, wrapped BLOB NOT NULL) WITHOUT ROWID;
"""
_MASTER: Final = "SELECT fingerprint FROM master WHERE id = 1"
_GET: Final = "SELECT wrapped, fingerprint FROM data_keys, master WHERE owner = ?"
_ADD: Final = """
INSERT OR IGNORE INTO data_keys
SELECT ?, ? FROM master WHERE fingerprint = ?
"""


class SqliteKeyStore(KeyStore):
    """Keys in a file. A connection is opened for each use, so threads and forks are safe."""

    def __init__(self, path: Path, *, create: bool) -> None:
        self._path = path
        if create:
            with closing(self._connect("rwc")) as connection:
                connection.executescript(_SCHEMA)

    @override
    def master_fingerprint(self) -> str | None:
        row = self._row(_MASTER)
        return row[0] if row else None

    @override
    def set_master_fingerprint(self, fingerprint: str) -> None:
        self._execute("INSERT OR IGNORE INTO master VALUES (1, ?)", fingerprint)

    @override
    def get(self, owner: str) -> WrappedKey | None:
        row = self._row(_GET, owner)
        return WrappedKey(*row) if row else None

    @override
    def add(self, owner: str, key: WrappedKey) -> WrappedKey | None:
        self._execute(_ADD, owner, key.wrapped, key.master)
        return self.get(owner)

    @override
    def destroy(self, owner: str) -> None:
        self._execute("DELETE FROM data_keys WHERE owner = ?", owner)

    @override
    def owners(self) -> list[str]:
        with closing(self._connect()) as connection:
            return [owner for (owner,) in connection.execute("SELECT owner FROM data_keys")]

    @override
    @contextmanager
    def table(self) -> Iterator[SqliteKeyTable]:
        """Take the write lock of the file. Readers are locked out only during the short commit."""
        with closing(self._connect()) as connection:
            # Changed pages stay in memory: written early they would lock readers out.
            connection.execute("PRAGMA cache_spill=OFF")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteKeyTable(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @override
    def rewrapping(self) -> AbstractContextManager[SqliteKeyTable]:
        """Take the write lock of the file: a file has one writer."""
        return self.table()

    @override
    def close(self) -> None:
        """Do nothing: no connection is kept."""

    def _connect(self, mode: str = "rw") -> sqlite3.Connection:
        """Open the file; with the mode "rw" a lost one fails, and no empty one is made."""
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=LOCK_TIMEOUT_SECONDS,
        )
        connection.execute("PRAGMA synchronous=EXTRA")
        connection.execute("PRAGMA secure_delete=ON")
        return connection

    def _execute(self, statement: str, *values: str | bytes) -> None:
        with closing(self._connect()) as connection:
            connection.execute(statement, values)

    def _row(self, statement: str, *values: str) -> Any:  # noqa: ANN401 - columns of any type
        with closing(self._connect()) as connection:
            return connection.execute(statement, values).fetchone()


class SqliteKeyTable(KeyTable, Rewrapping):
    """All keys, inside a transaction that holds the write lock of the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @override
    def master_fingerprint(self) -> str | None:
        row = self._connection.execute(_MASTER).fetchone()
        return row[0] if row else None

    @override
    def all(self) -> list[tuple[str, bytes]]:
        return self._connection.execute(
            "SELECT owner, wrapped FROM data_keys ORDER BY owner"
        ).fetchall()

    @override
    def count(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM data_keys").fetchone()[0])

    @override
    def rewrap(self, master: str, wrap: Wrap) -> int:
        keys = self.all()
        self.replace(master, ((owner, wrap(owner, wrapped)) for owner, wrapped in keys))
        return len(keys)

    @override
    def replace(self, master: str, keys: Iterable[tuple[str, bytes]]) -> None:
        self._connection.execute("DELETE FROM data_keys")
        self._connection.executemany("INSERT INTO data_keys VALUES (?, ?)", keys)
        self._connection.execute("INSERT OR REPLACE INTO master VALUES (1, ?)", (master,))
