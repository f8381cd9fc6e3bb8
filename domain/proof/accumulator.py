"""The root of a growing tree of tiles, from the hashes of full tiles alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.proof.merkle import EMPTY_ROOT, complete_levels, node_hash
from domain.proof.tiles import TILE_LEVELS, split_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable


class Accumulator:
    """Takes full tiles from left to right; holds one hash for each bit of their number."""

    def __init__(self) -> None:
        self.last_tile = b""
        """The hash of the tile that was added last."""
        self._peaks: list[tuple[int, bytes]] = []

    def add_tile(self, value: bytes) -> None:
        """Add the hash over a full tile."""
        self.last_tile = value
        level = TILE_LEVELS
        while self._peaks and self._peaks[-1][0] == level:
            value = node_hash(self._peaks.pop()[1], value)
            level += 1
        self._peaks.append((level, value))

    def root(self, leaves: bytes = b"") -> bytes:
        """Return the root with some more leaf hashes behind the tiles, at most one tile."""
        peaks = [value for _, value in self._peaks]
        if leaves:
            peaks += _peaks_of(leaves)
        if not peaks:
            return EMPTY_ROOT
        found = peaks.pop()
        while peaks:
            found = node_hash(peaks.pop(), found)
        return found


def _peaks_of(leaves: bytes) -> Iterable[bytes]:
    """Yield the hashes of the complete subtrees of some leaves, from left to right."""
    levels = complete_levels(split_hashes(leaves))
    count, offset = len(levels[0]), 0
    for level in range(len(levels) - 1, -1, -1):
        if count >> level & 1:
            yield levels[level][offset >> level]
            offset += 1 << level
