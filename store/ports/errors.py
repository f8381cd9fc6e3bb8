"""Errors of a store that are no bugs, and the circuit breaker that guards a database.

Callers catch the tuples of error types here instead of the classes of each engine: what may
be tried again (`STORE_UNAVAILABLE`), what else a store may answer with (`STORE_FAILS`), and
a lost race between two writers (`CONFLICT_ERRORS`).
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
"""The store cannot be used for now: locked, full, unmounted, unreachable. Nothing was
stored, or the answer got lost."""

STORE_FAILS: Final[tuple[type[Exception], ...]] = (PersistenceError, sqlite3.DatabaseError)
"""The store is unavailable or damaged. The text of the error may hold stored data."""

CONFLICT_ERRORS: Final[tuple[type[Exception], ...]] = (IntegrityError,)
"""Another writer wrote to the same stream. The text holds stored data: never log it."""

DISK_FULL: Final = "database or disk is full"
"""SQLite's words for SQLITE_FULL: they hold no stored data."""

OPEN_SECONDS: Final = 1.0
"""How long a circuit breaker stays open before it lets one caller probe."""

log = logging.getLogger("postwatch.store.outage")
# A command that keeps no log ends with the same words.
log.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with a database server, in words for people.

    `what` follows the name of the database in a sentence and holds nothing secret;
    `advice` tells an operator what to do; `passes`: it may end without an operator;
    `is_slow`: a caller waits for seconds before it finds this out.
    """

    what: str
    advice: str
    passes: bool = True
    is_disk_full: bool = False
    is_slow: bool = False


class DatabaseUnavailableError(OperationalError):
    """A database server cannot be used now.

    The text says what is wrong and where, and holds neither a password nor stored data.
    `is_logged`: a line in the log of this process says so already.
    """

    def __init__(self, text: str, diagnosis: Diagnosis, *, is_logged: bool = False) -> None:
        self.diagnosis = diagnosis
        self.is_logged = is_logged
        super().__init__(text)

    def again(self) -> Self:
        """Return the same error for another caller; it is in the log by now."""
        return type(self)(str(self), self.diagnosis, is_logged=True)


class DatabaseRefusedError(ProgrammingError):
    """A database server refuses a statement: rights or tables are missing.

    The text says what is wrong and where, and holds neither a password nor stored data.
    """

    def __init__(self, text: str, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        super().__init__(text)


def is_disk_full(error: Exception) -> bool:
    """Return whether the store is unavailable because its disk is full."""
    if isinstance(error, DatabaseUnavailableError):
        return error.diagnosis.is_disk_full
    return str(error) == DISK_FULL


def is_logged(error: Exception) -> bool:
    """Return whether the log of this process says already that the store is unavailable."""
    return isinstance(error, DatabaseUnavailableError) and error.is_logged


def outage_reason(error: Exception) -> str:
    """Return in a few words why the store is unavailable; they hold nothing secret."""
    if is_disk_full(error):
        return "disk full"
    if isinstance(error, DatabaseUnavailableError):
        return error.diagnosis.what
    return type(error).__name__


class CircuitBreaker:
    """Circuit breaker: after a failure callers fail fast; one caller probes until recovery.

    Closed, it lets every caller through. A DatabaseUnavailableError opens it, and the first
    one is logged. Open, it raises that error again at once. After `open_seconds` it is
    half-open: it lets one caller through at a time, until one succeeds and closes it.
    """

    def __init__(
        self,
        recovered: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        only_slow: bool = False,
        open_seconds: float = OPEN_SECONDS,
    ) -> None:
        """Take the words that are logged when the breaker closes again.

        `only_slow`: only a failure that takes long to find out (`Diagnosis.is_slow`) opens it.
        """
        self._recovered = recovered
        self._only_slow = only_slow
        self._open_seconds = open_seconds
        self._clock = clock
        self._lock = Lock()
        self._error: DatabaseUnavailableError | None = None
        """The failure that opened the breaker; None while it is closed."""
        self._failed_at = 0.0
        self._probe_at = 0.0
        self._is_probing = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Run the block if the breaker allows it, and learn from how it ends.

        Raises DatabaseUnavailableError at once while the breaker is open.
        """
        self._enter()
        try:
            yield
        except DatabaseUnavailableError as error:
            if error.diagnosis.is_slow or not self._only_slow:
                self._open(error)
            else:
                self._is_probing = False
            raise
        except BaseException:
            # This says nothing about the server: the next caller may probe.
            self._is_probing = False
            raise
        self._close()

    def _enter(self) -> None:
        with self._lock:
            if self._error is None:
                return
            if self._is_probing or self._clock() < self._probe_at:
                raise self._error.again()
            self._is_probing = True

    def _open(self, error: DatabaseUnavailableError) -> None:
        with self._lock:
            if self._error is None:
                self._failed_at = self._clock()
                if not error.is_logged:
                    log.error("%s; %s", error, error.diagnosis.advice)
            error.is_logged = True
            self._error = error
            self._probe_at = self._clock() + self._open_seconds
            self._is_probing = False

    def _close(self) -> None:
        if self._error is None:
            return
        with self._lock:
            if self._error is not None:
                log.warning("%s after %.1f s", self._recovered, self._clock() - self._failed_at)
            self._error = None
            self._is_probing = False
