"""Which exceptions of a store are no bugs, for those who may wait and try again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final, Self

from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)

STORE_AWAY: Final[tuple[type[Exception], ...]] = (
    OperationalError,
    InterfaceError,
    sqlite3.OperationalError,
)
"""The store is away for now: locked, full, unmounted, unreachable. Nothing was stored, or
the answer got lost."""

DISK_FULL: Final = "database or disk is full"
"""SQLite's words for SQLITE_FULL: they hold no stored data."""


@dataclass(frozen=True, slots=True)
class Trouble:
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

    def __init__(self, text: str, trouble: Trouble, *, is_told: bool = False) -> None:
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

    def __init__(self, text: str, trouble: Trouble) -> None:
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


class LostEventsError(IntegrityError):
    """What was to be recorded comes after an event that the log does not have any more.

    It was lost with a server; whoever knows it from before must forget it.
    """


ANOTHER_CAME_FIRST: Final[tuple[type[Exception], ...]] = (IntegrityError,)
"""Another writer wrote to the same stream. The text holds stored data: never log it."""
