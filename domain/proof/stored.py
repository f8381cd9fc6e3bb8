"""The proofs of a store's logs: where their parts lie, and how one is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.clock import Clock, utc_now
from domain.errors import NotFoundError
from domain.proof.heads import SigningKey
from domain.proof.log_proof import LogProof
from domain.proof.signed_heads import HeadsRead
from domain.proof.verification import Verification
from domain.storage.head_file import HeadFile
from domain.storage.sqlite_rows import SqliteRows
from domain.storage.sqlite_tiles import SqliteTiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from domain.proof.findings import Report
    from domain.proof.heads import VerifyingKey
    from domain.store import Store

LOGS: Final = ("monitoring", "checks")
"""The logs that are proven."""


def log_proof(store: Store, log: str, clock: Clock = utc_now) -> LogProof:
    """Return what proves a log of a store. Raises NotFoundError when there is no such log."""
    files = {"monitoring": store.folder.monitoring_log, "checks": store.folder.checks_log}
    if log not in files:
        raise NotFoundError(f"there is no log {log}; there are {', '.join(LOGS)}")
    return LogProof(
        log,
        SqliteRows(files[log]),
        SqliteTiles(store.folder.proof / f"{log}.db"),
        HeadFile(store.folder.proof / f"{log}.heads"),
        signing_key=lambda: SigningKey(store.keys.signing_seed()),
        clock=clock,
    )


def verify(
    proof: LogProof,
    *,
    key: VerifyingKey | None = None,
    published: Iterable[Path] = (),
    archived_through: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Verify a log by its tree, its signed heads and heads that were kept elsewhere.

    `key` is what signatures are checked with, the store's own unless one is given. Nothing
    is written: grow the tree before. Raises OSError when a published file cannot be read.
    """
    read = HeadsRead(proof.log, key or proof.public_key())
    read.read(proof.heads.lines(), f"proof/{proof.log}.heads")
    for path in published:
        read.read(HeadFile(path).lines(), str(path))
    with proof.tiles.reading() as reader:
        look = Verification(proof.log, proof.rows, reader, read.heads, archived_through)
        for finding in read.findings:
            look.report.add(finding)
        return look.run(progress)
