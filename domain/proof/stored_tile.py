"""A leaf tile as the columns of a table: its number, its runs as a text, its hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.proof.merkle import HASH_BYTES, ProofError
from domain.proof.tiles import TILE, LeafTile, Run

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_runs(runs: Sequence[Run]) -> str:
    """Return where the events of a tile stand, as a text: `first+length` of each run."""
    return " ".join(f"{run.first}+{run.length}" for run in runs)


def read_tile(number: int, text: str, hashes: bytes | None) -> LeafTile:
    """Return a stored tile. Raises ProofError when it is not what was stored."""
    try:
        parts = [run.partition("+") for run in text.split()]
        runs = tuple(Run(int(first), int(length)) for first, _, length in parts)
    except (ValueError, AttributeError):
        runs = ()
    tile = LeafTile(number, runs, hashes)
    ends = [run.first + run.length for run in runs]
    ordered = all(run.first >= end for run, end in zip(runs[1:], ends, strict=False))
    sound = runs and ordered and min(run.length for run in runs) > 0 and tile.count <= TILE
    if not sound or (hashes is not None and len(hashes) != tile.count * HASH_BYTES):
        raise ProofError(f"the stored hashes of the tree are damaged at leaf {number * TILE}")
    return tile
