"""Changing the stored rows of a view from outside, on any engine."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg

from projections.storage.postgres_tables import SCHEMA
from store.postgres.engine import PostgresEngine

if TYPE_CHECKING:
    from store.store import Store


def spoil(store: Store, statement: str, *values: str | bytes, view: str = "monitors") -> None:
    """Change the rows of a view that its readers see. Values stand as `?` in the statement."""
    assert execute(store, statement, *values, view=view) != 0


def spoil_side(store: Store, change: str, *values: str, side: str, view: str) -> None:
    """Change the stored state of a side of a view."""
    statement = f"UPDATE sides SET {change} WHERE side = ?"  # noqa: S608 - of tests
    if isinstance(store.engine, PostgresEngine):
        spoil(store, f"{statement} AND view = ?", *values, side, view)
    else:
        spoil(store, statement, *values, side, view=view)


def execute(store: Store, statement: str, *values: str | bytes, view: str = "monitors") -> int:
    """Execute a statement on a view; return how many rows it changed or found."""
    if not isinstance(store.engine, PostgresEngine):
        with closing(sqlite3.connect(store.folder.views / f"{view}.db")) as file, file:
            return file.execute(statement, values).rowcount
    with psycopg.connect(store.engine.database.url) as connection:
        connection.execute(f"SET search_path = {SCHEMA}")
        return connection.execute(statement.replace("?", "%s").encode(), values).rowcount


def record_of(store: Store, table: str, key: str, *, view: str = "monitors") -> bytes:
    """Return the stored bytes of a record."""
    statement = f"SELECT record FROM {table} WHERE key = ?"  # noqa: S608 - of tests
    row: Any
    if not isinstance(store.engine, PostgresEngine):
        with closing(sqlite3.connect(store.folder.views / f"{view}.db")) as file:
            row = file.execute(statement, (key,)).fetchone()
    else:
        with psycopg.connect(store.engine.database.url) as connection:
            connection.execute(f"SET search_path = {SCHEMA}")
            row = connection.execute(statement.replace("?", "%s").encode(), (key,)).fetchone()
    record: bytes = row[0]
    return record
