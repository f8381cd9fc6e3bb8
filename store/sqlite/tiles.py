"""The tiles of a log's Merkle tree in an SQLite file of their own.

The file has no write-ahead log: each use opens and closes a connection, and closing the last
one would checkpoint that log each time. It is as durable as the logs: the hashes of archived
checks cannot be computed from the log again, and their archive is verified by them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from store.files.data_folder import make_folder
from store.proof.tiles import (
    LeafTile,
    TileReader,
    TileStore,
    TileWriter,
    first_tile_to_keep,
    read_tile,
    write_runs,
)
from store.sqlite.log import LOCK_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS leaf_tiles (
    number INTEGER PRIMARY KEY,
    first_position INTEGER NOT NULL,
    runs TEXT NOT NULL,
    hashes BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS leaf_tiles_by_position ON leaf_tiles (first_position);
CREATE TABLE IF NOT EXISTS node_tiles (
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, number)
);
"""
_LEAF_TILES: Final = "SELECT number, runs, CAST(hashes AS BLOB) FROM leaf_tiles "


class SqliteTileReader(TileReader):
    """Reads the tiles of a log by an open connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @override
    def last_leaf_tile(self) -> LeafTile | None:
        return next(iter(self._leaf_tiles("ORDER BY number DESC LIMIT 1")), None)

    @override
    def leaf_tiles(self, number: int, limit: int) -> Sequence[LeafTile]:
        return self._leaf_tiles("WHERE number >= ? ORDER BY number LIMIT ?", number, limit)

    @override
    def leaf_tile_at(self, position: int) -> LeafTile | None:
        condition = "WHERE first_position <= ? ORDER BY first_position DESC LIMIT 1"
        return next(iter(self._leaf_tiles(condition, position)), None)

    @override
    def node_tile(self, level: int, number: int) -> bytes:
        statement = "SELECT CAST(hashes AS BLOB) FROM node_tiles WHERE level = ? AND number = ?"
        row = self._connection.execute(statement, (level, number)).fetchone()
        return row[0] if row else b""

    def _leaf_tiles(self, condition: str, *values: int) -> list[LeafTile]:
        return [
            read_tile(number, runs, hashes)
            for number, runs, hashes in self._connection.execute(_LEAF_TILES + condition, values)
        ]


class SqliteTileWriter(SqliteTileReader, TileWriter):
    """Writes the tiles of a log in the transaction of its connection."""

    @override
    def put_leaf_tile(self, tile: LeafTile) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO leaf_tiles VALUES (?, ?, ?, ?)",
            (tile.number, tile.first_position, write_runs(tile.runs), tile.hashes),
        )

    @override
    def put_node_tile(self, level: int, number: int, hashes: bytes) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO node_tiles VALUES (?, ?, ?)", (level, number, hashes)
        )


class SqliteTiles(TileStore):
    """Keeps tiles. A connection is opened for each use, so threads and forks are safe."""

    def __init__(self, path: Path) -> None:
        """Make the file and its folder if they are missing."""
        self._path = path
        make_folder(path.parent)
        with closing(self._connect()) as connection:
            connection.executescript(_SCHEMA)

    @override
    @contextmanager
    def reading(self) -> Iterator[TileReader]:
        with closing(self._connect()) as connection:
            yield SqliteTileReader(connection)

    @override
    @contextmanager
    def growing(self) -> Iterator[TileWriter]:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield SqliteTileWriter(connection)
            # After an error this is not reached, and closing the connection rolls back.
            connection.execute("COMMIT")

    @override
    def forget_leaves(self, through: int) -> int:
        with self.reading() as reader:
            end = first_tile_to_keep(reader, through)
        statement = "UPDATE leaf_tiles SET hashes = NULL WHERE number < ? AND hashes IS NOT NULL"
        with closing(self._connect()) as connection:
            return connection.execute(statement, (end,)).rowcount

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS)
        # EXTRA: without a write-ahead log a commit is the removal of a journal file.
        connection.execute("PRAGMA synchronous=EXTRA")
        return connection
