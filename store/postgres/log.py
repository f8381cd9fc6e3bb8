"""The event log in PostgreSQL: the library's recorder, which never sends anything twice.

Writers come in one after the other, by a lock of the log, so that positions are committed
in their order and no reader ever passes one that comes later. It is an advisory lock: one on
the table would wait for each vacuum, or break it off, and one against the wraparound of
transaction ids takes as long as it takes. The library's own functions in the database leave
that lock out, and are never used.

A write whose answer was lost is not repeated here, as the library would do it: whoever
asked is told, and looks whether it was stored. Nor are reads: a caller waits for seconds,
not for half a minute, when the database is away.

The event store finds this module by the setting `PERSISTENCE_MODULE`, and in it the one
class that is a factory: hence no factory is imported by name.

Which streams of a log may lack events that this process knows of.

A connection that breaks may lead to another server next, and that one may never have had
the newest events. So whatever is appended to a stream after a loss must find the version
before it there. Once is enough: what was found, or appended since, is on this server.

The rows of a log in PostgreSQL as they lie there, in the form in which they are proven.

Taking archived events out of the table of their log, a few at a time.

The newest event of each stream stays, as in SQLite: the next one needs its version.
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

    from eventsourcing.persistence import StoredEvent
    from eventsourcing.utils import Environment

    from store.postgres.connections import Connection


_MOST: Final = 1_000_000
"""How many streams are remembered. Each is some 150 bytes."""


class RequiredVersions(NamedTuple):
    """What must be found before something is appended, and after how many losses it was said."""

    versions_before: Mapping[str, int]
    reconnects: int


class FailoverGuard:
    """All streams after a loss, but those that were appended to since."""

    def __init__(self, reconnects: Callable[[], int]) -> None:
        """Take what counts how many times a connection broke."""
        self._count_losses = reconnects
        self._lock = Lock()
        self._losses = 0
        self._certain: set[str] = set()

    def among(self, streams: Sequence[str], versions: Sequence[int]) -> RequiredVersions:
        """Return by stream the version that must be there before these come, where in doubt."""
        reconnects = self._count_losses()
        if reconnects == 0:
            return RequiredVersions({}, reconnects)
        with self._lock:
            if reconnects > self._losses:
                self._losses = reconnects
                self._certain.clear()
            doubtful = set(streams) - self._certain
        return RequiredVersions(_versions_before(doubtful, streams, versions), reconnects)

    def clear_up(self, doubts: RequiredVersions) -> None:
        """Remember that what was asked for was found, and that more came behind it."""
        if not doubts.versions_before:
            return
        with self._lock:
            # Whoever lost a connection meanwhile may have met another server than we did.
            if doubts.reconnects != self._losses:
                return
            if len(self._certain) >= _MOST:
                self._certain.clear()
            self._certain.update(doubts.versions_before)


def _versions_before(
    doubtful: set[str], streams: Sequence[str], versions: Sequence[int]
) -> dict[str, int]:
    if not doubtful:
        return {}
    first: dict[str, int] = {}
    for stream, version in zip(streams, versions, strict=True):
        if stream in doubtful:
            first[stream] = min(version, first.get(stream, version))
    return {stream: version - 1 for stream, version in first.items() if version > 1}


_URL: Final = "POSTWATCH_LOG_URL"

FROZEN_SECONDS: Final = 5
"""A writer that was frozen while it had its turn loses it after so long: others wait for it."""

WRITING: Final = 0x70770003
"""The first half of the key of the lock of whoever writes to a log."""


def writers_lock(log: str) -> sql.Composed:
    """Return the statement that takes the lock of a log's writers for a transaction."""
    return sql.SQL("SELECT pg_advisory_xact_lock({}, hashtext({}))").format(
        sql.Literal(WRITING), sql.Literal(log_table(log))
    )


def log_schema(log: str) -> str:
    """Return the schema of a log."""
    return f"postwatch_{log}"


def log_table(log: str) -> str:
    """Return the table of a log, as the library names it. Its channel has the same name."""
    return f"{log}_events"


def log_environment(url: str) -> dict[str, str]:
    """Return the event store's own settings for a log of the database at `url`."""
    return {
        "PERSISTENCE_MODULE": __name__,
        "CREATE_TABLE": "n",
        _URL: url,
    }


class LogDatastore(postgres.PostgresDatastore):
    """What the library asks for connections: ours, and no types of its own."""

    def __init__(self, url: str, log: str) -> None:
        super().__init__("", "", "", "", "", schema=log_schema(log))
        self.log = log
        self.takes_events = CircuitBreaker(f"the log {log} takes events again", only_slow=True)
        self._connections = Connections(
            url, log, row_factory=dict_row, answer_seconds=ANSWER_SECONDS
        )

    def get_connection(self) -> AbstractContextManager[Connection]:  # type: ignore[override] # rows of any form
        """Lend a connection of ours, whose errors are the event store's."""
        return self._connections.get()

    def reconnects(self) -> int:
        """Return how many times another server may have come that never had all we know of."""
        return self._connections.reconnects

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def register_type_adapters(self) -> None:
        """Do nothing: events are sent as arrays, so nobody need connect to look up types."""


def _once(repeated: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of the library without its repetitions."""
    once: Callable[..., Any] = repeated.__wrapped__  # type: ignore[attr-defined] # by functools.wraps
    return once


class LogRecorder(postgres.PostgresApplicationRecorder):
    """Keeps events in the order of their positions, which never repeat."""

    select_events = _once(postgres.PostgresAggregateRecorder.select_events)
    select_notifications = _once(postgres.PostgresApplicationRecorder.select_notifications)
    max_notification_id = _once(postgres.PostgresApplicationRecorder.max_notification_id)

    def __init__(
        self, datastore: postgres.PostgresDatastore, *, events_table_name: str = "stored_events"
    ) -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        assert isinstance(datastore, LogDatastore)  # noqa: S101 - our factory has no other
        self._takes_events = datastore.takes_events
        self._doubts = FailoverGuard(datastore.reconnects)
        names = {
            "table": sql.Identifier(datastore.schema, events_table_name),
            "sequence": sql.Identifier(datastore.schema, f"{events_table_name}_position"),
            "channel": sql.Identifier(self.channel_name),
        }
        # One statement after the other would be three ways there and back.
        self._let_in = [
            sql.SQL("SET LOCAL idle_in_transaction_session_timeout = {}").format(
                sql.Literal(f"{FROZEN_SECONDS}s")
            ),
            writers_lock(datastore.log),
            sql.SQL("NOTIFY {channel}").format(**names),
        ]
        # Binary (%b): as text a batch of states takes three times as long.
        self._append = sql.SQL(
            "INSERT INTO {table} (originator_id, originator_version, topic, state) "
            "SELECT stream::uuid, version, topic, state "
            "FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[]) "
            "WITH ORDINALITY AS given (stream, version, topic, state, number) "
            "ORDER BY number RETURNING notification_id"
        ).format(**names)
        # One look at the index a stream, whatever the planner thinks of the table.
        self._count_before = sql.SQL(
            "SELECT count((SELECT 1 FROM {table} "
            "WHERE originator_id = stream::uuid AND originator_version = version)) "
            "FROM unnest(%b::text[], %b::bigint[]) AS given (stream, version)"
        ).format(**names)
        self._rows_after = sql.SQL(
            "SELECT notification_id, originator_id::text, originator_version, topic, state "
            "FROM {table} WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
        ).format(**names)
        self._rows_of = sql.SQL(
            "SELECT originator_id::text, originator_version, topic, state FROM {table} "
            "WHERE originator_id = ANY(%b::uuid[]) ORDER BY originator_id, originator_version"
        ).format(**names)
        # In this order (LATERAL): a look into the index for each stream.
        self._last_rows_of = sql.SQL(
            "SELECT stream::text, originator_version, topic, state "
            "FROM unnest(%b::uuid[]) AS asked (stream) CROSS JOIN LATERAL ("
            "SELECT originator_version, topic, state FROM {table} "
            "WHERE originator_id = stream ORDER BY originator_version DESC LIMIT %b) AS last "
            "ORDER BY stream, originator_version DESC"
        ).format(**names)
        self._last_given = sql.SQL(LAST_GIVEN).format(**names)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:  # noqa: ANN401 - as the library has it
        """Append events; return their positions."""
        return self.append(
            [
                (str(each.originator_id), each.originator_version, each.topic, each.state)
                for each in stored_events
            ]
        )

    def append(self, rows: Iterable[tuple[str, int, str, bytes]]) -> Sequence[int]:
        """Append stream, version, topic and state of new rows, durably, all or none.

        Raises IntegrityError when a stream has such a version already, LostEventsError when it
        lacks the one before, DatabaseUnavailableError when the log takes nothing now, or may have
        taken it though no answer came.
        """
        columns = [list(each) for each in zip(*rows, strict=True)]
        if not columns:
            return []
        with (
            # Who may connect and not write, because a standby is away, say, must not have
            # every thread wait for that.
            self._takes_events.attempt(),
            self.datastore.get_connection() as connection,
            connection.pipeline() as pipeline,
            connection.transaction(),
        ):
            for statement in self._let_in:
                connection.execute(statement)
            cursor = connection.cursor(row_factory=tuple_row)
            doubts = self._doubts.among(*columns[:2])
            before = doubts.versions_before
            there = connection.cursor(row_factory=tuple_row)
            if before:
                there.execute(self._count_before, (list(before), list(before.values())))
            cursor.execute(self._append, columns)
            # Here, and not at the end, so that a conflict is raised as what it is.
            pipeline.sync()
            if before and there.fetchall() != [(len(before),)]:
                raise LostEventsError("the log lacks an event that was in it")
            found = cursor.fetchall()
        self._doubts.clear_up(doubts)
        return [position for (position,) in found]

    def rows_after(self, position: int, limit: int) -> Sequence[tuple[int, str, int, str, bytes]]:
        """Return position, stream, version, topic and state of rows after a position, in order."""
        with self.datastore.get_connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            return cursor.execute(self._rows_after, (position, limit), prepare=True).fetchall()

    def rows_of(self, streams: Sequence[UUID]) -> Sequence[tuple[str, int, str, bytes]]:
        """Return stream, version, topic and state of all rows of some streams, each in order."""
        with self.datastore.get_connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            return cursor.execute(self._rows_of, (list(streams),), prepare=True).fetchall()

    def last_rows_of(
        self, streams: Sequence[UUID], limit: int
    ) -> Sequence[tuple[str, int, str, bytes]]:
        """Return stream, version, topic and state of the last rows of streams, newest first."""
        with self.datastore.get_connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            values = (list(streams), limit)
            return cursor.execute(self._last_rows_of, values, prepare=True).fetchall()

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event was pruned."""
        with self.datastore.get_connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            ((found,),) = cursor.execute(self._last_given).fetchall()
        position: int = found
        return position


LAST_GIVEN: Final = "SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM {sequence}"
"""Selects the highest position that was ever given in a log, to an event or to none."""


class Factory(postgres.PostgresFactory):
    """Builds recorders on our connections."""

    application_recorder_class = LogRecorder

    def __init__(self, env: Environment) -> None:
        # Not the library's own beginning, which reads the settings of its connections.
        BaseInfrastructureFactory.__init__(self, env)
        url = self.env.get(_URL)
        assert url is not None  # noqa: S101 - we are found by settings that hold it
        self.datastore = LogDatastore(url, self.env.name.lower())


_AFTER: Final = """
SELECT notification_id, convert_to(replace(originator_id::text, '-', ''), 'UTF8'),
    convert_to(originator_version::text, 'UTF8'), convert_to(topic, 'UTF8'), state
FROM {table} WHERE notification_id > %s AND notification_id <= %s
ORDER BY notification_id LIMIT %s
"""
_POSITION_OF: Final = """
SELECT notification_id FROM {table} WHERE originator_id = %s AND originator_version = %s
"""
_LAST_POSSIBLE: Final = (1 << 63) - 1


class PostgresRows(StoredRows):
    """Reads a log's table."""

    def __init__(self, connections: Connections, log: str) -> None:
        self._connections = connections
        names = {
            "table": sql.Identifier(log_schema(log), log_table(log)),
            "sequence": sql.Identifier(log_schema(log), f"{log_table(log)}_position"),
        }
        self._after = sql.SQL(_AFTER).format(**names)
        self._position_of = sql.SQL(_POSITION_OF).format(**names)
        self._last_given = sql.SQL(LAST_GIVEN).format(**names)

    @override
    def after(self, position: int, limit: int, *, through: int | None = None) -> Sequence[Row]:
        last = _LAST_POSSIBLE if through is None else through
        with self._connections.get() as connection:
            rows = connection.execute(self._after, (position, last, limit), binary=True).fetchall()
        return [Row(*row) for row in rows]

    @override
    def position_of(self, stream: UUID, version: int) -> int | None:
        with self._connections.get() as connection:
            found = connection.execute(self._position_of, (stream, version)).fetchone()
        return found[0] if found else None

    @override
    def last_given(self) -> int:
        with self._connections.get() as connection:
            ((found,),) = connection.execute(self._last_given).fetchall()
        position: int = found
        return position


BATCH: Final = 1000
"""Rows a transaction, so that no other one waits long for rows or for vacuum."""

_NEXT: Final = """
SELECT max(notification_id) FROM (
    SELECT notification_id FROM postwatch_checks.checks_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s
) AS next
"""
_DELETE: Final = """
DELETE FROM postwatch_checks.checks_events AS old
WHERE notification_id > %s AND notification_id <= %s AND EXISTS (
    SELECT FROM postwatch_checks.checks_events AS newer
    WHERE newer.originator_id = old.originator_id
    AND newer.originator_version > old.originator_version
)
"""


def prune(
    connections: Connections,
    position: int,
    through: int,
    *,
    rest: Callable[[float], None] = time.sleep,
) -> int:
    """Take checks behind a position out of their log, up to another; return how many.

    Never called for checks that are not in the archive. Between two transactions it rests
    as long as the last one took, so that those who write come in.
    """
    taken = 0
    while True:
        started = time.monotonic()
        with connections.get(answer_seconds=LONG_SECONDS) as connection:
            ((end,),) = connection.execute(_NEXT, (position, through, BATCH)).fetchall()
            if end is None:
                return taken
            taken += connection.execute(_DELETE, (position, end)).rowcount
        position = end
        rest(time.monotonic() - started)
