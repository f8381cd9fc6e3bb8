"""Archives old checks by itself, segment by segment, in a child process.

A thread of the projections process looks whether a segment is due. Making it takes seconds of
CPU and some hundred MB, so a child process of low priority does it: neither the views nor
anything else waits for it, and its memory is free again afterwards. The thread then deletes
the checks from the log, because writers wait for that: a process of low priority would hold
the lock of the log for longer. Both may be killed at any time.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from domain.actor import ARCHIVER
from domain.errors import DomainError
from service.supervised_part import postwatch_command
from store.archiving import ARCHIVE_LOCK, Archiver
from store.ports.errors import STORE_UNAVAILABLE, outage_reason
from store.ports.locks import LockHandle, LockHeldError

if TYPE_CHECKING:
    from datetime import timedelta
    from threading import Event

    from store.store import Store


log = logging.getLogger("postwatch.archive")

ROUND_SECONDS: Final = 30.0
"""How often it looks whether a segment is due."""

RETRY_SECONDS: Final = 600.0
"""The pause after a segment that could not be archived."""

_STOP_SECONDS: Final = 0.2
"""How often it looks whether the process is to stop, while a child is at work."""

_PASSING_ERRORS: Final[tuple[type[Exception], ...]] = (*STORE_UNAVAILABLE, OSError, DomainError)
"""Logged, and tried again: archiving must not stop the views."""

_NO_RIVAL: Final = LockHandle()
"""The lock of a process that has no rival."""


class _Ended(NamedTuple):
    """What a child said when it ended."""

    status: int
    output: str
    error: str


class ArchiveKeeper:
    """Archives checks that are older than some time, until it is stopped.

    After this process has lost `lock` it archives nothing: the new leader does.
    """

    def __init__(
        self,
        store: Store,
        archive_after: timedelta,
        *,
        lock: LockHandle = _NO_RIVAL,
        round_seconds: float = ROUND_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._archiver = Archiver(store, ARCHIVER)
        self._locks = store.engine.locks
        self._archive_after = archive_after
        self._lock = lock
        self._round_seconds = round_seconds
        self._retry_seconds = retry_seconds
        self._must_prune = True
        self._said = ""

    def run(self, stop: Event) -> None:
        """Look at intervals whether a segment is due, and archive it, until `stop` is set."""
        pause = self._round_seconds
        while not stop.wait(pause):
            try:
                pause = self._step(stop)
            except LockHeldError as error:
                self._say(logging.INFO, f"archiving waits: the lock is {error}")
                pause = self._round_seconds
            except _PASSING_ERRORS as error:
                reason = str(error) if isinstance(error, DomainError) else outage_reason(error)
                self._say(logging.ERROR, f"checks are not archived: {reason}")
                pause = self._round_seconds

    def _step(self, stop: Event) -> float:
        """Archive the next segment if it is due; return how long to pause, in seconds."""
        is_due = self._archiver.is_due(self._archive_after)
        if self._lock.is_lost or not (is_due or self._must_prune):
            return self._round_seconds
        self._prune()
        if not is_due:
            return self._round_seconds
        self._must_prune = True
        started = time.monotonic()
        if not self._archive_next(stop):
            return self._retry_seconds
        took = time.monotonic() - started
        self._prune()
        return took

    def _prune(self) -> None:
        with self._locks.hold(ARCHIVE_LOCK):
            if self._must_prune:
                self._archiver.prune()
                self._must_prune = False

    def _archive_next(self, stop: Event) -> bool:
        """Run a child; return whether it archived something."""
        ended = _run_child(stop)
        if stop.is_set():
            return False
        if ended.status:
            words = ended.error.strip().rpartition("\n")[2].removeprefix("postwatch: ")
            why = words or f"its process ended with {ended.status}"
            self._say(logging.ERROR, f"checks are not archived: {why}")
            return False
        done = orjson.loads(ended.output)
        if not done["archived"]:
            self._say(
                logging.WARNING,
                f"archiving waits for {done['name']}, which has read the checks up to position "
                f"{done['position']}",
            )
            return False
        self._said = ""
        log.info("%d checks archived, up to position %d", done["archived"], done["archivedThrough"])
        return True

    def _say(self, level: int, what: str) -> None:
        """Log a reason once, until it is another one or something was archived."""
        if what != self._said:
            log.log(level, "%s", what)
        self._said = what


def _run_child(stop: Event) -> _Ended:
    """Archive a segment in a child process. When `stop` is set the child ends early."""
    command = postwatch_command("checks", "archive-next", "--supervised-by", str(os.getpid()))
    with subprocess.Popen(  # noqa: S603 - a command of our own
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        while True:
            try:
                output, error = child.communicate(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    child.terminate()
            else:
                return _Ended(child.returncode, output, error)
