"""Connections to the files of views, which name the file that is damaged.

A view holds nothing that its log does not have, so a damaged file is no loss, but the people
who operate the service must learn which file it is. SQLite's own error does not say.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Self

from typing_extensions import override

from projections.core.table import ViewUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY: Final = 0xFF
"""The bits of an error code that an extended one shares (sqlite.org/rescode.html)."""

_OK: Final = "ok"


class ViewDamagedError(ViewUnavailableError):
    """The file of a view is damaged; the text names it. The log has all that it showed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"the view file {path} is damaged; the log has all that it shows: stop Postwatch, "
            "delete the file with its -wal and -shm, and start again, which rebuilds it"
        )


class ViewConnection(sqlite3.Connection):
    """A connection that raises ViewDamagedError for a damaged file.

    `files` are those that its statements read.
    """

    files: Sequence[Path] = ()

    @override
    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        return self.cursor(_ViewCursor).execute(*arguments)

    @override
    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        return self.cursor(_ViewCursor).executemany(*arguments)


class _ViewCursor(sqlite3.Cursor):
    """Reads may find damage with any row."""

    connection: ViewConnection

    @override
    def execute(self, *arguments: Any) -> Self:
        try:
            return super().execute(*arguments)
        except sqlite3.DatabaseError as error:
            raise_if_damaged(error, self.connection.files)
            raise

    @override
    def executemany(self, *arguments: Any) -> Self:
        try:
            return super().executemany(*arguments)
        except sqlite3.DatabaseError as error:
            raise_if_damaged(error, self.connection.files)
            raise

    @override
    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except sqlite3.DatabaseError as error:
            raise_if_damaged(error, self.connection.files)
            raise

    @override
    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        except sqlite3.DatabaseError as error:
            raise_if_damaged(error, self.connection.files)
            raise

    @override
    def __next__(self) -> Any:
        try:
            return super().__next__()
        except sqlite3.DatabaseError as error:
            raise_if_damaged(error, self.connection.files)
            raise


def connect_to_view(path: Path, *, timeout_seconds: float, **attached: Path) -> ViewConnection:
    """Return a connection to a file, with other files attached under schema names.

    Raises ViewDamagedError for a file that is no database.
    """
    connection: ViewConnection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        timeout=timeout_seconds,
        factory=ViewConnection,
    )
    connection.files = (path, *attached.values())
    try:
        for schema, other in attached.items():
            connection.execute(f"ATTACH DATABASE ? AS {schema}", (str(other),))
    except BaseException:
        connection.close()
        raise
    return connection


def raise_if_damaged(error: sqlite3.Error, files: Iterable[Path]) -> None:
    """Raise ViewDamagedError if an error says that one of the files is damaged."""
    if getattr(error, "sqlite_errorcode", 0) & _PRIMARY not in _DAMAGED:
        return
    suspects = list(files)
    found = next((each for each in suspects if _is_damaged(each)), suspects[0])
    raise ViewDamagedError(found) from None


def _is_damaged(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != _OK)
    except sqlite3.DatabaseError as error:
        return (error.sqlite_errorcode & _PRIMARY) in _DAMAGED
