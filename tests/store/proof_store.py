"""For tests of proofs: a log to fill and to tamper with, and a naive tree."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, cast
from uuid import UUID

from store.proof.tree_heads import SigningKey
from store.proving import log_proof, verify
from tests.intruder import intruder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.checks import CheckRows
    from store.proof.log_proof import LogProof
    from store.proof.tree_heads import TreeHead
    from store.proof.verification import LogReport
    from store.store import Store


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """Return MTH of RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = largest_power_below(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return PATH of RFC 9162 section 2.1.3.1, word for word."""
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_proof(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return PROOF of RFC 9162 section 2.1.4.1, word for word."""
    return _naive_subproof(m, leaves, is_known=True)


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def _naive_subproof(m: int, leaves: Sequence[bytes], *, is_known: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if is_known else [naive_root(leaves)]
    k = largest_power_below(len(leaves))
    if m <= k:
        return [*_naive_subproof(m, leaves[:k], is_known=is_known), naive_root(leaves[k:])]
    return [*_naive_subproof(m - k, leaves[k:], is_known=False), naive_root(leaves[:k])]


class TamperedLog:
    """The `checks` log of a store: filled quickly, read back as leaves, and changed by hand."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.behind = intruder_of(store)
        self.events = 0

    @property
    def proof(self) -> LogProof:
        """The proof of the log, opened again."""
        return log_proof(self.store, "checks")

    def fill(self, count: int) -> None:
        """Append events, in streams of ten."""
        recorder = cast("CheckRows", self.store.checks.recorder)
        recorder.append(
            [
                (UUID(int=each // 10).hex, each % 10 + 1, "CheckPerformed", b'{"n":%d}' % each)
                for each in range(self.events, self.events + count)
            ]
        )
        self.events += count

    def sql(self, statement: str, *values: object) -> None:
        """Change the log behind everybody's back."""
        self.behind.sql("checks", statement, *values)

    def skip_to(self, position: int) -> None:
        """Make the log believe that this was the last position it gave."""
        self.behind.skip_to("checks", position)

    def tree_sql(self, statement: str, *values: object) -> None:
        """Change the stored hashes behind everybody's back."""
        self.behind.tree_sql("checks", statement, *values)

    def lose_tree(self) -> None:
        """Lose the stored hashes."""
        self.behind.lose_tree("checks")

    def heads(self) -> list[bytes]:
        """Return the lines of the signed heads."""
        return self.behind.heads("checks")

    def put_heads(self, lines: Sequence[bytes]) -> None:
        """Put other lines in their place."""
        self.behind.put_heads("checks", lines)

    def leaves(self) -> list[bytes]:
        """Return the leaves as docs/proof.md describes them, not by our own code."""
        return [b"".join(map(netstring, row)) for row in self.behind.rows("checks")]

    def verify(self, **options: object) -> LogReport:
        """Grow and verify, as the command does."""
        self.proof.grow()
        look: Callable[..., LogReport] = verify
        return look(self.proof, **options)

    def sign_as_of(self, size: int, root: bytes) -> TreeHead:
        """Return a head of an earlier size; positions have no gaps here."""
        key = SigningKey(self.store.keys.signing_seed())
        return key.sign("checks", size, size, "2026-01-01T12:00:00.000Z", root)

    def found(self, **options: object) -> list[tuple[str, int | None, int | None]]:
        """Return what a verification finds, in short."""
        return [
            (each.kind.value, each.position, each.through)
            for each in self.verify(**options).findings
        ]


def netstring(value: object) -> bytes:
    """Return a value's bytes behind their number, as D. J. Bernstein's netstrings are."""
    data = value if isinstance(value, bytes) else str(value).encode()
    return str(len(data)).encode() + b":" + data + b","
