"""Copies of SQLite files that are in use, as they were at one moment.

A read transaction is opened first. SQLite's backup API then copies what that transaction
sees, whatever other connections write meanwhile.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final, Self

from domain.errors import TransferError
from store.sqlite.log import LOCK_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType


_PAGES: Final = 2048
"""Pages (of 4 KiB) copied between two reports."""


class FileSnapshot:
    """The content of a file at one moment. While it is open, the write-ahead log only grows."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS)
        try:
            self._connection.execute("BEGIN")
            self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except BaseException:
            self._connection.close()
            raise

    def copy(self, to: Path, report: Callable[[int, int], None] = lambda *_: None) -> None:
        """Copy to a new file. `report` gets the number of pages copied, and of all pages."""

        def progress(_status: int, remaining: int, total: int) -> None:
            report(total - remaining, total)

        with closing(sqlite3.connect(to, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous=OFF")
            self._connection.backup(target, pages=_PAGES, progress=progress)
            # In write-ahead mode reading the copy would make more files beside it.
            target.execute("PRAGMA journal_mode=DELETE")

    def close(self) -> None:
        """End the read transaction."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def check_file(path: Path) -> None:
    """Raise TransferError unless a file is a whole SQLite database (PRAGMA quick_check)."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError:
        found = "not a database"
    if found != "ok":
        raise TransferError(f"{path} is damaged: it is no whole database")
