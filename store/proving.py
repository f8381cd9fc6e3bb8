"""Joins the parts that prove the logs of a store, and verifies a log with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.clock import Clock, utc_now
from domain.errors import NotFoundError
from store.files.head_file import HeadFile
from store.ports.engine import LOGS
from store.proof.log_proof import LogProof
from store.proof.tree_heads import SigningKey
from store.proof.verification import FindingKind, HeadReader, LogFinding, LogVerification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from store.proof.tree_heads import VerifyingKey
    from store.proof.verification import LogReport
    from store.store import Store


def log_proof(store: Store, log: str, clock: Clock = utc_now) -> LogProof:
    """Return the proof of a log. Raises NotFoundError when there is no such log."""
    if log not in LOGS:
        raise NotFoundError(f"there is no log {log}; there are {', '.join(LOGS)}")
    return LogProof(
        log,
        store.rows(log),
        store.engine.tiles(log),
        store.engine.heads(log),
        signing_key=lambda: SigningKey(store.keys.signing_seed()),
        clock=clock,
    )


def verify(
    proof: LogProof,
    *,
    key: VerifyingKey | None = None,
    published: Iterable[Path] = (),
    elsewhere: Sequence[range] = (),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> LogReport:
    """Verify a log against its tree, its signed heads and published heads.

    `key` checks the signatures; without one the store's own does. `published` are files of
    heads that were kept elsewhere. `elsewhere` are positions whose events may be missing.
    Nothing is written: grow the tree first. Raises OSError when a published file cannot be
    read.
    """
    read = HeadReader(proof.log, key or proof.public_key())
    read.read(proof.heads.lines(), proof.heads.place)
    for path in published:
        read.read(HeadFile(path).lines(), str(path))
    rows, archived, unreadable = proof.rows.readable(progress)
    missing = [range(each.first, each.last + 1) for each in unreadable]
    with proof.tiles.reading() as reader:
        look = LogVerification(proof.log, rows, reader, read.heads, (*elsewhere, *missing))
        look.report.archived = archived
        for finding in read.findings:
            look.report.add(finding)
        for each in unreadable:
            look.report.add(LogFinding(FindingKind.ARCHIVE, each.reason, each.first, each.last))
        return look.run(progress)
