"""An SQLite that cannot hold the views is refused in words, before a view is made."""

from __future__ import annotations

import sqlite3

import pytest

from domain.errors import StoreError
from projections.storage.sqlite_view import require_usable_sqlite


def without_full_text_search(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name)

    def judge(action: int, *_: object) -> int:
        makes_virtual_table = action == sqlite3.SQLITE_CREATE_VTABLE
        return sqlite3.SQLITE_DENY if makes_virtual_table else sqlite3.SQLITE_OK

    connection.set_authorizer(judge)
    return connection


def no_such_module(_name: str) -> sqlite3.Connection:
    raise AssertionError("the version comes first")


def test_the_sqlite_of_this_python_is_usable() -> None:
    require_usable_sqlite()


def test_an_old_sqlite_is_refused() -> None:
    with pytest.raises(StoreError, match=r"SQLite 3\.37\.0 or newer .* uses 3\.34\.1; install"):
        require_usable_sqlite((3, 34, 1), no_such_module)


def test_an_sqlite_without_full_text_search_is_refused() -> None:
    with pytest.raises(StoreError, match=r"FTS5\) is needed, .* says 'not authorized'; install"):
        require_usable_sqlite(connect=without_full_text_search)
