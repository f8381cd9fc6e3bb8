"""Wrapped data keys in PostgreSQL.

A destroyed key is gone from the table at once. Its bytes leave the server's files when the
row is vacuumed and the write-ahead log is recycled, and leave the backups when these are
deleted; docs/operations.md says what that means.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from store.keys.key_ring import KeyStore, KeyTable, Rewrapping, WrappedKey
from store.postgres.connections import LONG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from store.keys.key_ring import Wrap
    from store.postgres.connections import Connection, Connections


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

# Conflicts only with another change of the master key, and with `table()`.
_LOCK_MASTER: Final = "LOCK TABLE postwatch.master IN SHARE UPDATE EXCLUSIVE MODE"
_LOCK_FINGERPRINT: Final = "SELECT FROM postwatch.master WHERE id = 1 FOR UPDATE"
_OWNERS: Final = "SELECT owner FROM postwatch.data_keys"
_PAGE: Final = (
    "SELECT owner, wrapped FROM postwatch.data_keys WHERE owner > %s ORDER BY owner LIMIT %s"
)
_KEYS_OF: Final = "SELECT owner, wrapped FROM postwatch.data_keys WHERE owner = ANY(%s)"
_REWRAP: Final = """
UPDATE postwatch.data_keys AS kept SET wrapped = given.new
FROM unnest(%b::text[], %b::bytea[], %b::bytea[]) AS given (owner, old, new)
WHERE kept.owner = given.owner AND kept.wrapped = given.old
RETURNING kept.owner
"""
FROZEN_SECONDS: Final = 30
"""The server undoes a change that is frozen for so long: others wait for its row locks."""

PAGE: Final = 1000
"""How many keys one statement rewraps."""


class PostgresKeyStore(KeyStore):
    """Keys in a table."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @override
    def master_fingerprint(self) -> str | None:
        with self._connections.get() as connection:
            return _fingerprint(connection)

    @override
    def set_master_fingerprint(self, fingerprint: str) -> None:
        with self._connections.get() as connection:
            connection.execute(_SET_MASTER, (fingerprint,))

    @override
    def get(self, owner: str) -> WrappedKey | None:
        with self._connections.get() as connection:
            row = connection.execute(_GET, (owner,)).fetchone()
        return WrappedKey(*row) if row else None

    @override
    def add(self, owner: str, key: WrappedKey) -> WrappedKey | None:
        with self._connections.get() as connection:
            connection.execute(_ADD, (owner, key.wrapped, key.master))
        return self.get(owner)

    @override
    def destroy(self, owner: str) -> None:
        """Remove the owner's key."""
        with self._connections.get() as connection:
            connection.execute("DELETE FROM postwatch.data_keys WHERE owner = %s", (owner,))

    @override
    def owners(self) -> list[str]:
        with self._connections.get() as connection:
            rows = connection.execute(_OWNERS).fetchall()
        return [owner for (owner,) in rows]

    @override
    @contextmanager
    def table(self) -> Iterator[KeyTable]:
        """Lock the tables against other writers. Readers see the keys as they were."""
        with self._connections.transaction(answer_seconds=LONG_SECONDS) as connection:
            connection.execute(_LOCK)
            yield PostgresKeyTable(connection)

    @override
    @contextmanager
    def rewrapping(self) -> Iterator[Rewrapping]:
        """Lock out other changes of the master key. Keys are added and destroyed meanwhile."""
        with self._connections.transaction(answer_seconds=LONG_SECONDS) as connection:
            connection.execute(
                "SELECT set_config('idle_in_transaction_session_timeout', %s, true)",
                (f"{FROZEN_SECONDS}s",),
            )
            connection.execute(_LOCK_MASTER)
            yield PostgresRewrapping(connection)

    @override
    def close(self) -> None:
        """Do nothing: the connections belong to the engine."""


class PostgresKeyTable(KeyTable):
    """All keys, inside a transaction that keeps other writers out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @override
    def master_fingerprint(self) -> str | None:
        return _fingerprint(self._connection)

    @override
    def all(self) -> list[tuple[str, bytes]]:
        return [(owner, wrapped) for owner, wrapped in self._connection.execute(_ALL)]

    @override
    def replace(self, master: str, keys: Iterable[tuple[str, bytes]]) -> None:
        self._connection.execute("DELETE FROM postwatch.data_keys")
        with self._connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for key in keys:
                copy.write_row(key)
        self._connection.execute(_CHANGE_MASTER, (master,))


class PostgresRewrapping(Rewrapping):
    """A change of the master key in one transaction, which locks a row when it rewraps it.

    Other sessions see nothing of it before its end. A writer that adds a key locks the
    fingerprint: its key is in before the change locks the fingerprint itself, or it finds the
    new one. A writer that destroys a rewrapped key waits for the end.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @override
    def master_fingerprint(self) -> str | None:
        return _fingerprint(self._connection)

    @override
    def count(self) -> int:
        ((count,),) = self._connection.execute("SELECT count(*) FROM postwatch.data_keys")
        return int(count)

    @override
    def rewrap(self, master: str, wrap: Wrap) -> int:
        done: set[str] = set()
        last = ""
        while rows := self._connection.execute(_PAGE, (last, PAGE)).fetchall():
            done |= self._rewrap(rows, wrap)
            last = rows[-1][0]
        # From here on no key can be added.
        self._connection.execute(_LOCK_FINGERPRINT)
        owners = {owner for (owner,) in self._connection.execute(_OWNERS)}
        added = self._connection.execute(_KEYS_OF, (list(owners - done),)).fetchall()
        done |= self._rewrap(added, wrap)
        self._connection.execute(_CHANGE_MASTER, (master,))
        return len(done)

    def _rewrap(self, rows: Sequence[tuple[str, bytes]], wrap: Wrap) -> set[str]:
        """Rewrap keys; return their owners. A key that was destroyed meanwhile stays destroyed."""
        owners, old = [owner for owner, _ in rows], [wrapped for _, wrapped in rows]
        new = [wrap(owner, wrapped) for owner, wrapped in rows]
        found = self._connection.execute(_REWRAP, (owners, old, new))
        return {owner for (owner,) in found}


def _fingerprint(connection: Connection) -> str | None:
    row = connection.execute(_MASTER).fetchone()
    return row[0] if row else None
