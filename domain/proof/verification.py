"""Verifying a log: its events against the stored hashes, these against the signed heads.

One pass over the log in the order of positions, tile by tile. Nothing is written, and
the log may grow meanwhile: what comes behind the tree is not looked at.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from domain.proof.accumulator import Accumulator
from domain.proof.differences import Difference, Differences
from domain.proof.findings import Finding, Kind, Report
from domain.proof.leaf import row_hash
from domain.proof.merkle import HASH_BYTES
from domain.proof.tiles import TILE, split_hashes, tile_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from domain.proof.heads import TreeHead
    from domain.proof.leaf import EventRows, Row
    from domain.proof.tiles import LeafTile, TileReader

_ROWS: Final = 4096
_TILES: Final = 16
_BEFORE_ALL: Final = -(1 << 63)
"""Below every position: who slips an event in may give it any."""


class Verification:
    """One look at a whole log. `elsewhere`: positions whose events need not be here."""

    def __init__(
        self,
        log: str,
        rows: EventRows,
        tiles: TileReader,
        heads: Sequence[TreeHead],
        elsewhere: Sequence[range] = (),
    ) -> None:
        """Take the heads whose signatures are right; `log` names what is looked at."""
        self.report = Report(log)
        self._rows = _Feed(rows)
        self._tiles = tiles
        self._heads = deque(sorted(heads, key=lambda head: head.size))
        self._elsewhere = elsewhere
        self._differences = Differences()
        self._stored, self._logged = Accumulator(), Accumulator()
        self._log_is_right_through = 0
        self._fits = [0]
        self._is_broken = False
        self._tail = b""

    def run(self, progress: Callable[[int, int], None] = lambda *_: None) -> Report:
        """Look at everything and return what was found. `progress` takes positions."""
        last = self._tiles.last_leaf_tile()
        total = last.last_position if last else 0
        for expected, tile in enumerate(self._all_tiles()):
            if tile.number != expected:
                message = f"the stored hashes from leaf {expected * TILE} on are gone"
                self.report.add(Finding(Kind.TREE, message))
                return self.report
            self._look_at(tile)
            progress(tile.last_position, max(total, tile.last_position))
        self._differences.report(self.report, self._log_is_right_through)
        for head in self._heads:
            message = (
                f"the events from position {self.report.position + 1} to {head.position} were "
                f"removed: the head signed at {head.time} has {head.size} events, the log has "
                f"{self.report.events}"
            )
            where = (self.report.position + 1, head.position)
            self.report.add(Finding(Kind.REMOVED, message, *where))
        self.report.root_hash = self._stored.root(self._tail).hex()
        return self.report

    def _all_tiles(self) -> Iterator[LeafTile]:
        number = 0
        while tiles := self._tiles.leaf_tiles(number, _TILES):
            yield from tiles
            number = tiles[-1].number + 1

    def _look_at(self, tile: LeafTile) -> None:
        rows = self._rows.through(tile.last_position)
        stored, logged = self._compare(tile, rows)
        self._look_at_heads(tile, stored, logged)
        self.report.events += tile.count
        self.report.position = tile.last_position
        if tile.count == TILE:
            value = self._tile_hash(tile, stored)
            self._stored.add_tile(value)
            self._logged.add_tile(value if logged == stored else self._tile_hash(tile, logged))
            self._look_at_nodes(tile)
        else:
            self._tail = stored

    def _compare(self, tile: LeafTile, rows: Sequence[Row]) -> tuple[bytes, bytes]:
        """Return the tile's hashes as stored and as the log has them, noting differences.

        Empty bytes: the hashes were forgotten and the events are in an archive elsewhere.
        """
        positions = tile.positions()
        if tile.hashes is None:
            return self._compare_forgotten(tile, rows)
        hashes = b"".join(map(row_hash, rows))
        if hashes == tile.hashes and [row.position for row in rows] == positions:
            return hashes, hashes
        return tile.hashes, self._differ(positions, split_hashes(tile.hashes), rows)

    def _differ(
        self, positions: Sequence[int], stored: Sequence[bytes], rows: Sequence[Row]
    ) -> bytes:
        """Note every difference; return the hashes with those of the log where it has any."""
        tree = dict(zip(positions, stored, strict=True))
        log = {row.position: row for row in rows}
        logged = {position: row_hash(row) for position, row in log.items()}
        for position in sorted(tree.keys() | log.keys()):
            known, row = tree.get(position), log.get(position)
            if row is None and self._is_elsewhere(position):
                self.report.archived += 1
            elif known is None or logged.get(position) != known:
                self._differences.add(Difference(position, known, row))
        return b"".join(logged.get(position, known) for position, known in tree.items())

    def _compare_forgotten(self, tile: LeafTile, rows: Sequence[Row]) -> tuple[bytes, bytes]:
        hashes = b"".join(map(row_hash, rows))
        first, last = tile.first_position, tile.last_position
        if [row.position for row in rows] != tile.positions():
            missing = set(tile.positions()) ^ {row.position for row in rows}
            if all(map(self._is_elsewhere, missing)):
                self.report.archived += len(missing)
                return b"", b""
            message = f"events of the positions {first} to {last} were removed or inserted"
            self.report.add(Finding(Kind.REMOVED, message, first, last))
            return b"", b""
        if tile_hash(hashes) != self._node(1, tile.number):
            message = f"an event of the positions {first} to {last} was altered"
            self.report.add(Finding(Kind.ALTERED, message, first, last))
            return b"", b""
        return hashes, hashes

    def _is_elsewhere(self, position: int) -> bool:
        return any(position in each for each in self._elsewhere)

    def _look_at_heads(self, tile: LeafTile, stored: bytes, logged: bytes) -> None:
        before = tile.number * TILE
        while self._heads and self._heads[0].size <= before + tile.count:
            head = self._heads.popleft()
            inside = (head.size - before) * HASH_BYTES
            if inside == TILE * HASH_BYTES:
                stored = stored or self._node(1, tile.number)
                logged = logged or self._node(1, tile.number)
            elif not stored:
                continue  # Later heads cover the same events.
            self.report.heads += 1
            self._judge(
                head,
                self._stored.root(stored[:inside]) == head.root,
                self._logged.root(logged[:inside]) == head.root,
            )

    def _judge(self, head: TreeHead, fits_stored: bool, fits_logged: bool) -> None:  # noqa: FBT001
        if fits_stored or fits_logged:
            self._fits.append(head.position)
        if fits_logged and not fits_stored:
            self._log_is_right_through = head.position
        elif not fits_stored and not self._is_broken:
            # Every later head is broken by the same change.
            self._is_broken = True
            first = max(each for each in self._fits if each < head.position) + 1
            message = (
                f"an event of the positions {first} to {head.position} was changed together "
                f"with its stored hash: the head signed at {head.time} does not fit"
            )
            self.report.add(Finding(Kind.ALTERED, message, first, head.position))

    def _look_at_nodes(self, tile: LeafTile) -> None:
        """Compare the stored hashes above a tile that was just filled, up to the top."""
        level, index, value = 1, tile.number, self._stored.last_tile
        while True:
            if self._node(level, index) != value:
                message = (
                    f"a stored hash over the positions up to {tile.last_position} was changed "
                    f"(level {level}, number {index})"
                )
                self.report.add(
                    Finding(Kind.TREE, message, tile.first_position, tile.last_position)
                )
                return
            if index % TILE != TILE - 1:
                return
            value = tile_hash(self._tiles.node_tile(level, index // TILE))
            level, index = level + 1, index // TILE

    def _tile_hash(self, tile: LeafTile, hashes: bytes) -> bytes:
        return tile_hash(hashes) if hashes else self._node(1, tile.number)

    def _node(self, level: int, index: int) -> bytes:
        number, offset = divmod(index, TILE)
        hashes = self._tiles.node_tile(level, number)
        return hashes[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]


class _Feed:
    """Rows of a log in order, read many at a time and given out up to a position."""

    def __init__(self, rows: EventRows) -> None:
        self._rows = rows
        self._read: deque[Row] = deque()
        self._position = _BEFORE_ALL

    def through(self, position: int) -> list[Row]:
        """Return the rows behind those given out before, up to a position."""
        found: list[Row] = []
        while True:
            while self._read and self._read[0].position <= position:
                found.append(self._read.popleft())
            if self._read or self._position >= position:
                return found
            batch = self._rows.after(self._position, _ROWS)
            self._read.extend(batch)
            # Nothing more: what comes while this runs is behind the tree.
            self._position = batch[-1].position if batch else position
