"""The names of the counts that a view keeps beside a table.

What stands beside a table of a view so that large lists stay fast: counts, and parts of words.

Both follow from the table's rows and change in the same transaction.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from projections.core.table import Table


_KNOWN_KEYS: Final = 1000


def count_key(values: Mapping[str, Any], columns: Iterable[str]) -> str:
    """Return the name of the count of rows that have these values."""
    return _as_json(tuple((each, values[each]) for each in columns))


@lru_cache(_KNOWN_KEYS)
def _as_json(items: tuple[tuple[str, Any], ...]) -> str:
    return json.dumps(dict(items))


Row = tuple[Any, ...]


SHORTEST_PART: Final = 3
"""Characters that a part must have to be found by the index (SQLite, FTS5, 4.3.5)."""

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


def part_query(part: str) -> str:
    """Return the full-text query for a part of a text, whatever characters it has."""
    return '"' + part.replace('"', '""') + '"'


def is_indexed(part: str) -> bool:
    """Return whether the index can find a part; a NUL would end the query early."""
    return len(part) >= SHORTEST_PART and "\0" not in part


def names(table: Table) -> list[str]:
    """Return the names of the tables beside a table."""
    counts = [f"{table.name}_counts"] if table.counted else []
    return counts + ([f"{table.name}_parts"] if table.searched else [])


def create(connection: sqlite3.Connection, name: str, table: Table) -> None:
    """Make the tables beside the empty table `name`."""
    if table.counted:
        connection.execute(
            f"CREATE TABLE {name}_counts (counted TEXT PRIMARY KEY, number INTEGER NOT NULL)"
            " WITHOUT ROWID"
        )
    if table.searched:
        # Contentless: the text itself stands in the table. Case is folded by the projection.
        connection.execute(
            f"CREATE VIRTUAL TABLE {name}_parts USING fts5"
            "(part, content = '', tokenize = 'trigram case_sensitive 1')"
        )


def row(connection: sqlite3.Connection, name: str, table: Table, key: str) -> Row | None:
    """Return what a row gives to the tables beside it: its id and some of its columns."""
    if not (table.counted or table.searched):
        return None
    found: Row | None = connection.execute(
        f"SELECT {row_of(table)} FROM {name} WHERE key = ?", (key,)
    ).fetchone()
    return found


def row_of(table: Table) -> str:
    """Return what a row's id and the columns that others follow from are called in SQL."""
    return ", ".join(["id", *_followed(table)])


def follow(
    connection: sqlite3.Connection, name: str, table: Table, before: Row | None, after: Row | None
) -> None:
    """Let counts and parts follow a row that was made, changed or removed."""
    if before == after or not names(table):
        return
    for changed, step in ((before, -1), (after, 1)):
        if changed is not None:
            values = dict(zip(_followed(table), changed[1:], strict=True))
            _count(connection, name, [count_key(values, each) for each in table.counted], step)
            if table.searched:
                _index(connection, f"{name}_parts", changed[0], values[table.searched], step)


def kept(connection: sqlite3.Connection, table: Table) -> Iterator[tuple[str, str, int]]:
    """Return every count beside a live table, and how often the search index has each part."""
    if table.counted:
        for counted, number in connection.execute(
            f"SELECT counted, number FROM {table.name}_counts WHERE number != 0"
        ):
            yield "counts", counted, number
    if table.searched:
        # In the connection's own, temporary part: nothing is added to the view.
        connection.execute(
            f"CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, {table.name}_parts, row)"
        )
        for part, _, number in connection.execute("SELECT term, doc, cnt FROM temp.vocabulary"):
            yield "parts", part, number
        connection.execute("DROP TABLE temp.vocabulary")


def _followed(table: Table) -> list[str]:
    """Return the columns that counts and parts follow from."""
    followed = {table.searched, *(column for each in table.counted for column in each)}
    return [column for column in table.columns if column in followed]


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
