"""The event log in PostgreSQL: the recorder that appends and reads, the raw rows, pruning.

**Order.** Writers append one after the other, under an advisory lock of the log, so that
positions are committed in their order and no reader passes one that is committed later. A lock
on the table would wait for each vacuum or cancel it, and a vacuum against wraparound is not
cancelled for a lock and may take hours. The library's own database functions leave this lock
out and are never used.

**Nothing is sent twice.** When the answer to a write is lost, the recorder raises instead of
repeating the write as the library would; the caller looks whether the events were stored.
Reads are not repeated either: a caller waits for seconds, not for half a minute, when the
database is unavailable.

**Failover.** A new connection may lead to another server, which may lack the newest events.
`FailoverGuard` makes the recorder check once for each stream that its last version is there.

The library finds this module by the setting `PERSISTENCE_MODULE`, and in it the one class
that is an infrastructure factory. A second factory must not be imported by name.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventsourcing import postgres
from eventsourcing.persistence import BaseInfrastructureFactory
from psycopg import sql
from psycopg.rows import dict_row, tuple_row
from typing_extensions import override

from domain.errors import LostEventsError
from domain.event_mapper import Row
from store.ports.engine import StoredRows
from store.ports.errors import CircuitBreaker
from store.postgres.connections import ANSWER_SECONDS, LONG_SECONDS, Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from uuid import UUID

    import psycopg
    from eventsourcing.persistence import StoredEvent
    from eventsourcing.utils import Environment

    from store.postgres.connections import Connection


FROZEN_SECONDS: Final = 5
"""The server ends the transaction of a writer that is frozen for so long: others wait for it."""

WRITING: Final = 0x70770003
"""The first half of the key of the advisory lock under which a log is appended to."""

PRUNE_BATCH: Final = 1000
"""Rows deleted in one transaction, so that none waits long for row locks or for vacuum."""

_URL: Final = "POSTWATCH_LOG_URL"
_MOST_STREAMS: Final = 1_000_000
"""How many streams a guard remembers, at some 150 bytes each."""

_LARGEST_POSITION: Final = (1 << 63) - 1

# Binary parameters (%b): as text a batch of states takes three times as long.
_APPEND: Final = """
INSERT INTO {table} (originator_id, originator_version, topic, state)
SELECT stream::uuid, version, topic, state
FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[])
    WITH ORDINALITY AS given (stream, version, topic, state, number)
ORDER BY number RETURNING notification_id
"""
# One look at the index for each stream, whatever the planner thinks of the table.
_COUNT_PRESENT: Final = """
SELECT count((
    SELECT 1 FROM {table}
    WHERE originator_id = stream::uuid AND originator_version = version
)) FROM unnest(%b::text[], %b::bigint[]) AS given (stream, version)
"""
_EVENTS_AFTER: Final = """
SELECT notification_id, originator_id::text, originator_version, topic, state
FROM {table} WHERE notification_id > %s ORDER BY notification_id LIMIT %s
"""
_EVENTS_OF: Final = """
SELECT originator_id::text, originator_version, topic, state FROM {table}
WHERE originator_id = ANY(%b::uuid[]) ORDER BY originator_id, originator_version
"""
# LATERAL: one look at the index for each stream.
_LAST_EVENTS_OF: Final = """
SELECT stream::text, originator_version, topic, state
FROM unnest(%b::uuid[]) AS asked (stream) CROSS JOIN LATERAL (
    SELECT originator_version, topic, state FROM {table}
    WHERE originator_id = stream ORDER BY originator_version DESC LIMIT %b
) AS last
ORDER BY stream, originator_version DESC
"""
_LAST_GIVEN: Final = "SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM {sequence}"

_ROWS_AFTER: Final = """
SELECT notification_id, convert_to(replace(originator_id::text, '-', ''), 'UTF8'),
    convert_to(originator_version::text, 'UTF8'), convert_to(topic, 'UTF8'), state
FROM {table} WHERE notification_id > %s AND notification_id <= %s
ORDER BY notification_id LIMIT %s
"""
_POSITION_OF: Final = """
SELECT notification_id FROM {table} WHERE originator_id = %s AND originator_version = %s
"""
_END_OF_BATCH: Final = """
SELECT max(notification_id) FROM (
    SELECT notification_id FROM postwatch_checks.checks_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s
) AS next
"""
_PRUNE: Final = """
DELETE FROM postwatch_checks.checks_events AS old
WHERE notification_id > %s AND notification_id <= %s AND EXISTS (
    SELECT FROM postwatch_checks.checks_events AS newer
    WHERE newer.originator_id = old.originator_id
    AND newer.originator_version > old.originator_version
)
"""


def log_schema(log: str) -> str:
    """Return the schema of a log."""
    return f"postwatch_{log}"


def log_table(log: str) -> str:
    """Return the table of a log, as the library names it. Its channel has the same name."""
    return f"{log}_events"


def log_environment(url: str, module: str = __name__) -> dict[str, str]:
    """Return the library's settings for a log of the database; `module` has its factory."""
    return {
        "PERSISTENCE_MODULE": module,
        "CREATE_TABLE": "n",
        _URL: url,
    }


def writers_lock(log: str) -> sql.Composed:
    """Return the statement that takes the lock of a log's writers until a transaction ends."""
    return sql.SQL("SELECT pg_advisory_xact_lock({}, hashtext({}))").format(
        sql.Literal(WRITING), sql.Literal(log_table(log))
    )


def _names(log: str) -> dict[str, sql.Identifier]:
    """Return what the statements call the table of a log and its sequence of positions."""
    return {
        "table": sql.Identifier(log_schema(log), log_table(log)),
        "sequence": sql.Identifier(log_schema(log), f"{log_table(log)}_position"),
    }


class RequiredVersions(NamedTuple):
    """The version that each unconfirmed stream must have before an append.

    `reconnects`: how many reconnects the guard had counted at that time.
    """

    by_stream: Mapping[str, int]
    reconnects: int


class FailoverGuard:
    """Says which streams must be checked for lost events before they are appended to.

    A connection that breaks may lead to another server next, a promoted standby that never
    received the newest events. After each reconnect every stream is unconfirmed until an
    append to it found the version before its own on the new server.
    """

    def __init__(self, reconnects: Callable[[], int]) -> None:
        """Take the function that returns how many times a connection was made anew."""
        self._count_reconnects = reconnects
        self._lock = Lock()
        self._reconnects = 0
        self._confirmed: set[str] = set()

    def required_versions(
        self, streams: Sequence[str], versions: Sequence[int]
    ) -> RequiredVersions:
        """Return which versions must be found before these versions of streams are appended."""
        reconnects = self._count_reconnects()
        if reconnects == 0:
            return RequiredVersions({}, reconnects)
        with self._lock:
            if reconnects > self._reconnects:
                self._reconnects = reconnects
                self._confirmed.clear()
            unconfirmed = set(streams) - self._confirmed
        return RequiredVersions(_versions_before(unconfirmed, streams, versions), reconnects)

    def confirm(self, required: RequiredVersions) -> None:
        """Remember that the required versions were found and appended to."""
        if not required.by_stream:
            return
        with self._lock:
            # After another reconnect this says nothing about the server that is used now.
            if required.reconnects != self._reconnects:
                return
            if len(self._confirmed) >= _MOST_STREAMS:
                self._confirmed.clear()
            self._confirmed.update(required.by_stream)


def _versions_before(
    unconfirmed: set[str], streams: Sequence[str], versions: Sequence[int]
) -> dict[str, int]:
    """Return the version before the lowest one given, for each unconfirmed stream that has one."""
    if not unconfirmed:
        return {}
    first: dict[str, int] = {}
    for stream, version in zip(streams, versions, strict=True):
        if stream in unconfirmed:
            first[stream] = min(version, first.get(stream, version))
    return {stream: version - 1 for stream, version in first.items() if version > 1}


class LogDatastore(postgres.PostgresDatastore):
    """Gives the library's recorder the connections of the process, without type adapters."""

    def __init__(self, url: str, log: str) -> None:
        super().__init__("", "", "", "", "", schema=log_schema(log))
        self.log = log
        # A server may accept connections and no writes, because a standby is away, say.
        # The breaker keeps every thread from waiting for that.
        self.append_breaker = CircuitBreaker(f"the log {log} takes events again", only_slow=True)
        self._connections = Connections(
            url, log, row_factory=dict_row, answer_seconds=ANSWER_SECONDS
        )

    @override
    def get_connection(self) -> AbstractContextManager[Connection]:  # type: ignore[override] # rows of any form
        """Lend a connection of the process, whose errors are the library's."""
        return self._connections.get()

    def reconnects(self) -> int:
        """Return how many times another server may have come that lacks the newest events."""
        return self._connections.reconnects

    @override
    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    @override
    def register_type_adapters(self) -> None:
        """Do nothing: events are sent as arrays, so no connection need look up types."""


def _unrepeated(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of the library without the decorator that repeats it."""
    inner: Callable[..., Any] = method.__wrapped__  # type: ignore[attr-defined] # by functools.wraps
    return inner


class LogRecorder(postgres.PostgresApplicationRecorder):
    """Keeps events in the order of their positions, which never repeat."""

    select_events = _unrepeated(postgres.PostgresAggregateRecorder.select_events)
    select_notifications = _unrepeated(postgres.PostgresApplicationRecorder.select_notifications)
    max_notification_id = _unrepeated(postgres.PostgresApplicationRecorder.max_notification_id)

    def __init__(
        self, datastore: postgres.PostgresDatastore, *, events_table_name: str = "stored_events"
    ) -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        assert isinstance(datastore, LogDatastore)  # noqa: S101 - our factory has no other
        self._append_breaker = datastore.append_breaker
        self._failover_guard = FailoverGuard(datastore.reconnects)
        names = _names(datastore.log)
        self._begin_append = (
            sql.SQL("SET LOCAL idle_in_transaction_session_timeout = {}").format(
                sql.Literal(f"{FROZEN_SECONDS}s")
            ),
            writers_lock(datastore.log),
            sql.SQL("NOTIFY {}").format(sql.Identifier(self.channel_name)),
        )
        self._append = sql.SQL(_APPEND).format(**names)
        self._count_present = sql.SQL(_COUNT_PRESENT).format(**names)
        self._events_after = sql.SQL(_EVENTS_AFTER).format(**names)
        self._events_of = sql.SQL(_EVENTS_OF).format(**names)
        self._last_events_of = sql.SQL(_LAST_EVENTS_OF).format(**names)
        self._last_given = sql.SQL(_LAST_GIVEN).format(**names)

    @override
    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        """Append events; return their positions."""
        return self.append(
            [
                (str(each.originator_id), each.originator_version, each.topic, each.state)
                for each in stored_events
            ]
        )

    def append(self, rows: Iterable[tuple[str, int, str, bytes]]) -> Sequence[int]:
        """Append stream, version, topic and state of new rows, durably, all or none.

        Returns the positions. Raises IntegrityError when a stream has such a version already,
        LostEventsError when it lacks the version before, DatabaseUnavailableError when the log
        takes nothing now, or may have taken the rows although no answer came.
        """
        columns = [list(each) for each in zip(*rows, strict=True)]
        if not columns:
            return []
        with self._append_breaker.attempt(), self.datastore.get_connection() as connection:
            # Not before there is a connection: getting one may be a reconnect.
            required = self._failover_guard.required_versions(*columns[:2])
            positions = self._append_in_transaction(connection, columns, required.by_stream)
        self._failover_guard.confirm(required)
        return positions

    def _append_in_transaction(
        self,
        connection: psycopg.Connection[Any],
        columns: Sequence[list[Any]],
        required: Mapping[str, int],
    ) -> list[int]:
        """Append columns if the streams have the required versions, in two round trips."""
        with connection.pipeline() as pipeline, connection.transaction():
            for statement in self._begin_append:
                connection.execute(statement)
            present = connection.cursor(row_factory=tuple_row)
            if required:
                present.execute(self._count_present, (list(required), list(required.values())))
            appended = connection.cursor(row_factory=tuple_row)
            appended.execute(self._append, columns)
            # Here, and not at the end, so that a conflict is raised as what it is.
            pipeline.sync()
            if required and present.fetchall() != [(len(required),)]:
                raise LostEventsError("the log lacks an event that was in it")
            return [position for (position,) in appended.fetchall()]

    def rows_after(self, position: int, limit: int) -> Sequence[tuple[int, str, int, str, bytes]]:
        """Return position, stream, version, topic and state of rows after a position, in order."""
        return self._select(self._events_after, position, limit)

    def rows_of(self, streams: Sequence[UUID]) -> Sequence[tuple[str, int, str, bytes]]:
        """Return stream, version, topic and state of all rows of some streams, each in order."""
        return self._select(self._events_of, list(streams))

    def last_rows_of(
        self, streams: Sequence[UUID], limit: int
    ) -> Sequence[tuple[str, int, str, bytes]]:
        """Return stream, version, topic and state of the last rows of streams, newest first."""
        return self._select(self._last_events_of, list(streams), limit)

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""
        ((position,),) = self._select(self._last_given)
        return int(position)

    def _select(self, statement: sql.Composed, *values: object) -> list[tuple[Any, ...]]:
        with self.datastore.get_connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            return cursor.execute(statement, values, prepare=True).fetchall()


class Factory(postgres.PostgresFactory):
    """Builds recorders on the connections of the process."""

    application_recorder_class = LogRecorder

    def __init__(self, env: Environment) -> None:
        # Not the initializer of the parent, which reads the settings of its own connections.
        BaseInfrastructureFactory.__init__(self, env)
        url = self.env.get(_URL)
        assert url is not None  # noqa: S101 - `log_environment` sets it
        self.datastore = LogDatastore(url, self.env.name.lower())


class PostgresRows(StoredRows):
    """The rows of a log's table, in the form in which proofs hash them."""

    def __init__(self, connections: Connections, log: str) -> None:
        self._connections = connections
        names = _names(log)
        self._rows_after = sql.SQL(_ROWS_AFTER).format(**names)
        self._position_of = sql.SQL(_POSITION_OF).format(**names)
        self._last_given = sql.SQL(_LAST_GIVEN).format(**names)

    @override
    def after(self, position: int, limit: int, *, through: int | None = None) -> Sequence[Row]:
        values = (position, _LARGEST_POSITION if through is None else through, limit)
        with self._connections.get() as connection:
            rows = connection.execute(self._rows_after, values, binary=True).fetchall()
        return [Row(*row) for row in rows]

    @override
    def position_of(self, stream: UUID, version: int) -> int | None:
        with self._connections.get() as connection:
            found = connection.execute(self._position_of, (stream, version)).fetchone()
        return found[0] if found else None

    @override
    def last_given(self) -> int:
        with self._connections.get() as connection:
            ((position,),) = connection.execute(self._last_given).fetchall()
        return int(position)


def prune(
    connections: Connections,
    position: int,
    through: int,
    *,
    rest: Callable[[float], None] = time.sleep,
) -> int:
    """Delete the checks after a position, up to position `through`; return how many.

    Only for archived checks. The newest check of each stream stays: the next append needs
    its version. After each transaction it rests as long as that took, so that writers of
    checks get their turn.
    """
    deleted = 0
    while True:
        started = time.monotonic()
        with connections.get(answer_seconds=LONG_SECONDS) as connection:
            batch = (position, through, PRUNE_BATCH)
            ((end,),) = connection.execute(_END_OF_BATCH, batch).fetchall()
            if end is None:
                return deleted
            deleted += connection.execute(_PRUNE, (position, end)).rowcount
        position = end
        rest(time.monotonic() - started)
