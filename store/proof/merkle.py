"""The Merkle tree of RFC 9162 section 2.1: hashes, roots, inclusion and consistency.

Pure functions. The caller provides the hashes of complete subtrees; no leaf is hashed twice.
The variables of `includes` and `is_consistent` have the names of the RFC.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from domain.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Sequence


HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of a tree without leaves."""


class ProofError(DomainError):
    """A proof cannot be made, or does not hold; the text says why."""


class NotInTreeError(ProofError):
    """An event or a size is not in the tree, or not yet."""


class Subtrees(Protocol):
    """Gives the hashes of complete subtrees."""

    def subtree(self, level: int, index: int) -> bytes:
        """Return the hash over the `2**level` leaves from leaf `index * 2**level` on."""
        ...


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over its two children."""
    return sha256(b"\x01" + left + right).digest()


def complete_levels(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Return the hashes of all complete subtrees over a row of hashes, level by level."""
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append([node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)])
    return levels


def root(subtrees: Subtrees, size: int) -> bytes:
    """Return the root of the tree over the first `size` leaves."""
    return _range_hash(subtrees, 0, size) if size else EMPTY_ROOT


def inclusion_path(subtrees: Subtrees, index: int, size: int) -> list[bytes]:
    """Return the path from leaf `index` to the root over `size` leaves, lowest first.

    RFC 9162 section 2.1.3.1. Raises NotInTreeError when there is no such leaf.
    """
    if not 0 <= index < size:
        raise NotInTreeError(f"there is no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range_hash(subtrees, middle, high))
            high = middle
        else:
            path.append(_range_hash(subtrees, low, middle))
            low = middle
    return path[::-1]


def consistency_path(subtrees: Subtrees, first: int, second: int) -> list[bytes]:
    """Return the proof that the tree of `second` leaves begins with that of `first`.

    RFC 9162 section 2.1.4.1. Raises NotInTreeError unless 0 < first <= second.
    """
    if not 0 < first <= second:
        raise NotInTreeError(f"there is no consistency proof from {first} to {second} leaves")
    path: list[bytes] = []
    low, high, is_old_root = 0, second, True
    while first != high:
        middle = low + _split(high - low)
        if first <= middle:
            path.append(_range_hash(subtrees, middle, high))
            high = middle
        else:
            path.append(_range_hash(subtrees, low, middle))
            low, is_old_root = middle, False
    if not is_old_root:
        path.append(_range_hash(subtrees, low, high))
    return path[::-1]


def includes(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Return whether a path leads from the hash of leaf `index` to a root.

    RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            fn, sn = _rise(fn, sn)
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def is_consistent(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> bool:
    """Return whether a path shows that a tree is the beginning of another.

    RFC 9162 section 2.1.4.2.
    """
    if first == second:
        return not path and first_root == second_root
    if not 0 < first < second or not path:
        return False
    if first & (first - 1) == 0:
        path = [first_root, *path]
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            fn, sn = _rise(fn, sn)
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


def _rise(fn: int, sn: int) -> tuple[int, int]:
    """Shift until the lowest bit of fn is set, or fn is 0."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _range_hash(subtrees: Subtrees, low: int, high: int) -> bytes:
    """Return the hash over leaves `low` to `high`, a range that the tree itself has."""
    count = high - low
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return subtrees.subtree(level, low >> level)
    middle = low + _split(count)
    return node_hash(_range_hash(subtrees, low, middle), _range_hash(subtrees, middle, high))
