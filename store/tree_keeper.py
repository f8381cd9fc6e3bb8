"""Keeps the Merkle trees of the logs growing, and signs heads of them now and then.

Beside the views, in a thread of its own: a view never waits for a hash, and whoever
writes to a log waits for neither.
"""

from __future__ import annotations

import logging
import threading
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
"""How long an event may be without a stored hash. Many events share a transaction."""

_OURS: Final = LockHandle()
"""Held by whoever has no rival."""

_TROUBLES: Final[tuple[type[Exception], ...]] = (*STORE_UNAVAILABLE, OSError, ProofError)
"""The disk is full, say, or a file of the tree is damaged."""


class TreeKeeper:
    """Grows and signs the trees of some logs. A head is due `head_seconds` after the last.

    Whoever has lost `hold` signs nothing more: somebody else does, when it is time.
    """

    def __init__(
        self,
        proofs: Sequence[LogProof],
        head_seconds: int,
        clock: Clock = utc_now,
        *,
        hold: LockHandle = _OURS,
    ) -> None:
        self._proofs = proofs
        self._between = timedelta(seconds=head_seconds)
        self._clock = clock
        self._hold = hold
        self._troubles: dict[str, str] = {}

    def start(self) -> None:
        """Say where each tree stands, and which log is not the one it was."""
        for proof in self._proofs:
            with self._trouble_is_told(proof):
                _tell_start(proof)

    def step(self, stop: Event) -> None:
        """Bring every tree up to its log, and sign the heads that are due."""
        for proof in self._proofs:
            with self._trouble_is_told(proof):
                proof.grow(stopping=stop.is_set)
                if self._is_due(proof) and not self._hold.is_lost:
                    _sign(proof)

    def finish(self) -> None:
        """Sign what is new. What a long backlog still lacks is grown after the next start."""
        if self._hold.is_lost:
            return
        for proof in self._proofs:
            with self._trouble_is_told(proof):
                grow_once(proof.rows, proof.tiles)
                _sign(proof)

    def run(self, stop: Event) -> None:
        """Do so until `stop` is set."""
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
        # A head from the future says that the clock was put back.
        return age >= self._between or age < timedelta(0)

    @contextmanager
    def _trouble_is_told(self, proof: LogProof) -> Iterator[None]:
        """Go on when the disk is full or a file damaged: views must not stand still for it."""
        try:
            yield
        except _TROUBLES as error:
            trouble = str(error) if isinstance(error, ProofError) else outage_reason(error)
            if self._troubles.get(proof.log) != trouble:
                log.error("the tree of %s does not grow: %s", proof.log, trouble)  # noqa: TRY400 - expected, told in one line
            self._troubles[proof.log] = trouble
        else:
            if self._troubles.pop(proof.log, None):
                log.info("the tree of %s grows again", proof.log)


@contextmanager
def keep_in_background(keeper: TreeKeeper, stop: Event) -> Iterator[None]:
    """Run a keeper in a thread while the block runs. A bug in it ends the block, by `stop`."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            keeper.run(stop)
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            failed.append(error)
            stop.set()

    thread = threading.Thread(target=run, name="proof keeper")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]


def _tell_start(proof: LogProof) -> None:
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
