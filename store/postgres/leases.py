"""Leases in PostgreSQL: session advisory locks, all in one connection of each checker.

The server frees them the moment that the connection ends. The connection of a checker that
is frozen, or whose host vanished, stays open: other checkers see that its heartbeats
stopped, and end its session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from typing_extensions import override

from domain.errors import StoreError
from store.ports.engine import place_of
from store.ports.errors import DatabaseRefusedError
from store.ports.leases import FleetRow, FleetSession, FleetSnapshot, Heartbeat, Leases
from store.postgres.connections import (
    TimedConnection,
    closed_on_failure,
    conninfo_of,
    translate_errors,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from store.postgres.connections import Connection, Connections


FLEET: Final = """
CREATE UNLOGGED TABLE postwatch.fleet (
    session integer PRIMARY KEY,
    location text NOT NULL,
    holder text NOT NULL,
    country text,
    lag_seconds double precision NOT NULL,
    checks_per_second double precision NOT NULL,
    clock_offset_seconds double precision NOT NULL,
    beats bigint NOT NULL,
    beat_at timestamptz NOT NULL
) WITH (fillfactor = 50);
"""
"""The newest heartbeat of each checker. A crash of the server may empty it."""

LOCATIONS: Final = 0x70780000
"""The first half of the keys of a location's locks; the number of the location is added."""

_LOCATION_NUMBERS: Final = 0x10000
_MEMBER: Final = 1_000_000
"""The second half of the key that all members lock together. Shards have small numbers."""

_ANSWER_SECONDS: Final = 3
"""How long the server may take before the session counts as lost."""

_IS_LEASE: Final = """
held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_HOLDERS: Final = f"""
SELECT held.pid, held.classid::bigint AS location,
    array_agg(held.objid::bigint) FILTER (WHERE held.objid <> {_MEMBER}) AS shards,
    bool_or(held.objid = {_MEMBER}) AS is_member
FROM pg_locks AS held WHERE {_IS_LEASE}
"""  # noqa: S608 - constants, not input
_LOOK: Final = f"""
WITH beat AS (
    INSERT INTO postwatch.fleet AS ours
    VALUES (pg_backend_pid(), %s, %s, %s, %s, %s, %s, 1, clock_timestamp())
    ON CONFLICT (session) DO UPDATE SET
        location = excluded.location, holder = excluded.holder, country = excluded.country,
        lag_seconds = excluded.lag_seconds, checks_per_second = excluded.checks_per_second,
        clock_offset_seconds = excluded.clock_offset_seconds,
        beats = ours.beats + 1, beat_at = excluded.beat_at
)
SELECT me.session, me.time, held.pid, held.shards, held.is_member, fleet.beats,
    fleet.holder, fleet.country, fleet.lag_seconds, fleet.checks_per_second,
    fleet.clock_offset_seconds
FROM (
    SELECT pg_backend_pid() AS session, extract(epoch FROM clock_timestamp())::float8 AS time
) AS me
LEFT JOIN ({_HOLDERS} AND held.classid = %s::bigint::oid GROUP BY 1, 2) AS held ON true
LEFT JOIN postwatch.fleet ON fleet.session = held.pid
"""  # noqa: S608 - constants, not input
_TAKE: Final = "SELECT shard FROM unnest(%s::int[]) AS shard WHERE pg_try_advisory_lock(%s, shard)"
_GIVE: Final = "SELECT pg_advisory_unlock(%s, shard) FROM unnest(%s::int[]) AS shard"
_JOIN: Final = "SELECT pg_advisory_lock_shared(%s, %s)"
_LEAVE: Final = "SELECT pg_advisory_unlock_shared(%s, %s)"
_END: Final = f"""
SELECT pg_terminate_backend(pid) FROM (
    SELECT DISTINCT held.pid FROM pg_locks AS held
    WHERE {_IS_LEASE} AND held.classid = %s::bigint::oid AND held.pid = %s
) AS frozen
"""  # noqa: S608 - constants, not input
_FORGET: Final = "DELETE FROM postwatch.fleet WHERE beat_at < clock_timestamp() - interval '1 day'"
_FLEET: Final = f"""
SELECT held.location, fleet.location, held.pid, held.shards, held.is_member,
    fleet.beats, fleet.holder, fleet.country, fleet.lag_seconds, fleet.checks_per_second,
    fleet.clock_offset_seconds, activity.application_name,
    extract(epoch FROM clock_timestamp() - fleet.beat_at)::float8
FROM (
    {_HOLDERS} AND held.classid::bigint BETWEEN {LOCATIONS} AND {LOCATIONS + _LOCATION_NUMBERS - 1}
    GROUP BY 1, 2
) AS held
LEFT JOIN postwatch.fleet ON fleet.session = held.pid
LEFT JOIN pg_stat_activity AS activity ON activity.pid = held.pid
ORDER BY 1, fleet.holder, held.pid
"""  # noqa: S608 - constants, not input


class PostgresLeases(Leases):
    """Leases in a session of its own, which begins with the first heartbeat."""

    def __init__(self, url: str, location: str, number: int) -> None:
        """Take the code of the location, and its number, from which the keys of locks are made."""
        self._conninfo = conninfo_of(url, part=f"checker-{location}")
        self._place = place_of(url)
        self._location = location
        self._key = LOCATIONS + number % _LOCATION_NUMBERS
        self._connection: Connection | None = None
        self._session = 0

    @override
    def look(self, beat: Heartbeat) -> FleetSnapshot:
        rows = self._execute(
            _LOOK,
            self._location,
            beat.holder,
            beat.country,
            beat.lag_seconds,
            beat.checks_per_second,
            beat.clock_offset_seconds,
            self._key,
        )
        session, time = rows[0][:2]
        if session != self._session:
            self.close()
            raise StoreError(
                "the checkers' locks are lost from one statement to the next, because something "
                "between here and the database shares its connections; let POSTWATCH_DATABASE_URL "
                "lead to the database itself, or to a pool that keeps sessions"
            )
        return FleetSnapshot(session, time, tuple(_session(*row[2:]) for row in rows if row[2]))

    @override
    def take(self, shards: Collection[int]) -> frozenset[int]:
        return frozenset(shard for (shard,) in self._execute(_TAKE, list(shards), self._key))

    @override
    def give(self, shards: Collection[int]) -> None:
        self._execute(_GIVE, self._key, list(shards))

    @override
    def leave(self) -> None:
        self._execute(_LEAVE, self._key, _MEMBER)

    @override
    def end(self, session: int) -> bool:
        try:
            self._execute(_END, self._key, session)
        except DatabaseRefusedError as error:
            if isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                return False
            raise
        return True

    @override
    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _execute(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        with translate_errors(self._place):
            try:
                if self._connection is None:
                    self._connection = self._connect()
                return self._connection.execute(statement.encode(), arguments).fetchall()
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self.close()
                raise

    def _connect(self) -> Connection:
        connection = TimedConnection.connect(self._conninfo, autocommit=True)
        with closed_on_failure(connection):
            # The server ends a slow statement; the client's limit covers a frozen server.
            connection.answer_seconds = _ANSWER_SECONDS
            connection.execute(
                f"SET statement_timeout = '{_ANSWER_SECONDS}s'; SET synchronous_commit = off"
            )
            connection.execute(_FORGET)
            connection.execute(_JOIN, (self._key, _MEMBER))
            ((self._session,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
        return connection


def fleet(connections: Connections) -> list[FleetRow]:
    """Return the sessions that hold locks of any location."""
    with connections.get() as connection:
        rows = connection.execute(_FLEET.encode()).fetchall()
    return [
        FleetRow(row[0] - LOCATIONS, row[1], _session(*row[2:11]), row[11], row[12]) for row in rows
    ]


def _session(  # one column after the other
    number: int,
    shards: list[int] | None,
    is_member: bool,  # noqa: FBT001 - a column
    beats: int | None,
    *heartbeat: Any,  # noqa: ANN401 - the columns of a heartbeat
) -> FleetSession:
    beat = None if beats is None else Heartbeat(*heartbeat)
    return FleetSession(number, frozenset(shards or ()), is_member, beats or 0, beat)
