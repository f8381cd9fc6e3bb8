"""The proof of one log: grows its tree, signs heads, and makes proofs from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.clock import Clock, iso_milliseconds, utc_now
from store.proof import merkle
from store.proof.merkle import NotInTreeError
from store.proof.tiles import TILE, TiledSubtrees, covered, grow_once, size_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from store.proof.leaf import EventRows
    from store.proof.tiles import TileStore
    from store.proof.tree_heads import HeadStore, SigningKey, TreeHead, VerifyingKey


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The proof that one event is in the tree of a signed head."""

    position: int
    index: int
    leaf_hash: bytes
    path: list[bytes]
    head: TreeHead

    def as_json(self) -> dict[str, Any]:
        """Return the proof as documented JSON."""
        return {
            "log": self.head.log,
            "position": self.position,
            "leafIndex": self.index,
            "leafHash": self.leaf_hash.hex(),
            "path": [each.hex() for each in self.path],
            "head": self.head.as_json(),
        }


class LogProof:
    """Grows the tree of a log, signs heads of it, and makes proofs from it.

    `signing_key` is called only when a head is signed, because it reads the key store.
    """

    def __init__(
        self,
        log: str,
        rows: EventRows,
        tiles: TileStore,
        heads: HeadStore,
        *,
        signing_key: Callable[[], SigningKey],
        clock: Clock = utc_now,
    ) -> None:
        self.log = log
        self.rows = rows
        self.tiles = tiles
        self.heads = heads
        self._signing_key = signing_key
        self._clock = clock

    def public_key(self) -> VerifyingKey:
        """Return the key that verifies the heads of this store."""
        return self._signing_key().public

    def size(self) -> int:
        """Return how many events the tree covers."""
        with self.tiles.reading() as reader:
            return size_of(reader)

    def position(self) -> int:
        """Return the position up to which the tree covers the log, 0 for an empty tree."""
        return covered(self.tiles)

    def is_ahead(self) -> bool:
        """Return whether the tree has events that the log never had.

        That happens when a log is restored from a backup without its tree, or truncated.
        """
        return self.position() > self.rows.last_given()

    def grow(
        self,
        progress: Callable[[int, int], None] = lambda *_: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> int:
        """Grow the tree up to the log; return by how many events.

        `progress` gets the position reached and the last one of the log after each batch.
        """
        grown = 0
        while not stopping() and (step := grow_once(self.rows, self.tiles)):
            grown += step
            progress(self.position(), self.rows.last_given())
        return grown

    def sign(self) -> TreeHead | None:
        """Sign a head of the tree and store it; None when the tree has not grown."""
        with self.tiles.reading() as reader:
            last = reader.last_leaf_tile()
            newest = self.newest_head()
            if last is None:
                return None
            size = last.number * TILE + last.count
            if newest is not None and newest.size >= size:
                return None
            root = merkle.root(TiledSubtrees(reader, self.rows), size)
        time = iso_milliseconds(self._clock())
        head = self._signing_key().sign(self.log, size, last.last_position, time, root)
        return head if self.heads.append(head) else None

    def newest_head(self) -> TreeHead | None:
        """Return the newest signed head, None when there is none yet."""
        return next(iter(self.heads.newest(1)), None)

    def inclusion(self, position: int) -> Inclusion:
        """Prove that an event is in the tree of the newest signed head.

        Raises NotInTreeError when there is no event, or no signed head covers it yet.
        """
        head = self.newest_head()
        with self.tiles.reading() as reader:
            tile = reader.leaf_tile_at(position)
            offset = tile.offset_of(position) if tile else None
            if tile is None or offset is None:
                raise NotInTreeError(f"the tree of {self.log} has no event at position {position}")
            index = tile.number * TILE + offset
            if head is None or index >= head.size:
                raise NotInTreeError(f"no signed head covers position {position} of {self.log} yet")
            subtrees = TiledSubtrees(reader, self.rows)
            path = merkle.inclusion_path(subtrees, index, head.size)
            leaf = subtrees.subtree(0, index)
        return Inclusion(position, index, leaf, path, head)

    def consistency(self, first: int, second: int | None = None) -> dict[str, Any]:
        """Prove that the tree of `second` events begins with the tree of `first`, as JSON.

        Without `second` it is the size of the newest signed head. Raises NotInTreeError when
        the tree never had such a size.
        """
        if second is None:
            head = self.newest_head()
            if head is None:
                raise NotInTreeError(f"the log {self.log} has no signed head yet")
            second = head.size
        with self.tiles.reading() as reader:
            if second > size_of(reader):
                raise NotInTreeError(
                    f"the tree of {self.log} has {size_of(reader)} events, not {second}"
                )
            subtrees = TiledSubtrees(reader, self.rows)
            path = merkle.consistency_path(subtrees, first, second)
            roots = [merkle.root(subtrees, size).hex() for size in (first, second)]
        return {
            "log": self.log,
            "firstSize": first,
            "firstRootHash": roots[0],
            "secondSize": second,
            "secondRootHash": roots[1],
            "path": [each.hex() for each in path],
        }
