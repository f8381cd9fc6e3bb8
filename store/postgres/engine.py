"""The engine for several hosts: a PostgreSQL database that they share."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from store.ports.engine import TRACKING_LOGS, ChangeSignal, Engine, StoredRows
from store.postgres import tracking_log
from store.postgres.bulk_load import bulk_load
from store.postgres.connections import ANSWER_SECONDS, Connections
from store.postgres.keys import PostgresKeyStore
from store.postgres.leases import PostgresLeases, fleet
from store.postgres.locks import PostgresLocks
from store.postgres.log import PostgresRows, log_environment, prune, writers_lock
from store.postgres.notifications import Listener
from store.postgres.schema import migrate, require_schema
from store.postgres.segments import PostgresSegments
from store.postgres.tiles import PostgresHeads, PostgresTiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from domain.application import Turn
    from store.keys.key_ring import KeyStore
    from store.ports.bulk_load import BulkLoad
    from store.ports.engine import Database
    from store.ports.leases import FleetRow, Leases
    from store.proof.tiles import TileStore
    from store.proof.tree_heads import HeadStore


_WRITABLE_SECONDS: Final = 3.0
"""How long `check_writable` waits for an answer."""

_LOG_BYTES: Final = "SELECT pg_total_relation_size(%s::regclass)"
_LOCK_AS_WRITER: Final = "LOCK TABLE postwatch_monitoring.monitoring_events IN ROW EXCLUSIVE MODE"


class PostgresEngine(Engine):
    """Hands out the tables of a database."""

    has_fleet = True

    def __init__(self, database: Database) -> None:
        self.database = database
        self.connections = Connections(database.url, "store", answer_seconds=ANSWER_SECONDS)
        self.locks = PostgresLocks(database, self.connections)
        self.segments = PostgresSegments(self.connections)
        self._listener = Listener(self.connections)

    @override
    def require_store(self) -> None:
        """Raise StoreError unless the schema is there, in the form that this version uses."""
        require_schema(self.connections)

    def migrate(self) -> tuple[int, int]:
        """Bring the schema to this version; return the version before and now.

        Raises StoreError when that cannot be done; nothing is changed then.
        """
        return migrate(self.connections)

    def bulk_load(self) -> AbstractContextManager[BulkLoad]:
        """Give a bulk load into this database, if it is empty.

        Raises StoreError when it is not, or when the schema is missing.
        """
        return bulk_load(self.connections, self.database.place)

    @override
    def prepare_store(self) -> None:
        """Raise StoreError unless the schema is there: `postwatch migrate` makes it."""
        self.require_store()

    @override
    def note_parts(self) -> None:
        """Do nothing: `postwatch migrate` writes the manifest."""

    @override
    def environment(self, log: str, *, create: bool) -> dict[str, str]:
        """Return the event store's own settings for a log. Its table is made by migrations."""
        del create
        if log in TRACKING_LOGS:
            return log_environment(self.database.url, tracking_log.__name__)
        return log_environment(self.database.url)

    @override
    def rows(self, log: str) -> StoredRows:
        return PostgresRows(self.connections, log)

    @override
    def prune(self, position: int, through: int) -> int:
        return prune(self.connections, position, through)

    @override
    def log_bytes(self, log: str) -> int:
        with self.connections.get() as connection:
            table = f"postwatch_{log}.{log}_events"
            ((size,),) = connection.execute(_LOG_BYTES, (table,)).fetchall()
        return int(size)

    @override
    def signal(self, log: str) -> ChangeSignal:
        return self._listener.signal(log)

    @override
    def keys(self, *, create: bool) -> KeyStore:
        del create
        return PostgresKeyStore(self.connections)

    @override
    def tiles(self, log: str) -> TileStore:

        return PostgresTiles(self.connections, log)

    @override
    def heads(self, log: str) -> HeadStore:
        return PostgresHeads(self.connections, log)

    @override
    def turn(self, name: str) -> Turn:
        """Return a turn that never waits: the server queues the writers."""
        del name
        return nullcontext

    @override
    def check_writable(self) -> None:
        with self.connections.transaction(answer_seconds=_WRITABLE_SECONDS) as connection:
            # The locks that a writer takes, with a short wait for other writers.
            connection.execute("SET LOCAL lock_timeout = '1s'")
            connection.execute(writers_lock("monitoring"))
            connection.execute(_LOCK_AS_WRITER)

    @override
    def leases(self, location: str, number: int) -> Leases:
        return PostgresLeases(self.database.url, location, number)

    @override
    def fleet(self) -> Sequence[FleetRow]:
        return fleet(self.connections)

    @override
    def close(self) -> None:
        """Stop listening and close the connections."""
        self._listener.close()
        self.connections.close()
