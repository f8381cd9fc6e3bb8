"""Changes of a store outside Postwatch: tampering, damage and loss, on each engine.

Statements name `{events}` and its column `{position}`, or `{leaf_tiles}` and
`{node_tiles}`; values are `?`.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from store.postgres.engine import PostgresEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from store.store import Store


class Intruder(ABC):
    """Reads and changes what one store keeps, without any of its code."""

    @abstractmethod
    def sql(self, log: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute a statement on the events of a log; return rows when it has any."""

    @abstractmethod
    def rows(self, log: str) -> list[tuple[Any, ...]]:
        """Return position, stream as 32 digits, version, topic and state of every event."""

    @abstractmethod
    def writing(self, log: str) -> AbstractContextManager[object]:
        """Be the one who writes to a log while the block runs."""

    @abstractmethod
    def skip_to(self, log: str, position: int) -> None:
        """Make the log believe that this was the last position it gave."""

    @abstractmethod
    def tree_sql(self, log: str, statement: str, *values: object) -> None:
        """Execute a statement on the stored hashes of a log."""

    @abstractmethod
    def lose_tree(self, log: str) -> None:
        """Lose the stored hashes of a log."""

    @abstractmethod
    def heads(self, log: str) -> list[bytes]:
        """Return the lines of the signed heads of a log."""

    @abstractmethod
    def put_heads(self, log: str, lines: Sequence[bytes]) -> None:
        """Put other lines in the place of the signed heads of a log."""

    @abstractmethod
    def segment(self, first: int, last: int) -> bytes:
        """Return the bytes of an archived segment."""

    @abstractmethod
    def put_segment(self, first: int, last: int, data: bytes | None) -> None:
        """Put other bytes in the place of a segment's; None loses it."""


def intruder_of(store: Store) -> Intruder:
    """Return who gets at what a store keeps."""
    if isinstance(store.engine, PostgresEngine):
        return _DatabaseIntruder(store.engine.database.url)
    return _FileIntruder(store)


class _FileIntruder(Intruder):
    """Opens the files."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def sql(self, log: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute a statement on the file of a log."""
        statement = statement.format(events="stored_events", position="rowid")
        return _execute(self._store.folder.log(log), statement, values)

    def rows(self, log: str) -> list[tuple[Any, ...]]:
        """Return every row of the file."""
        return self.sql(log, "SELECT * FROM {events} ORDER BY {position}")

    @contextmanager
    def writing(self, log: str) -> Iterator[None]:
        """Hold the file's lock."""
        path = self._store.folder.log(log)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def skip_to(self, log: str, position: int) -> None:
        """Change what the file remembers of its positions."""
        _execute(self._store.folder.log(log), "UPDATE sqlite_sequence SET seq = ?", (position,))

    def tree_sql(self, log: str, statement: str, *values: object) -> None:
        """Execute a statement on the file of the tiles."""
        statement = statement.format(leaf_tiles="leaf_tiles", node_tiles="node_tiles")
        _execute(self._proof(log, "db"), statement, values)

    def lose_tree(self, log: str) -> None:
        """Remove the file of the tiles."""
        self._proof(log, "db").unlink()

    def heads(self, log: str) -> list[bytes]:
        """Return the lines of the file of the heads."""
        return self._proof(log, "heads").read_bytes().splitlines(keepends=True)

    def put_heads(self, log: str, lines: Sequence[bytes]) -> None:
        """Write the file of the heads."""
        self._proof(log, "heads").write_bytes(b"".join(lines))

    def segment(self, first: int, last: int) -> bytes:
        """Return the bytes of the file."""
        return self._segment(first, last).read_bytes()

    def put_segment(self, first: int, last: int, data: bytes | None) -> None:
        """Write the file, or remove it."""
        path = self._segment(first, last)
        if data is None:
            path.unlink()
            return
        path.chmod(0o600)
        path.write_bytes(data)

    def _proof(self, log: str, kind: str) -> Path:
        return self._store.folder.proof / f"{log}.{kind}"

    def _segment(self, first: int, last: int) -> Path:
        return Path(self._store.archive.files.place(first, last))


class _DatabaseIntruder(Intruder):
    """Connects to the database."""

    def __init__(self, url: str) -> None:
        self._url = url

    def sql(self, log: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute a statement on the table of a log."""
        return self._execute(
            statement.format(events=f"postwatch_{log}.{log}_events", position="notification_id"),
            values,
        )

    def rows(self, log: str) -> list[tuple[Any, ...]]:
        """Return every row of the table."""
        return self.sql(
            log,
            "SELECT {position}, replace(originator_id::text, '-', ''), originator_version,"
            " topic, state FROM {events} ORDER BY {position}",
        )

    @contextmanager
    def writing(self, log: str) -> Iterator[None]:
        """Hold the lock on the table."""
        with psycopg.connect(self._url) as connection:
            table = sql.Identifier(f"postwatch_{log}", f"{log}_events")
            connection.execute(sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(table))
            yield
            connection.rollback()

    def skip_to(self, log: str, position: int) -> None:
        """Set the sequence of the positions."""
        name = f"postwatch_{log}.{log}_events_position"
        self._execute("SELECT setval(?::regclass, ?)", (name, position))

    def tree_sql(self, log: str, statement: str, *values: object) -> None:
        """Execute a statement on the tables of the tiles, where the other log has none."""
        del log
        tables = {each: f"postwatch.{each}" for each in ("leaf_tiles", "node_tiles")}
        self._execute(statement.format(**tables), values)

    def lose_tree(self, log: str) -> None:
        """Delete the tiles of a log."""
        for table in ("leaf_tiles", "node_tiles"):
            self._execute(f"DELETE FROM postwatch.{table} WHERE log = ?", (log,))  # noqa: S608 - constants

    def heads(self, log: str) -> list[bytes]:
        """Return the lines of a log's heads."""
        found = self._execute(
            "SELECT line FROM postwatch.heads WHERE log = ? ORDER BY number", (log,)
        )
        return [line for (line,) in found]

    def put_heads(self, log: str, lines: Sequence[bytes]) -> None:
        """Delete the lines and insert others."""
        self._execute("DELETE FROM postwatch.heads WHERE log = ?", (log,))
        for number, line in enumerate(lines, start=1):
            self._execute("INSERT INTO postwatch.heads VALUES (?, ?, ?)", (log, number, line))

    def segment(self, first: int, last: int) -> bytes:
        """Return the bytes of the row."""
        [(data,)] = self._execute(
            "SELECT contents FROM postwatch.segments"
            " WHERE first_position = ? AND last_position = ?",
            (first, last),
        )
        return bytes(data)

    def put_segment(self, first: int, last: int, data: bytes | None) -> None:
        """Update the row, or delete it."""
        if data is None:
            self._execute("DELETE FROM postwatch.segments WHERE first_position = ?", (first,))
        else:
            self._execute(
                "UPDATE postwatch.segments SET contents = ?"
                " WHERE first_position = ? AND last_position = ?",
                (data, first, last),
            )

    def _execute(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            written = statement.replace("%", "%%").replace("?", "%s")
            cursor = connection.execute(written.encode(), values)
            return cursor.fetchall() if cursor.description else []


def _execute(path: Path, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).fetchall()
