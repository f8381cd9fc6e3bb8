"""The tables of a view's two sides in an SQLite file: made, dropped, put in place of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from projections.storage import sqlite_derived
from projections.storage.sqlite_transaction import PREFIX, standing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from projections.view import Side, Table

_SIDES: Final = """
CREATE TABLE IF NOT EXISTS sides (
    side TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    definition TEXT NOT NULL,
    mark TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID
"""
_HAS_MARK: Final = "SELECT 1 FROM pragma_table_info('sides') WHERE name = 'mark'"
_ADD_MARK: Final = "ALTER TABLE sides ADD COLUMN mark TEXT NOT NULL DEFAULT ''"
_TABLES_OF_VIEW: Final = """
SELECT name FROM pragma_table_list
WHERE schema = 'main' AND type IN ('table', 'virtual')
AND name NOT LIKE 'sqlite%' AND name != 'sides'
"""

# Table and column names come from the projections' definitions, never from input.


def has_sides(connection: sqlite3.Connection) -> bool:
    """Return whether the table is there that says where the sides stand, in today's form."""
    return connection.execute(_HAS_MARK).fetchone() is not None


def create_sides(connection: sqlite3.Connection) -> None:
    """Make the table that says where the sides stand, or bring it to today's form."""
    connection.execute(_SIDES)
    if not has_sides(connection):
        connection.execute(_ADD_MARK)


def create_side(
    connection: sqlite3.Connection, side: Side, tables: Iterable[Table], definition: str
) -> None:
    """Make an empty side of the next generation in the place of one that may be there."""
    generation = standing(connection, "live")["generation"] + 1
    drop_side(connection, side)
    for table in tables:
        _create_table(connection, table, side, generation)
    connection.execute("INSERT INTO sides VALUES (?, 0, ?, ?, '')", (side, generation, definition))


def drop_side(connection: sqlite3.Connection, side: Side) -> None:
    """Drop every table of a side, whatever version of the code made it."""
    is_shadow = side == "shadow"
    for (name,) in connection.execute(_TABLES_OF_VIEW).fetchall():
        if name.startswith(PREFIX["shadow"]) is is_shadow:
            connection.execute(f"DROP TABLE {name}")
    connection.execute("DELETE FROM sides WHERE side = ?", (side,))


def put_shadow_in_place(connection: sqlite3.Connection, tables: Iterable[Table]) -> None:
    """Let the shadow side be the live one."""
    drop_side(connection, "live")
    for table in tables:
        for name in (table.name, *sqlite_derived.names(table)):
            connection.execute(f"ALTER TABLE {PREFIX['shadow']}{name} RENAME TO {name}")
    connection.execute("UPDATE sides SET side = 'live' WHERE side = 'shadow'")


def _create_table(
    connection: sqlite3.Connection, table: Table, side: Side, generation: int
) -> None:
    """Make a table with its indexes.

    The indexes bear the generation, because they keep their names when a table is renamed.
    """
    name = PREFIX[side] + table.name
    columns = "".join(f", {column} {kind}" for column, kind in table.columns.items())
    connection.execute(
        f"CREATE TABLE {name} "
        f"(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, record BLOB NOT NULL{columns})"
    )
    for index in table.indexes:
        title = f"{table.name}_{'_'.join(index)}_{generation}"
        connection.execute(f"CREATE INDEX {title} ON {name} ({', '.join(index)})")
    sqlite_derived.create(connection, name, table)
