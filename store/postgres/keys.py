"""Wrapped data keys in PostgreSQL.

A destroyed key is gone from the table at once. Its bytes go from the server's files when
the row is vacuumed and the write-ahead log is recycled, and from backups when these are
thrown away; docs/operations.md says what that means.
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

# In the way of another change of the master key only, and of whoever wants all keys as they are.
_ONE_CHANGE: Final = "LOCK TABLE postwatch.master IN SHARE UPDATE EXCLUSIVE MODE"
_TAKE_MASTER: Final = "SELECT FROM postwatch.master WHERE id = 1 FOR UPDATE"
_OWNERS: Final = "SELECT owner FROM postwatch.data_keys"
_PAGE: Final = (
    "SELECT owner, wrapped FROM postwatch.data_keys WHERE owner > %s ORDER BY owner LIMIT %s"
)
_THESE: Final = "SELECT owner, wrapped FROM postwatch.data_keys WHERE owner = ANY(%s)"
_PUT: Final = """
UPDATE postwatch.data_keys AS kept SET wrapped = given.new
FROM unnest(%b::text[], %b::bytea[], %b::bytea[]) AS given (owner, old, new)
WHERE kept.owner = given.owner AND kept.wrapped = given.old
RETURNING kept.owner
"""
FROZEN_SECONDS: Final = 30
"""A change that is frozen is undone after so long: others wait for the rows that it has locked."""

PAGE: Final = 1000
"""How many keys are wrapped anew by one statement."""


class PostgresKeyStore(KeyStore):
    """Keys in a table."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @override
    def master_fingerprint(self) -> str | None:
        """Return the fingerprint of the wrapping master key, None when new."""
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
        """Keep a wrapped key unless the owner has one or the master key is another."""
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
        """Keep other writers out. Readers go on, with the keys as they were."""
        with self._connections.transaction(answer_seconds=LONG_SECONDS) as connection:
            connection.execute(_LOCK)
            yield PostgresKeyTable(connection)

    @override
    @contextmanager
    def rewrapping(self) -> Iterator[Rewrapping]:
        """Keep other changes of the master key out. Keys come and go until the last moment."""
        with self._connections.transaction(answer_seconds=LONG_SECONDS) as connection:
            connection.execute(
                "SELECT set_config('idle_in_transaction_session_timeout', %s, true)",
                (f"{FROZEN_SECONDS}s",),
            )
            connection.execute(_ONE_CHANGE)
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
        """Return the fingerprint of the wrapping master key, None when new."""
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
    """A change of the master key in one transaction that locks each row when it is its turn.

    Nobody sees anything of it before its end. Who adds a key locks the fingerprint and is in
    before the change takes it, or finds the new one; who destroys a key that is wrapped anew
    already waits for the end.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @override
    def master_fingerprint(self) -> str | None:
        """Return the fingerprint of the wrapping master key, None when new."""
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
            done |= self._put(rows, wrap)
            last = rows[-1][0]
        # From here on no key comes any more.
        self._connection.execute(_TAKE_MASTER)
        owners = {owner for (owner,) in self._connection.execute(_OWNERS)}
        late = self._connection.execute(_THESE, (list(owners - done),)).fetchall()
        done |= self._put(late, wrap)
        self._connection.execute(_CHANGE_MASTER, (master,))
        return len(done)

    def _put(self, rows: Sequence[tuple[str, bytes]], wrap: Wrap) -> set[str]:
        """Wrap keys anew; return whose. One that was destroyed meanwhile does not come back."""
        owners, old = [owner for owner, _ in rows], [wrapped for _, wrapped in rows]
        new = [wrap(owner, wrapped) for owner, wrapped in rows]
        found = self._connection.execute(_PUT, (owners, old, new))
        return {owner for (owner,) in found}


def _fingerprint(connection: Connection) -> str | None:
    row = connection.execute(_MASTER).fetchone()
    return row[0] if row else None
