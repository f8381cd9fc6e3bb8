"""Wrapped data keys in PostgreSQL.

A destroyed key is gone from the table at once. Its bytes go from the server's files when
the row is vacuumed and the write-ahead log is recycled, and from backups when these are
thrown away; docs/operations.md says what that means.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from domain.keys import KeyStore, KeyTable, WrappedKey
from domain.storage.postgres_connections import LONG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.storage.postgres_connections import Connection, Connections

_MASTER: Final = "SELECT fingerprint FROM postwatch.master WHERE id = 1"
_SET_MASTER: Final = "INSERT INTO postwatch.master VALUES (1, %s) ON CONFLICT DO NOTHING"
_CHANGE_MASTER: Final = """
INSERT INTO postwatch.master VALUES (1, %s)
ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint
"""
_GET: Final = """
SELECT wrapped, fingerprint FROM postwatch.data_keys, postwatch.master WHERE owner = %s
"""
# Locks the fingerprint against a change of the master key until the key is in.
_ADD: Final = """
INSERT INTO postwatch.data_keys
SELECT %s, %s FROM (
    SELECT FROM postwatch.master WHERE fingerprint = %s FOR SHARE
) AS unchanged
ON CONFLICT DO NOTHING
"""
_ALL: Final = 'SELECT owner, wrapped FROM postwatch.data_keys ORDER BY owner COLLATE "C"'
_COPY: Final = "COPY postwatch.data_keys (owner, wrapped) FROM STDIN"
_LOCK: Final = "LOCK TABLE postwatch.master, postwatch.data_keys IN SHARE ROW EXCLUSIVE MODE"


class PostgresKeyStore(KeyStore):
    """Keys in a table."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def master_fingerprint(self) -> str | None:
        """Return the fingerprint of the wrapping master key, None when new."""
        with self._connections.get() as connection:
            return _fingerprint(connection)

    def set_master_fingerprint(self, fingerprint: str) -> None:
        """Record which master key wraps the keys; the first one to do so wins."""
        with self._connections.get() as connection:
            connection.execute(_SET_MASTER, (fingerprint,))

    def get(self, owner: str) -> WrappedKey | None:
        """Return the wrapped data key of an owner, None when there is none."""
        with self._connections.get() as connection:
            row = connection.execute(_GET, (owner,)).fetchone()
        return WrappedKey(*row) if row else None

    def add(self, owner: str, key: WrappedKey) -> WrappedKey | None:
        """Keep a wrapped key unless the owner has one or the master key is another."""
        with self._connections.get() as connection:
            connection.execute(_ADD, (owner, key.wrapped, key.master))
        return self.get(owner)

    def destroy(self, owner: str) -> None:
        """Remove the owner's key."""
        with self._connections.get() as connection:
            connection.execute("DELETE FROM postwatch.data_keys WHERE owner = %s", (owner,))

    def owners(self) -> list[str]:
        """Return every owner of a key."""
        with self._connections.get() as connection:
            rows = connection.execute("SELECT owner FROM postwatch.data_keys").fetchall()
        return [owner for (owner,) in rows]

    @contextmanager
    def table(self) -> Iterator[KeyTable]:
        """Keep other writers out. Readers go on, with the keys as they were."""
        with self._connections.transaction(answer_seconds=LONG_SECONDS) as connection:
            connection.execute(_LOCK)
            yield PostgresKeyTable(connection)

    def close(self) -> None:
        """Do nothing: the connections belong to the engine."""


class PostgresKeyTable(KeyTable):
    """All keys, inside a transaction that keeps other writers out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def master_fingerprint(self) -> str | None:
        """Return the fingerprint of the wrapping master key, None when new."""
        return _fingerprint(self._connection)

    def all(self) -> list[tuple[str, bytes]]:
        """Return every owner with its wrapped key, in the order of owners."""
        return [(owner, wrapped) for owner, wrapped in self._connection.execute(_ALL)]

    def replace(self, master: str, keys: Iterable[tuple[str, bytes]]) -> None:
        """Put other wrapped keys, and the fingerprint that goes with them, in place."""
        self._connection.execute("DELETE FROM postwatch.data_keys")
        with self._connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for key in keys:
                copy.write_row(key)
        self._connection.execute(_CHANGE_MASTER, (master,))


def _fingerprint(connection: Connection) -> str | None:
    row = connection.execute(_MASTER).fetchone()
    return row[0] if row else None
