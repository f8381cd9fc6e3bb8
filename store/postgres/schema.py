"""The schema of a store in PostgreSQL. Only `postwatch migrate` makes and changes it.

A migration is never changed after a release; the next one is appended. The tables of the
views do not belong to it: rebuilds create and drop them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg
from eventsourcing.persistence import ProgrammingError
from psycopg import sql

from domain.errors import StoreError
from store.ports.engine import LOGS, PARTS
from store.postgres.connections import LONG_SECONDS
from store.postgres.leases import FLEET
from store.postgres.tracking_log import TRACKING_TABLE

if TYPE_CHECKING:
    from store.postgres.connections import Connection, Connections


OLDEST_SERVER: Final = 140000
"""PostgreSQL 14, as `server_version_num` says it."""

_ONE_AT_A_TIME: Final = 0x706F7374
"""The key of the lock that keeps two migrations apart. Any number serves."""

_NOTE_VERSION: Final = "INSERT INTO postwatch.schema_version (version) VALUES (%s)"
_STORE: Final = """
CREATE SCHEMA IF NOT EXISTS postwatch;
CREATE TABLE postwatch.schema_version (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""
_LOG: Final = """
CREATE SCHEMA {schema};
CREATE SEQUENCE {schema}.{table}_position;
CREATE TABLE {schema}.{table} (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL DEFAULT nextval('{schema}.{table}_position'),
    PRIMARY KEY (originator_id, originator_version)
) WITH (
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);
ALTER SEQUENCE {schema}.{table}_position OWNED BY {schema}.{table}.notification_id;
CREATE UNIQUE INDEX {table}_by_position ON {schema}.{table} (notification_id);
"""
_KEYS: Final = """
CREATE TABLE postwatch.master (
    id integer PRIMARY KEY CHECK (id = 1),
    fingerprint text NOT NULL
);
CREATE TABLE postwatch.data_keys (owner text PRIMARY KEY, wrapped bytea NOT NULL);
"""
_PROOF: Final = """
CREATE TABLE postwatch.leaf_tiles (
    log text NOT NULL,
    number bigint NOT NULL,
    first_position bigint NOT NULL,
    runs text NOT NULL,
    hashes bytea,
    PRIMARY KEY (log, number),
    UNIQUE (log, first_position)
);
CREATE TABLE postwatch.node_tiles (
    log text NOT NULL,
    level integer NOT NULL,
    number bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (log, level, number)
);
CREATE TABLE postwatch.heads (
    log text NOT NULL,
    number bigint NOT NULL,
    line bytea NOT NULL,
    PRIMARY KEY (log, number)
);
"""
_ARCHIVE: Final = """
CREATE TABLE postwatch.segments (
    first_position bigint PRIMARY KEY,
    last_position bigint NOT NULL,
    contents bytea NOT NULL
);
ALTER TABLE postwatch.segments ALTER COLUMN contents SET STORAGE EXTERNAL;
"""
_RATE_LIMIT: Final = """
CREATE UNLOGGED TABLE postwatch.rate_counts (
    caller text PRIMARY KEY,
    minute bigint NOT NULL,
    used integer NOT NULL
);
"""
_VIEWS: Final = """
CREATE SCHEMA postwatch_views;
CREATE TABLE postwatch_views.sides (
    view text NOT NULL,
    side text NOT NULL,
    position bigint NOT NULL,
    generation bigint NOT NULL,
    definition text NOT NULL,
    mark text NOT NULL DEFAULT '',
    PRIMARY KEY (view, side)
);
"""
_MANIFEST: Final = "CREATE TABLE postwatch.manifest (part text PRIMARY KEY)"
_NOTE_PART: Final = "INSERT INTO postwatch.manifest VALUES (%s) ON CONFLICT DO NOTHING"
_NO_MANIFEST: Final = "SELECT to_regclass('postwatch.manifest') IS NULL"


def _log(name: str) -> str:
    return _LOG.format(schema=f"postwatch_{name}", table=f"{name}_events")


MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        _STORE,
        _log("monitoring"),
        _log("checks"),
        _KEYS,
        _PROOF,
        _ARCHIVE,
        _RATE_LIMIT,
        _VIEWS,
        FLEET,
    ),
    (_log("incidents"), TRACKING_TABLE, _MANIFEST),
)
"""The statements of each version of the schema, from version 1 on."""

NEWEST: Final = len(MIGRATIONS)

_NO_EXTENSION: Final = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedFile,
)
"""The role may not add it, or the server does not have it (older and newer servers differ)."""


def migrate(connections: Connections) -> tuple[int, int]:
    """Bring the schema to this version, in one transaction; return the version before and now.

    Raises StoreError when the server is too old, the schema newer, or rights are missing.
    """
    try:
        with connections.transaction(answer_seconds=LONG_SECONDS) as connection:
            _require_server(connection, connections.place)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_ONE_AT_A_TIME,))
            before = _version_of(connection)
            _require_known(before, connections.place)
            for version in range(before + 1, NEWEST + 1):
                for statements in MIGRATIONS[version - 1]:
                    connection.execute(sql.SQL(statements))
                connection.execute(_NOTE_VERSION, (version,))
            if before < NEWEST:
                for part in PARTS:
                    connection.execute(_NOTE_PART, (part,))
            _add_trigrams(connection)
    except ProgrammingError as error:
        if isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
            raise StoreError(
                f"the schema cannot be made: {_first_line(error)}; run `postwatch migrate` as a "
                "role that may create schemas in this database, such as its owner"
            ) from None
        raise
    return before, NEWEST


def _add_trigrams(connection: Connection) -> None:
    """Add the extension that gives searches an index, where the server allows it.

    Without it searches give the same answers, and take longer in large lists.
    """
    with suppress(*_NO_EXTENSION), connection.transaction():
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA postwatch_views")


def require_schema(connections: Connections) -> None:
    """Raise StoreError unless the server and the schema are what this version works with."""
    try:
        with connections.get() as connection:
            _require_server(connection, connections.place)
            version = _version_of(connection)
            lost = _lost_table(connection) if version == NEWEST else None
    except ProgrammingError as error:
        if isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
            raise StoreError(
                f"the store cannot be read: {_first_line(error)}; name the role "
                "that ran `postwatch migrate` in POSTWATCH_DATABASE_URL"
            ) from None
        raise
    _require_known(version, connections.place)
    if version < NEWEST:
        what = f"has a schema of version {version}" if version else "holds no Postwatch store yet"
        raise StoreError(
            f"{connections.place} {what}, this Postwatch works with version {NEWEST}; run "
            "`postwatch migrate` once"
        )
    if lost is not None:
        raise StoreError(
            f"the store lost its part {lost.part}: {connections.place} has no table {lost.table}; "
            "restore a backup of the database with `pg_restore`. Nothing was changed"
        )


class _Lost(NamedTuple):
    """A part that the manifest names, and its table, which is not there."""

    part: str
    table: str


def _lost_table(connection: Connection) -> _Lost | None:
    """Return the first part of the manifest without its table."""
    ((is_missing,),) = connection.execute(_NO_MANIFEST)
    if is_missing:
        return _Lost("manifest", "postwatch.manifest")
    for (part,) in connection.execute("SELECT part FROM postwatch.manifest ORDER BY part"):
        table = f"postwatch_{part}.{part}_events" if part in LOGS else "postwatch.data_keys"
        ((found,),) = connection.execute("SELECT to_regclass(%s)::text", (table,))
        if found is None:
            return _Lost(part, table)
    return None


def _version_of(connection: Connection) -> int:
    """Return the version of the schema that is there, 0 when there is none."""
    ((table,),) = connection.execute("SELECT to_regclass('postwatch.schema_version')::text")
    if table is None:
        return 0
    ((version,),) = connection.execute("SELECT max(version) FROM postwatch.schema_version")
    return version or 0


def _require_server(connection: Connection, place: str) -> None:
    if connection.info.server_version < OLDEST_SERVER:
        found = connection.info.server_version // 10000
        raise StoreError(
            f"the server of {place} is PostgreSQL {found}; "
            f"Postwatch needs {OLDEST_SERVER // 10000} or newer"
        )


def _require_known(version: int, place: str) -> None:
    if version > NEWEST:
        raise StoreError(
            f"{place} has a schema of version {version}, this Postwatch knows up to "
            f"version {NEWEST}; install the version that made it, or a newer"
        )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
