"""The tiles and the signed tree heads of the logs in PostgreSQL.

A head is stored in the same bytes that are a line of a file in a data folder.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import orjson
from typing_extensions import override

from store.proof.tiles import (
    LeafTile,
    TileReader,
    TileStore,
    TileWriter,
    first_tile_to_keep,
    read_tile,
    write_runs,
)
from store.proof.tree_heads import HeadStore, TreeHead, parse_head

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from store.postgres.connections import Connection, Connections


_LEAF_TILES: Final = "SELECT number, runs, hashes FROM postwatch.leaf_tiles WHERE log = %s "
_LAST: Final = _LEAF_TILES + "ORDER BY number DESC LIMIT 1"
_FROM: Final = _LEAF_TILES + "AND number >= %s ORDER BY number LIMIT %s"
_AT: Final = _LEAF_TILES + "AND first_position <= %s ORDER BY first_position DESC LIMIT 1"
_NODE_TILE: Final = """
SELECT hashes FROM postwatch.node_tiles WHERE log = %s AND level = %s AND number = %s
"""
_PUT_LEAF: Final = """
INSERT INTO postwatch.leaf_tiles VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (log, number) DO UPDATE SET
    first_position = excluded.first_position, runs = excluded.runs, hashes = excluded.hashes
"""
_PUT_NODE: Final = """
INSERT INTO postwatch.node_tiles VALUES (%s, %s, %s, %s)
ON CONFLICT (log, level, number) DO UPDATE SET hashes = excluded.hashes
"""
_FORGET: Final = """
UPDATE postwatch.leaf_tiles SET hashes = NULL
WHERE log = %s AND number < %s AND hashes IS NOT NULL
"""
_LOCK_TREE: Final = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
GROWING: Final = 0x70770002
"""The first half of the key of the lock under which the tree of a log grows."""


class PostgresTileReader(TileReader):
    """Reads the tiles of a log by an open connection."""

    def __init__(self, connection: Connection, log: str) -> None:
        self._connection = connection
        self._log = log

    @override
    def last_leaf_tile(self) -> LeafTile | None:
        return next(iter(self._leaf_tiles(_LAST)), None)

    @override
    def leaf_tiles(self, number: int, limit: int) -> Sequence[LeafTile]:
        return self._leaf_tiles(_FROM, number, limit)

    @override
    def leaf_tile_at(self, position: int) -> LeafTile | None:
        return next(iter(self._leaf_tiles(_AT, position)), None)

    @override
    def node_tile(self, level: int, number: int) -> bytes:
        found = self._connection.execute(_NODE_TILE, (self._log, level, number), binary=True)
        row = found.fetchone()
        return row[0] if row else b""

    def _leaf_tiles(self, statement: str, *values: int) -> list[LeafTile]:
        rows = self._connection.execute(statement, (self._log, *values), binary=True).fetchall()
        return [read_tile(*row) for row in rows]


class PostgresTileWriter(PostgresTileReader, TileWriter):
    """Writes the tiles of a log in the transaction of its connection."""

    @override
    def put_leaf_tile(self, tile: LeafTile) -> None:
        values = (tile.number, tile.first_position, write_runs(tile.runs), tile.hashes)
        self._connection.execute(_PUT_LEAF, (self._log, *values))

    @override
    def put_node_tile(self, level: int, number: int, hashes: bytes) -> None:
        self._connection.execute(_PUT_NODE, (self._log, level, number, hashes))


class PostgresTiles(TileStore):
    """Keeps the tiles of one log."""

    def __init__(self, connections: Connections, log: str) -> None:
        self._connections = connections
        self._log = log

    @override
    @contextmanager
    def reading(self) -> Iterator[TileReader]:
        with self._connections.get() as connection:
            yield PostgresTileReader(connection, self._log)

    @override
    @contextmanager
    def growing(self) -> Iterator[TileWriter]:
        with self._connections.transaction() as connection:
            connection.execute(_LOCK_TREE, (GROWING, self._log))
            yield PostgresTileWriter(connection, self._log)

    @override
    def forget_leaves(self, through: int) -> int:
        with self.reading() as reader:
            end = first_tile_to_keep(reader, through)
        with self._connections.get() as connection:
            return connection.execute(_FORGET, (self._log, end)).rowcount


_LINES: Final = """
SELECT number, line FROM postwatch.heads WHERE log = %s AND number > %s ORDER BY number LIMIT %s
"""
PAGE: Final = 1000
"""How many heads are read at a time: there may be heads of many years."""

_NEWEST: Final = "SELECT line FROM postwatch.heads WHERE log = %s ORDER BY number DESC LIMIT %s"
_LOCK: Final = "LOCK TABLE postwatch.heads IN EXCLUSIVE MODE"
_APPEND: Final = """
INSERT INTO postwatch.heads
SELECT %(log)s, coalesce(max(number), 0) + 1, %(line)s FROM postwatch.heads WHERE log = %(log)s
"""


class PostgresHeads(HeadStore):
    """The heads of one log."""

    def __init__(self, connections: Connections, log: str) -> None:
        self.place = f"postwatch.heads of {log}"
        self._connections = connections
        self._log = log

    @override
    def lines(self) -> Iterator[tuple[int, bytes]]:
        last = 0
        while True:
            with self._connections.get() as connection:
                rows = connection.execute(_LINES, (self._log, last, PAGE)).fetchall()
            # Outside the block: a slow reader keeps no connection.
            yield from rows
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    @override
    def newest(self, count: int) -> list[TreeHead]:
        with self._connections.get() as connection:
            rows = connection.execute(_NEWEST, (self._log, count)).fetchall()
        return [parse_head(line) for (line,) in rows]

    @override
    def append(self, head: TreeHead) -> bool:
        with self._connections.transaction() as connection:
            connection.execute(_LOCK)
            last = connection.execute(_NEWEST, (self._log, 1)).fetchone()
            if last is not None and parse_head(last[0]).size >= head.size:
                return False
            line = orjson.dumps(head.as_json()) + b"\n"
            connection.execute(_APPEND, {"log": self._log, "line": line})
            return True
