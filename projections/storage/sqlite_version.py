"""Whether the SQLite that Python came with can hold the views."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from domain.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

OLDEST: Final = (3, 37, 0)
"""The first with `pragma_table_list`; the trigram index came with 3.34 (sqlite.org/changes)."""

_NEEDS: Final = "CREATE VIRTUAL TABLE parts USING fts5(part, content = '', tokenize = 'trigram')"


def require_usable_sqlite(
    version: tuple[int, int, int] = sqlite3.sqlite_version_info,
    connect: Callable[[str], sqlite3.Connection] = sqlite3.connect,
) -> None:
    """Raise StoreError when SQLite is too old or was built without full-text search."""
    needed, found = (".".join(map(str, each)) for each in (OLDEST, version))
    if version < OLDEST:
        raise StoreError(
            f"SQLite {needed} or newer is needed, Python uses {found}; "
            "install a Python that comes with a newer one"
        )
    with closing(connect(":memory:")) as connection:
        try:
            connection.execute(_NEEDS)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"SQLite with full-text search (FTS5) is needed, Python's {found} says "
                f"{str(error)!r}; install a Python whose SQLite has it"
            ) from None
