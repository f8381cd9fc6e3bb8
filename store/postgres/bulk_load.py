"""The bulk load of an empty database in one transaction: no other session sees a part of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from uuid import UUID

import psycopg
from psycopg import sql
from typing_extensions import override

from domain.errors import StoreError, TransferError
from store.ports.bulk_load import BulkLoad, EventSink
from store.ports.engine import LOGS
from store.postgres.connections import LONG_SECONDS
from store.postgres.keys import PostgresKeyTable
from store.postgres.log import log_schema, log_table
from store.postgres.schema import require_schema
from store.postgres.segments import WRITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.event_mapper import Row
    from store.postgres.connections import Connection, Connections


_BATCH: Final = 2000
_LOG_TABLES: Final = tuple((log_schema(each), log_table(each)) for each in LOGS)
_OTHER_TABLES: Final = tuple(
    ("postwatch", each)
    for each in ("master", "data_keys", "segments", "leaf_tiles", "node_tiles", "heads")
)
_COPY: Final = """
COPY {table} (originator_id, originator_version, topic, state, notification_id)
FROM STDIN (FORMAT BINARY)
"""
_TYPES: Final = ("uuid", "int8", "text", "bytea", "int8")
# Not `setval`, which stays done when the transaction is rolled back.
_RESTART_SEQUENCE: Final = "ALTER SEQUENCE {sequence} RESTART WITH {next}"


@contextmanager
def bulk_load(connections: Connections, place: str) -> Iterator[BulkLoad]:
    """Give a bulk load into an empty database, which is committed when the block ends.

    Nothing is changed when the block fails. Other writers wait meanwhile. Raises StoreError
    when the schema is missing, or when there is a store already.
    """
    require_schema(connections)
    with connections.transaction(answer_seconds=LONG_SECONDS) as connection:
        tables = [sql.Identifier(*each) for each in _LOG_TABLES + _OTHER_TABLES]
        connection.execute(
            sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(sql.SQL(", ").join(tables))
        )
        for table in tables:
            if connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(table)).rowcount:
                raise StoreError(
                    f"{place} holds a store already (there is something in "
                    f"{table.as_string(connection)}); name another database, and run "
                    "`postwatch migrate` on it. Nothing was changed"
                )
        yield PostgresBulkLoad(connection)


class PostgresBulkLoad(BulkLoad):
    """A bulk load through the connection of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @override
    def sink(self, log: str) -> EventSink:
        return PostgresSink(self._connection, log)

    @override
    def put_segment(self, first: int, last: int, data: bytes) -> None:
        self._connection.execute(WRITE, (first, last, data))

    @override
    def put_keys(self, master: str, keys: Iterable[tuple[str, bytes]]) -> None:
        PostgresKeyTable(self._connection).replace(master, keys)


class PostgresSink(EventSink):
    """Takes the events of one log, and copies them in batches."""

    def __init__(self, connection: Connection, log: str) -> None:
        self._connection = connection
        self._copy = sql.SQL(_COPY).format(table=sql.Identifier(log_schema(log), log_table(log)))
        self._sequence = sql.Identifier(log_schema(log), f"{log_table(log)}_position")
        self._pending: list[Row] = []

    @override
    def append(self, row: Row) -> None:
        self._pending.append(row)
        if len(self._pending) >= _BATCH:
            self._flush()

    @override
    def finish(self, last_given: int) -> None:
        self._flush()
        self._connection.execute(
            sql.SQL(_RESTART_SEQUENCE).format(
                sequence=self._sequence, next=sql.Literal(last_given + 1)
            )
        )

    def _flush(self) -> None:
        try:
            with self._connection.cursor() as cursor, cursor.copy(self._copy) as copy:
                copy.set_types(_TYPES)
                for row in self._pending:
                    stream = UUID(row.originator_id.decode())
                    version, topic = int(row.version), row.topic.decode()
                    copy.write_row((stream, version, topic, row.state, row.position))
        except psycopg.errors.UniqueViolation:
            # The text of the driver's error holds the values of the columns.
            raise TransferError("two events claim the same version of one stream") from None
        except (psycopg.DataError, UnicodeDecodeError):
            raise TransferError("an event holds what PostgreSQL cannot keep") from None
        self._pending.clear()
