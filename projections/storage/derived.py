"""Derived tables beside a table of a view: counts and, in SQLite, trigrams of a searched text.

They keep large lists fast. They depend on the rows of the table, and change in the same
transaction. `count_key` names a count on every engine; PostgreSQL has its own index of trigrams.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from projections.core.table import Table


SourceRow = tuple[Any, ...]
"""The id of a row, and its columns that derived tables depend on."""

SHORTEST_PART: Final = 3
"""Characters that a part must have to be found by an index of trigrams (SQLite's FTS5 4.3.5,
PostgreSQL's pg_trgm)."""

_KNOWN_KEYS: Final = 1000

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


def count_key(values: Mapping[str, Any], columns: Iterable[str]) -> str:
    """Return the key of the count of rows that have these values."""
    return _as_json(tuple((each, values[each]) for each in columns))


@lru_cache(_KNOWN_KEYS)
def _as_json(items: tuple[tuple[str, Any], ...]) -> str:
    return json.dumps(dict(items))


def part_query(part: str) -> str:
    """Return the full-text query for a part of a text, whatever characters it has."""
    return '"' + part.replace('"', '""') + '"'


def is_indexed(part: str) -> bool:
    """Return whether the index can find a part; a NUL would end the query early."""
    return len(part) >= SHORTEST_PART and "\0" not in part


def names(table: Table) -> list[str]:
    """Return the names of the derived tables of a table in SQLite."""
    counts = [f"{table.name}_counts"] if table.counted else []
    return counts + ([f"{table.name}_parts"] if table.searched else [])


def create(connection: sqlite3.Connection, name: str, table: Table) -> None:
    """Make the derived tables of the empty table `name`."""
    if table.counted:
        connection.execute(
            f"CREATE TABLE {name}_counts (counted TEXT PRIMARY KEY, number INTEGER NOT NULL)"
            " WITHOUT ROWID"
        )
    if table.searched:
        # Contentless: the table has the text itself. The projection folds its case.
        connection.execute(
            f"CREATE VIRTUAL TABLE {name}_parts USING fts5"
            "(part, content = '', tokenize = 'trigram case_sensitive 1')"
        )


def source_row(
    connection: sqlite3.Connection, name: str, table: Table, key: str
) -> SourceRow | None:
    """Return what derived tables depend on of a row; None when there is nothing."""
    if not names(table):
        return None
    found: SourceRow | None = connection.execute(
        f"SELECT {source_columns(table)} FROM {name} WHERE key = ?", (key,)
    ).fetchone()
    return found


def source_columns(table: Table) -> str:
    """Return the SQL names of the id and the columns that derived tables depend on."""
    return ", ".join(["id", *_sources(table)])


def update(
    connection: sqlite3.Connection,
    name: str,
    table: Table,
    before: SourceRow | None,
    after: SourceRow | None,
) -> None:
    """Let the derived tables follow a row that was made, changed or removed."""
    if before == after or not names(table):
        return
    for changed, step in ((before, -1), (after, 1)):
        if changed is not None:
            values = dict(zip(_sources(table), changed[1:], strict=True))
            _count(connection, name, [count_key(values, each) for each in table.counted], step)
            if table.searched:
                _index(connection, f"{name}_parts", changed[0], values[table.searched], step)


def stored_rows(connection: sqlite3.Connection, table: Table) -> Iterator[tuple[str, str, int]]:
    """Yield every count beside a live table, and how often the search index has each part."""
    if table.counted:
        for key, number in connection.execute(
            f"SELECT counted, number FROM {table.name}_counts WHERE number != 0"
        ):
            yield "counts", key, number
    if table.searched:
        # In the connection's own, temporary schema: nothing is added to the view.
        connection.execute(
            f"CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, {table.name}_parts, row)"
        )
        for part, _, number in connection.execute("SELECT term, doc, cnt FROM temp.vocabulary"):
            yield "parts", part, number
        connection.execute("DROP TABLE temp.vocabulary")


def _sources(table: Table) -> list[str]:
    """Return the columns that counts and parts depend on."""
    sources = {table.searched, *(column for each in table.counted for column in each)}
    return [column for column in table.columns if column in sources]


def _count(connection: sqlite3.Connection, name: str, keys: Sequence[str], step: int) -> None:
    connection.executemany(
        f"INSERT INTO {name}_counts VALUES (?, ?) "
        "ON CONFLICT (counted) DO UPDATE SET number = number + excluded.number",
        [(key, step) for key in keys],
    )


def _index(connection: sqlite3.Connection, name: str, number: int, text: str, step: int) -> None:
    if step > 0:
        connection.execute(f"INSERT INTO {name} (rowid, part) VALUES (?, ?)", (number, text))
    else:
        connection.execute(
            f"INSERT INTO {name} ({name}, rowid, part) VALUES ('delete', ?, ?)", (number, text)
        )
