"""The tables of a view in PostgreSQL: made, dropped, and shown to readers under their names.

The rows of a side lie in tables that bear the view and the number of the side's generation:
`monitors_7_tokens`. Readers know none of that. They ask `tokens`, which is a view of SQL
that shows the rows of the live side. So a swap touches no table: it makes the SQL views
anew, and waits for nobody but who reads through them just then. Who looks at a side for
longer reads its tables themselves, and they stay until he is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.storage.postgres_connections import Connection
    from projections.view import Table

SCHEMA: Final = "postwatch_views"

_TYPES: Final = {"TEXT": 'text COLLATE "C"', "INTEGER": "bigint"}
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
"""In each page room for rows that change: where they stay on their page, no index follows."""

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


def shown(table: str) -> str:
    """Return the name under which readers find the live rows of a table."""
    return f"{SCHEMA}.{table}"


def stored(view: str, generation: int, table: str) -> str:
    """Return the name under which the rows of a generation are stored."""
    return f"{SCHEMA}.{view}_{generation}_{table}"


def counts_of(name: str) -> str:
    """Return the name of the table of counts beside a table."""
    return f"{name}_counts"


def names(table: Table) -> list[str]:
    """Return the names of a table and of what is kept beside it."""
    return [table.name, *([counts_of(table.name)] if table.counted else [])]


def create_tables(
    connection: Connection, view: str, generation: int, tables: Iterable[Table]
) -> None:
    """Make the empty tables of a generation in the place of ones that may be there."""
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
    kinds = {column: _TYPES[kind] for column, kind in table.columns.items()}
    columns = "".join(f", {column} {kind}" for column, kind in kinds.items())
    key = 'key text COLLATE "C" PRIMARY KEY'
    connection.execute(
        f"CREATE TABLE {name} ({key}, record bytea NOT NULL{columns}) {_WITH_ROOM}".encode()
    )
    # Not compressed: that takes longer than to write a day of roll-ups, and saves an eighth.
    connection.execute(f"ALTER TABLE {name} ALTER record SET STORAGE EXTERNAL".encode())
    for index in table.indexes:
        connection.execute(f"CREATE INDEX ON {name} ({', '.join(index)})".encode())
    if table.counted:
        connection.execute(
            f"CREATE TABLE {counts_of(name)} "
            '(counted text COLLATE "C" PRIMARY KEY, number bigint NOT NULL)'.encode()
        )


def show(connection: Connection, view: str, generation: int, tables: Iterable[Table]) -> None:
    """Let readers see the tables of a generation; those of another version are seen no more.

    The last table comes first, because queries begin with it (`monitors`) and go on to
    what it belongs to: who locks in the same order does not wait for one another in a ring.
    """
    own = [name for table in reversed(list(tables)) for name in names(table)]
    there = {name for (name,) in connection.execute(_SHOWN, (f"^{view}_[0-9]+_",)).fetchall()}
    for name in (*own, *sorted(there - {*own})):
        connection.execute(f"DROP VIEW IF EXISTS {shown(name)}".encode())
    for name in own:
        connection.execute(
            f"CREATE VIEW {shown(name)} AS SELECT * FROM {stored(view, generation, name)}".encode()
        )


def drop_left_over(connection: Connection, view: str) -> None:
    """Drop the tables that belong to no side of a view any more."""
    for (name,) in connection.execute(_LEFT_OVER, {"view": view}).fetchall():
        connection.execute(f"DROP TABLE IF EXISTS {SCHEMA}.{name}".encode())


def analyze(connection: Connection, view: str, generation: int, tables: Iterable[Table]) -> None:
    """Let the server look at the rows of a generation, so that it plans queries for them."""
    found = [stored(view, generation, name) for table in tables for name in names(table)]
    connection.execute(f"ANALYZE {', '.join(found)}".encode())
