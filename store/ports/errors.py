"""Which exceptions of a store are no bugs, for those who may wait and try again.

A short memory that something is away, so that not everybody waits for it.

Who finds it away says so in the log, once. For a while everybody else is told the same at
once; then one caller at a time tries again, until one succeeds.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


STORE_UNAVAILABLE: Final[tuple[type[Exception], ...]] = (
    OperationalError,
    InterfaceError,
    sqlite3.OperationalError,
)
"""The store is away for now: locked, full, unmounted, unreachable. Nothing was stored, or
the answer got lost."""

DISK_FULL: Final = "database or disk is full"
"""SQLite's words for SQLITE_FULL: they hold no stored data."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What may be the matter with a database server.

    `what` follows the name of a place in a sentence, and is fit for everybody's eyes;
    `advice` tells an operator what to do; `passes`: it may be over without anybody's help;
    `is_slow`: to find it out takes seconds.
    """

    what: str
    advice: str
    passes: bool = True
    is_full: bool = False
    is_slow: bool = False


class DatabaseAwayError(OperationalError):
    """A database server cannot be used now.

    The text says what is the matter and where, and holds neither a password nor stored data.
    """

    def __init__(self, text: str, trouble: Diagnosis, *, is_told: bool = False) -> None:
        """Take `is_told`: a line in the log says so already."""
        self.trouble = trouble
        self.is_told = is_told
        super().__init__(text)

    def again(self) -> Self:
        """Return the same for another caller; the log has it by now."""
        return type(self)(str(self), self.trouble, is_told=True)


class DatabaseRefusesError(ProgrammingError):
    """A database server will not do what it was asked: rights or tables are missing.

    The text says what is the matter and where, and holds neither a password nor stored data.
    """

    def __init__(self, text: str, trouble: Diagnosis) -> None:
        self.trouble = trouble
        super().__init__(text)


def is_full(error: Exception) -> bool:
    """Return whether the store is away because there is no room left on its disk."""
    if isinstance(error, DatabaseAwayError):
        return error.trouble.is_full
    return str(error) == DISK_FULL


def is_told(error: Exception) -> bool:
    """Return whether the log of this process says already that the store is away."""
    return isinstance(error, DatabaseAwayError) and error.is_told


def may_pass(error: Exception) -> bool:
    """Return whether a store that is away may be back without anybody's help."""
    return not isinstance(error, DatabaseAwayError) or error.trouble.passes


def kind_of(error: Exception) -> str:
    """Return in a few words why the store is away, for everybody's eyes."""
    if is_full(error):
        return "disk full"
    return error.trouble.what if isinstance(error, DatabaseAwayError) else type(error).__name__


STORE_FAILS: Final[tuple[type[Exception], ...]] = (PersistenceError, sqlite3.DatabaseError)
"""The store does not do what it was asked: away, or damaged. The text may hold stored data."""


CONFLICT_ERRORS: Final[tuple[type[Exception], ...]] = (IntegrityError,)
"""Another writer wrote to the same stream. The text holds stored data: never log it."""


log = logging.getLogger("postwatch.store.outage")
# A command that keeps no log ends with the same words.
log.addHandler(logging.NullHandler())

PAUSE_SECONDS: Final = 1.0
"""How long nobody tries."""


class Outage:
    """What the threads of a process know of one thing that may be away."""

    def __init__(
        self,
        back: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        only_slow: bool = False,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Take the words for the log when it is there again.

        `only_slow`: only what takes long to find out is worth remembering. `pause_seconds`:
        how long nobody tries.
        """
        self._back = back
        self._only_slow = only_slow
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._lock = Lock()
        self._error: DatabaseAwayError | None = None
        self._since = 0.0
        self._next_try = 0.0
        self._is_tried = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Try it in this block. Raises DatabaseAwayError at once when it is known to be away."""
        self._take_turn()
        try:
            yield
        except DatabaseAwayError as error:
            if error.trouble.is_slow or not self._only_slow:
                self._note(error)
            else:
                self._is_tried = False
            raise
        except BaseException:
            # That says nothing of what is away: the next one may try.
            self._is_tried = False
            raise
        self._forget()

    def _take_turn(self) -> None:
        with self._lock:
            if self._error is None:
                return
            if self._is_tried or self._clock() < self._next_try:
                raise self._error.again()
            self._is_tried = True

    def _note(self, error: DatabaseAwayError) -> None:
        with self._lock:
            if self._error is None:
                self._since = self._clock()
                if not error.is_told:
                    log.error("%s; %s", error, error.trouble.advice)
            error.is_told = True
            self._error = error
            self._next_try = self._clock() + self._pause_seconds
            self._is_tried = False

    def _forget(self) -> None:
        if self._error is None:
            return
        with self._lock:
            if self._error is not None:
                log.warning("%s after %.1f s", self._back, self._clock() - self._since)
            self._error = None
            self._is_tried = False
