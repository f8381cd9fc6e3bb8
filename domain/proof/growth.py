"""Growing the tree: new events become leaves, full tiles become leaves of the next level.

Reads the log after the fact, so that appending an event costs nothing more than before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.proof.leaf import row_hash
from domain.proof.merkle import HASH_BYTES
from domain.proof.tiles import TILE, LeafTile, tile_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.proof.leaf import EventRows, Row
    from domain.proof.tiles import TileStore, TileWriter

BATCH: Final = 4096
"""Events a transaction: many share one fsync, and a kill loses little work."""


def grow_once(rows: EventRows, store: TileStore) -> int:
    """Make the next batch of events leaves; return how many. Locks nothing without news."""
    if not rows.after(covered(store), 1):
        return 0
    with store.growing() as writer:
        last = writer.last_leaf_tile()
        batch = rows.after(last.last_position if last else 0, BATCH)
        append(writer, batch)
    return len(batch)


def covered(store: TileStore) -> int:
    """Return the position up to which the tree covers its log, 0 for an empty tree."""
    with store.reading() as reader:
        last = reader.last_leaf_tile()
    return last.last_position if last else 0


def append(writer: TileWriter, batch: Sequence[Row]) -> None:
    """Append events to the tree, which all stand behind its last one."""
    tile = writer.last_leaf_tile() or LeafTile(0, (), b"")
    taken = 0
    while taken < len(batch):
        if tile.count == TILE:
            tile = LeafTile(tile.number + 1, (), b"")
        part = batch[taken : taken + TILE - tile.count]
        taken += len(part)
        tile = tile.with_leaf([row.position for row in part], b"".join(map(row_hash, part)))
        writer.put_leaf_tile(tile)
        if tile.count == TILE:
            assert tile.hashes is not None  # noqa: S101 - it was made two lines above
            _push(writer, 1, tile.number, tile_hash(tile.hashes))


def _push(writer: TileWriter, level: int, index: int, value: bytes) -> None:
    """Append the hash over a full tile to the tile above, and so on upwards."""
    number, offset = divmod(index, TILE)
    hashes = writer.node_tile(level, number)[: offset * HASH_BYTES] + value
    writer.put_node_tile(level, number, hashes)
    if offset == TILE - 1:
        _push(writer, level + 1, number, tile_hash(hashes))
