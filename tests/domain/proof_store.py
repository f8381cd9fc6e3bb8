"""What tests of the proof share: a log to fill and to tamper with, and a naive tree."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from domain.proof.heads import SigningKey
from domain.proof.stored import log_proof, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.proof.findings import Report
    from domain.proof.heads import TreeHead
    from domain.proof.log_proof import LogProof
    from domain.store import Store

INSERT = (
    "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
    " VALUES (?, ?, 'CheckPerformed', ?)"
)


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
        self.path = store.folder.checks_log
        self.events = 0

    @property
    def proof(self) -> LogProof:
        """What proves the log, opened anew."""
        return log_proof(self.store, "checks")

    def fill(self, count: int) -> None:
        """Append events, in streams of ten."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for number in range(self.events, self.events + count):
                stream = UUID(int=number // 10).hex
                connection.execute(INSERT, (stream, number % 10 + 1, b'{"n":%d}' % number))
        self.events += count

    def sql(self, statement: str, *values: object) -> None:
        """Change the log behind everybody's back."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement, values)

    def tree_sql(self, statement: str, *values: object) -> None:
        """Change the stored hashes behind everybody's back."""
        path = self.store.folder.proof / "checks.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement, values)

    def leaves(self) -> list[bytes]:
        """Return the leaves as docs/proof.md describes them, not by our own code."""
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT * FROM stored_events ORDER BY rowid").fetchall()
        return [b"".join(map(netstring, row)) for row in rows]

    def verify(self, **options: object) -> Report:
        """Grow and verify, as the command does."""
        self.proof.grow()
        look: Callable[..., Report] = verify
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
