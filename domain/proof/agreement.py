"""Whether events are still those whose hashes the tree stored, before anyone relies on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.proof.leaf import row_hash
from domain.proof.tiles import split_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.proof.leaf import Row
    from domain.proof.tiles import LeafTile, TileReader

_TILES: Final = 16


def first_disagreement(rows: Sequence[Row], reader: TileReader) -> int | None:
    """Return the first position where rows are not what the tree has; None when all are.

    `rows` are all rows of the log from their first position to their last. A tile whose
    hashes were forgotten has been compared before that.
    """
    here = {row.position: row for row in rows}
    first, last = rows[0].position, rows[-1].position
    wrong: list[int] = []
    known: set[int] = set()
    for tile in _tiles(reader, first, last):
        positions = tile.positions()
        known.update(positions)
        if tile.hashes is None:
            continue
        for position, stored in zip(positions, split_hashes(tile.hashes), strict=True):
            if first <= position <= last:
                row = here.get(position)
                if row is None or row_hash(row) != stored:
                    wrong.append(position)
    wrong += here.keys() - known
    return min(wrong, default=None)


def _tiles(reader: TileReader, first: int, last: int) -> Iterator[LeafTile]:
    """Yield the tiles that have events of these positions."""
    begin = reader.leaf_tile_at(first)
    number = begin.number if begin else 0
    while tiles := reader.leaf_tiles(number, _TILES):
        for tile in tiles:
            if tile.first_position > last:
                return
            yield tile
        number = tiles[-1].number + 1
