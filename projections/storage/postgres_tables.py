"""The sides and tables of a view in PostgreSQL.

A row of `sides` holds the state of a side; its writers lock it. A side without a row is empty.

The rows of a side are in tables named after the view and the side's generation:
`monitors_7_tokens`. Readers do not know that name: they ask `tokens`, an SQL view that shows
the rows of the live side. So a swap touches no table: it replaces the SQL views, and waits
only for readers that use them at that moment. A snapshot reads the tables of its generation
directly, and they are dropped after it ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from projections.core.table import EMPTY_SIDE, INVALIDATED, SideState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from projections.core.table import Table, ViewSide
    from store.postgres.connections import Connection


SCHEMA: Final = "postwatch_views"

_SIDE: Final = b"""
SELECT position, generation, definition, mark FROM postwatch_views.sides
WHERE view = %s AND side = %s
"""
_ADD_SIDE: Final = b"""
INSERT INTO postwatch_views.sides (view, side, position, generation, definition)
VALUES (%s, %s, 0, 0, '') ON CONFLICT DO NOTHING
"""
_SET_SIDE: Final = b"""
UPDATE postwatch_views.sides SET position = %s, generation = %s, definition = %s, mark = %s
WHERE view = %s AND side = %s
"""
_SET_POSITION: Final = b"""
UPDATE postwatch_views.sides SET position = %s, mark = %s WHERE view = %s AND side = %s
"""
_INVALIDATE: Final = b"""
UPDATE postwatch_views.sides SET definition = %s
WHERE view = %s AND side = 'live' AND position = %s
"""
_SET_WRITE_TIMEOUTS: Final = b"""
SELECT set_config('lock_timeout', %s, true),
    set_config('idle_in_transaction_session_timeout', '60s', true),
    set_config('synchronous_commit', 'off', true)
"""
_COLUMN_TYPES: Final = {"TEXT": 'text COLLATE "C"', "INTEGER": "bigint"}
"""Text is sorted by its bytes, as SQLite does it."""

_TRIGRAMS: Final = b"""
SELECT quote_ident(nspname) FROM pg_extension
JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm'
"""
_TABLES: Final = b"""
SELECT relname::text FROM pg_class
WHERE relnamespace = 'postwatch_views'::regnamespace AND relkind = 'r' AND relname ~ %s
"""
_LEFT_OVER: Final = b"""
SELECT relname::text FROM pg_class
WHERE relnamespace = 'postwatch_views'::regnamespace AND relkind = 'r'
AND relname ~ ('^' || %(view)s || '_[0-9]+_') AND NOT EXISTS (
    SELECT FROM postwatch_views.sides
    WHERE view = %(view)s AND relname ~ ('^' || view || '_' || generation || '_')
)
"""
_SHOWN: Final = b"""
SELECT DISTINCT shown.relname::text FROM pg_depend
JOIN pg_rewrite ON pg_rewrite.oid = pg_depend.objid
JOIN pg_class shown ON shown.oid = pg_rewrite.ev_class
JOIN pg_class stored ON stored.oid = pg_depend.refobjid
WHERE pg_depend.classid = 'pg_rewrite'::regclass AND shown.relkind = 'v'
AND stored.relnamespace = 'postwatch_views'::regnamespace AND stored.relname ~ %s
"""

_WITH_ROOM: Final = "WITH (fillfactor = 80)"
"""Room in each page for rows that change: a row that stays on its page changes no index."""

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


def side_state(connection: Connection, view: str, side: ViewSide) -> SideState:
    """Return the stored state of a side."""
    row = connection.execute(_SIDE, (view, side), prepare=True).fetchone()
    return SideState(*row) if row else EMPTY_SIDE


def lock_side(connection: Connection, view: str, side: ViewSide) -> SideState:
    """Keep other writers from a side until the transaction ends; return its state.

    A transaction that locks both sides locks the live one first.
    """
    locking = _SIDE + b"FOR UPDATE"
    while (row := connection.execute(locking, (view, side), prepare=True).fetchone()) is None:
        connection.execute(_ADD_SIDE, (view, side))
    return SideState(*row)


def set_side(connection: Connection, view: str, side: ViewSide, state: SideState) -> None:
    """Store the state of a side."""
    connection.execute(_SET_SIDE, (*state, view, side))


def set_position(
    connection: Connection, view: str, side: ViewSide, position: int, last_event_id: str
) -> None:
    """Store the last event that a side includes."""
    connection.execute(_SET_POSITION, (position, last_event_id, view, side), prepare=True)


def invalidate(connection: Connection, view: str, position: int) -> None:
    """Give the live side the definition INVALIDATED, unless it has left a position."""
    connection.execute(_INVALIDATE, (INVALIDATED, view, position))


def set_write_timeouts(connection: Connection, lock_timeout_seconds: float) -> None:
    """Bound how long this transaction waits for locks, and how long it holds its own if idle.

    Its commit does not wait for the disk: a view that loses its last changes catches up again.
    """
    timeout = f"{round(lock_timeout_seconds * 1000)}ms"
    connection.execute(_SET_WRITE_TIMEOUTS, (timeout,), prepare=True)


def shown(table: str) -> str:
    """Return the name of the SQL view of the live rows of a table."""
    return f"{SCHEMA}.{table}"


def stored(view: str, generation: int, table: str) -> str:
    """Return the name of the table of a generation."""
    return f"{SCHEMA}.{view}_{generation}_{table}"


def counts_of(name: str) -> str:
    """Return the name of the table of counts of a table."""
    return f"{name}_counts"


def names(table: Table) -> list[str]:
    """Return the names of a table and of its derived table."""
    return [table.name, *([counts_of(table.name)] if table.counted else [])]


def create_tables(
    connection: Connection, view: str, generation: int, tables: Iterable[Table]
) -> None:
    """Make the empty tables of a generation in the place of those that may exist."""
    for (name,) in connection.execute(_TABLES, (f"^{view}_{generation}_",)).fetchall():
        connection.execute(f"DROP TABLE {SCHEMA}.{name}".encode())
    trigrams = connection.execute(_TRIGRAMS).fetchone()
    for table in tables:
        _create_table(connection, stored(view, generation, table.name), table)
        if table.searched and trigrams:
            connection.execute(
                f"CREATE INDEX ON {stored(view, generation, table.name)} "
                f"USING gin ({table.searched} {trigrams[0]}.gin_trgm_ops)".encode()
            )


def _create_table(connection: Connection, name: str, table: Table) -> None:
    kinds = {column: _COLUMN_TYPES[kind] for column, kind in table.columns.items()}
    columns = "".join(f", {column} {kind}" for column, kind in kinds.items())
    key = 'key text COLLATE "C" PRIMARY KEY'
    connection.execute(
        f"CREATE TABLE {name} ({key}, record bytea NOT NULL{columns}) {_WITH_ROOM}".encode()
    )
    # Not compressed: compression takes longer than to write a day of roll-ups, and saves an eighth.
    connection.execute(f"ALTER TABLE {name} ALTER record SET STORAGE EXTERNAL".encode())
    for index in table.indexes:
        connection.execute(f"CREATE INDEX ON {name} ({', '.join(index)})".encode())
    if table.counted:
        connection.execute(
            f"CREATE TABLE {counts_of(name)} "
            '(counted text COLLATE "C" PRIMARY KEY, number bigint NOT NULL)'.encode()
        )


def show(connection: Connection, view: str, generation: int, tables: Iterable[Table]) -> None:
    """Let the SQL views show the tables of a generation; drop those of another version.

    In the order in which queries read: from the last table (`monitors`) to those of its owners.
    Transactions that lock in the same order do not deadlock.
    """
    own = [name for table in reversed(list(tables)) for name in names(table)]
    existing = {name for (name,) in connection.execute(_SHOWN, (f"^{view}_[0-9]+_",)).fetchall()}
    for name in (*own, *sorted(existing - {*own})):
        connection.execute(f"DROP VIEW IF EXISTS {shown(name)}".encode())
    for name in own:
        connection.execute(
            f"CREATE VIEW {shown(name)} AS SELECT * FROM {stored(view, generation, name)}".encode()
        )


def drop_left_over(connection: Connection, view: str) -> None:
    """Drop the tables that belong to no side of a view."""
    for (name,) in connection.execute(_LEFT_OVER, {"view": view}).fetchall():
        connection.execute(f"DROP TABLE IF EXISTS {SCHEMA}.{name}".encode())


def analyze(connection: Connection, view: str, generation: int, tables: Iterable[Table]) -> None:
    """Let the server gather statistics of a generation, so that it plans queries for its rows."""
    found = [stored(view, generation, name) for table in tables for name in names(table)]
    connection.execute(f"ANALYZE {', '.join(found)}".encode())
