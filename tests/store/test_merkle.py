"""The tree of RFC 9162: known roots, the RFC's own recursion, and proofs that must fail."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.proof import merkle
from store.proof.merkle import ProofError, leaf_hash
from store.proof.tiles import TILE
from store.proof.verification import Accumulator
from tests.store.proof_store import naive_path, naive_proof, naive_root

# The leaves and roots that the Certificate Transparency projects test with.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Leaves:
    """Complete subtrees by the RFC's recursion over leaves in memory."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves

    def subtree(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree."""
        part = self.leaves[index << level : index + 1 << level]
        assert len(part) == 1 << level, "not a complete subtree"
        return naive_root(part)


@cache
def numbered(size: int) -> Leaves:
    return Leaves([b"%d" % number for number in range(size)])


@pytest.mark.parametrize("size", range(9))
def test_the_known_roots_of_certificate_transparency(size: int) -> None:
    root = merkle.root(Leaves(CT_LEAVES), size)

    assert root.hex() == CT_ROOTS[size]
    assert naive_root(CT_LEAVES[:size]) == root


@given(st.integers(1, 70).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_inclusion_is_the_recursion_of_the_rfc(case: tuple[int, int]) -> None:
    index, size = case
    tree = numbered(70)

    path = merkle.inclusion_path(tree, index, size)

    leaf, root = leaf_hash(tree.leaves[index]), naive_root(tree.leaves[:size])
    assert path == naive_path(index, tree.leaves[:size])
    assert merkle.includes(leaf, index, size, path, root)


@given(st.integers(1, 70).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_consistency_is_the_recursion_of_the_rfc(case: tuple[int, int]) -> None:
    first, second = case
    tree = numbered(70)

    path = merkle.consistency_path(tree, first, second)

    roots = naive_root(tree.leaves[:first]), naive_root(tree.leaves[:second])
    assert path == naive_proof(first, tree.leaves[:second])
    assert merkle.is_consistent(first, second, *roots, path)


@given(
    st.integers(2, 40).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))), st.data()
)
def test_an_inclusion_proof_holds_for_nothing_else(
    case: tuple[int, int], data: st.DataObject
) -> None:
    index, size = case
    tree = numbered(40)
    leaf, root = leaf_hash(tree.leaves[index]), naive_root(tree.leaves[:size])
    path = merkle.inclusion_path(tree, index, size)
    other = data.draw(st.integers(0, size - 1).filter(lambda each: each != index))
    at = data.draw(st.integers(0, len(path) - 1))

    assert not merkle.includes(leaf_hash(b"another"), index, size, path, root)
    assert not merkle.includes(leaf, other, size, path, root)
    assert not merkle.includes(leaf, index, size, path[:-1], root)
    assert not merkle.includes(leaf, index, size, [*path, root], root)
    assert not merkle.includes(leaf, index, size, [*path[:at], root, *path[at + 1 :]], root)
    assert not merkle.includes(leaf, size, size, path, root)


@given(st.integers(2, 40).flatmap(lambda n: st.tuples(st.integers(1, n - 1), st.just(n))))
def test_a_consistency_proof_holds_for_nothing_else(case: tuple[int, int]) -> None:
    first, second = case
    tree = numbered(40)
    old, new = naive_root(tree.leaves[:first]), naive_root(tree.leaves[:second])
    path = merkle.consistency_path(tree, first, second)
    changed = naive_root([b"changed", *tree.leaves[1:first]])

    assert not merkle.is_consistent(first, second, changed, new, path)
    assert not merkle.is_consistent(first, second, old, changed, path)
    assert not merkle.is_consistent(first, second, old, new, path[:-1])
    assert not merkle.is_consistent(first, second, old, new, [*path, new])
    assert not merkle.is_consistent(second, first, new, old, path)
    assert not merkle.is_consistent(first, first, old, old, path)


def test_a_tree_is_consistent_with_itself_by_an_empty_proof() -> None:
    root = naive_root(numbered(5).leaves)

    assert merkle.consistency_path(numbered(5), 5, 5) == []
    assert merkle.is_consistent(5, 5, root, root, [])
    assert not merkle.is_consistent(5, 5, root, naive_root([]), [])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_there_is_no_inclusion_proof_outside_of_the_tree(index: int, size: int) -> None:
    with pytest.raises(ProofError, match="there is no leaf"):
        merkle.inclusion_path(numbered(4), index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 4), (4, 3), (-1, 2)])
def test_there_is_no_consistency_proof_of_impossible_sizes(first: int, second: int) -> None:
    with pytest.raises(ProofError, match="no consistency proof"):
        merkle.consistency_path(numbered(4), first, second)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 700, 1024, 1300])
def test_full_tiles_accumulate_to_the_same_root(size: int) -> None:
    hashes = [leaf_hash(leaf) for leaf in numbered(1300).leaves[:size]]
    accumulator = Accumulator()
    whole = size // TILE
    for number in range(whole):
        accumulator.add_tile(naive_root(numbered(1300).leaves[number * TILE : (number + 1) * TILE]))

    root = accumulator.root(b"".join(hashes[whole * TILE :]))

    assert root == naive_root(numbered(1300).leaves[:size])
