"""The stored tree: tiles of 256 hashes, of which only the last one of a level changes.

A leaf tile has the hashes of 256 events and their positions. A node tile of level 1 has the
hashes over 256 leaf tiles, one of level 2 those over 256 tiles of level 1, and so on. Every
other node of the tree is inside a tile and computed when needed, so a leaf costs 32 bytes
and a proof reads a few tiles.

The tree grows from the log afterwards, so that appending an event costs nothing more. Before
events are archived, `first_disagreement` compares them with the stored hashes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from store.proof.leaf import row_hash
from store.proof.merkle import HASH_BYTES, ProofError, complete_levels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from domain.event_mapper import Row
    from store.proof.leaf import EventRows


TILE_LEVELS: Final = 8
TILE: Final = 1 << TILE_LEVELS
"""Hashes of a full tile."""


class PositionRun(NamedTuple):
    """Events whose positions follow each other without a gap."""

    first: int
    length: int


@dataclass(frozen=True, slots=True)
class LeafTile:
    """The hashes and positions of up to 256 events.

    `hashes` is None when they were dropped because the events are archived. Then they are
    computed from the events, and verified by the hash over the tile one level up.
    """

    number: int
    runs: tuple[PositionRun, ...]
    hashes: bytes | None

    @property
    def count(self) -> int:
        """How many events the tile covers."""
        return sum(run.length for run in self.runs)

    @property
    def first_position(self) -> int:
        """The position of its first event."""
        return self.runs[0].first

    @property
    def last_position(self) -> int:
        """The position of its last event."""
        return self.runs[-1].first + self.runs[-1].length - 1

    def positions(self) -> list[int]:
        """Return the position of each event."""
        return [run.first + step for run in self.runs for step in range(run.length)]

    def offset_of(self, position: int) -> int | None:
        """Return the index within the tile of the event at a position, None without one."""
        before = 0
        for run in self.runs:
            if run.first <= position < run.first + run.length:
                return before + position - run.first
            before += run.length
        return None

    def with_leaf(self, positions: Sequence[int], hashes: bytes) -> LeafTile:
        """Return the tile with more events appended."""
        runs = list(self.runs)
        for position in positions:
            if runs and runs[-1].first + runs[-1].length == position:
                runs[-1] = PositionRun(runs[-1].first, runs[-1].length + 1)
            else:
                runs.append(PositionRun(position, 1))
        return LeafTile(self.number, tuple(runs), (self.hashes or b"") + hashes)


class TileReader(ABC):
    """Reads the tiles of one log."""

    @abstractmethod
    def last_leaf_tile(self) -> LeafTile | None:
        """Return the newest leaf tile, None in an empty tree."""

    @abstractmethod
    def leaf_tiles(self, number: int, limit: int) -> Sequence[LeafTile]:
        """Return up to `limit` leaf tiles from a number on."""

    @abstractmethod
    def leaf_tile_at(self, position: int) -> LeafTile | None:
        """Return the last leaf tile that begins at or before a position."""

    @abstractmethod
    def node_tile(self, level: int, number: int) -> bytes:
        """Return the hashes of a node tile so far, level 1 or above."""


class TileWriter(TileReader):
    """Reads and writes tiles in one transaction."""

    @abstractmethod
    def put_leaf_tile(self, tile: LeafTile) -> None:
        """Store a leaf tile in the place of its earlier form."""

    @abstractmethod
    def put_node_tile(self, level: int, number: int, hashes: bytes) -> None:
        """Store a node tile in the place of its earlier form."""


class TileStore(ABC):
    """Keeps the tiles of one log, durably."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[TileReader]:
        """Give a reader, which sees each change as soon as it is committed."""

    @abstractmethod
    def growing(self) -> AbstractContextManager[TileWriter]:
        """Give a writer in a transaction that locks out other writers."""

    @abstractmethod
    def forget_leaves(self, through: int) -> int:
        """Drop the leaf hashes of full tiles up to a position; return of how many tiles.

        For archived events. The hashes over whole tiles stay for ever.
        """


def size_of(reader: TileReader) -> int:
    """Return how many leaves the tree has."""
    last = reader.last_leaf_tile()
    return last.number * TILE + last.count if last else 0


def first_tile_to_keep(reader: TileReader, through: int) -> int:
    """Return the first leaf tile that keeps its hashes when events up to a position leave."""
    last = reader.leaf_tile_at(through)
    if last is None:
        return 0
    is_done = last.count == TILE and last.last_position <= through
    return last.number + 1 if is_done else last.number


def split_hashes(hashes: bytes) -> list[bytes]:
    """Return the hashes of a tile one by one."""
    return [hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)]


def tile_hash(hashes: bytes) -> bytes:
    """Return the hash over a full tile."""
    return complete_levels(split_hashes(hashes))[TILE_LEVELS][0]


class TiledSubtrees:
    """Complete subtrees from tiles. Keeps every tile that it has read, for a few proofs."""

    def __init__(self, reader: TileReader, rows: EventRows) -> None:
        self._reader = reader
        self._rows = rows
        self._levels: dict[tuple[int, int], list[list[bytes]]] = {}

    def subtree(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree. Raises ProofError when it is not there."""
        tile_level, inner = divmod(level, TILE_LEVELS)
        number, offset = divmod(index << inner, TILE)
        levels = self._tile(tile_level, number)
        try:
            return levels[inner][offset >> inner]
        except IndexError:
            raise ProofError(f"the tree does not hold node {index} of level {level}") from None

    def _tile(self, level: int, number: int) -> list[list[bytes]]:
        key = level, number
        if key not in self._levels:
            hashes = self._reader.node_tile(level, number) if level else self._leaves(number)
            self._levels[key] = complete_levels(split_hashes(hashes))
        return self._levels[key]

    def _leaves(self, number: int) -> bytes:
        found = self._reader.leaf_tiles(number, 1)
        if not found or found[0].number != number:
            raise ProofError(f"the tree does not hold leaf {number * TILE}")
        tile = found[0]
        return leaf_hashes_from(self._rows, tile) if tile.hashes is None else tile.hashes


def leaf_hashes_from(rows: EventRows, tile: LeafTile) -> bytes:
    """Return the leaf hashes of a tile from the events themselves.

    Raises ProofError when the events are not all there.
    """
    found = rows.after(tile.first_position - 1, TILE, through=tile.last_position)
    if [row.position for row in found] != tile.positions():
        raise ProofError(
            f"the events from position {tile.first_position} to {tile.last_position} are "
            "archived, and the archive is not here"
        )
    return b"".join(map(row_hash, found))


def write_runs(runs: Sequence[PositionRun]) -> str:
    """Return the positions of a tile as stored: `first+length` of each run."""
    return " ".join(f"{run.first}+{run.length}" for run in runs)


def read_tile(number: int, text: str, hashes: bytes | None) -> LeafTile:
    """Return a tile from its columns. Raises ProofError when they are damaged."""
    try:
        parts = [run.partition("+") for run in text.split()]
        runs = tuple(PositionRun(int(first), int(length)) for first, _, length in parts)
    except (ValueError, AttributeError):
        runs = ()
    tile = LeafTile(number, runs, hashes)
    ends = [run.first + run.length for run in runs]
    ordered = all(run.first >= end for run, end in zip(runs[1:], ends, strict=False))
    sound = runs and ordered and min(run.length for run in runs) > 0 and tile.count <= TILE
    if not sound or (hashes is not None and len(hashes) != tile.count * HASH_BYTES):
        raise ProofError(f"the stored hashes of the tree are damaged at leaf {number * TILE}")
    return tile


BATCH: Final = 4096
"""Events in one transaction: many share one fsync, and a kill loses little work."""


def grow_once(rows: EventRows, store: TileStore) -> int:
    """Append the next batch of events; return how many. Without new events it locks nothing."""
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
    """Append events to the tree, all of which come after its last one."""
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


_TILES: Final = 16


def first_disagreement(rows: Sequence[Row], reader: TileReader) -> int | None:
    """Return the first position where rows differ from the tree; None when all fit.

    `rows` are all rows of the log from their first position to their last. A tile without
    hashes is skipped: it was compared before they were dropped.
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
