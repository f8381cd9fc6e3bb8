"""Grows the Merkle trees of the logs, and signs tree heads at intervals.

It runs in a thread of the projections process: neither the views nor the writers of a log
wait for hashes.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from domain.clock import Clock, utc_now
from store.ports.errors import STORE_UNAVAILABLE, outage_reason
from store.ports.locks import LockHandle
from store.proof.merkle import ProofError
from store.proof.tiles import grow_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from threading import Event

    from store.proof.log_proof import LogProof


log = logging.getLogger("postwatch.proof")

GROW_SECONDS: Final = 1.0
"""How often trees grow. The events of that time share a transaction."""

_NO_RIVAL: Final = LockHandle()
"""The lock of a process that has no rival."""

_PASSING_ERRORS: Final[tuple[type[Exception], ...]] = (*STORE_UNAVAILABLE, OSError, ProofError)
"""Logged, and tried again: the disk is full, say, or a file of the tree is damaged."""


class TreeKeeper:
    """Grows and signs the trees of some logs. A head is due `head_seconds` after the last.

    After this process has lost `lock` it signs no heads: the new leader signs them.
    """

    def __init__(
        self,
        proofs: Sequence[LogProof],
        head_seconds: int,
        clock: Clock = utc_now,
        *,
        lock: LockHandle = _NO_RIVAL,
    ) -> None:
        self._proofs = proofs
        self._between = timedelta(seconds=head_seconds)
        self._clock = clock
        self._lock = lock
        self._errors: dict[str, str] = {}

    def start(self) -> None:
        """Log the size of each tree, and which log is shorter than its tree."""
        for proof in self._proofs:
            with self._errors_are_logged(proof):
                _log_start(proof)

    def step(self, stop: Event) -> None:
        """Grow every tree up to its log, and sign the heads that are due."""
        for proof in self._proofs:
            with self._errors_are_logged(proof):
                proof.grow(stopping=stop.is_set)
                if self._is_due(proof) and not self._lock.is_lost:
                    _sign(proof)

    def finish(self) -> None:
        """Grow each tree by one batch and sign it. The next start grows the rest."""
        if self._lock.is_lost:
            return
        for proof in self._proofs:
            with self._errors_are_logged(proof):
                grow_once(proof.rows, proof.tiles)
                _sign(proof)

    def run(self, stop: Event) -> None:
        """Start, step until `stop` is set, and finish."""
        self.start()
        while not stop.is_set():
            self.step(stop)
            stop.wait(GROW_SECONDS)
        self.finish()

    def _is_due(self, proof: LogProof) -> bool:
        newest = proof.newest_head()
        if newest is None:
            return True
        age = self._clock() - datetime.fromisoformat(newest.time)
        # A head from the future: the clock was set back.
        return age >= self._between or age < timedelta(0)

    @contextmanager
    def _errors_are_logged(self, proof: LogProof) -> Iterator[None]:
        """Log a temporary error once, and continue: it must not stop the views."""
        try:
            yield
        except _PASSING_ERRORS as error:
            reason = str(error) if isinstance(error, ProofError) else outage_reason(error)
            if self._errors.get(proof.log) != reason:
                log.error("the tree of %s does not grow: %s", proof.log, reason)  # noqa: TRY400 - expected, one line is enough
            self._errors[proof.log] = reason
        else:
            if self._errors.pop(proof.log, None):
                log.info("the tree of %s grows again", proof.log)


def _log_start(proof: LogProof) -> None:
    log.info("tree of %s: %d events, position %d", proof.log, proof.size(), proof.position())
    if proof.is_ahead():
        log.error(
            "the log %s is shorter than its tree; see `postwatch log verify %s`",
            proof.log,
            proof.log,
        )


def _sign(proof: LogProof) -> None:
    head = proof.sign()
    if head is not None:
        log.info("tree head of %s: %d events, root %s", proof.log, head.size, head.root.hex())
