"""Which exceptions of a store are no bugs, for those who may wait and try again."""

from __future__ import annotations

import sqlite3
from typing import Final

from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    PersistenceError,
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


def is_full(error: Exception) -> bool:
    """Return whether the store is away because there is no room left on its disk."""
    return str(error) == DISK_FULL


STORE_FAILS: Final[tuple[type[Exception], ...]] = (PersistenceError, sqlite3.DatabaseError)
"""The store does not do what it was asked: away, or damaged. The text may hold stored data."""

ANOTHER_CAME_FIRST: Final[tuple[type[Exception], ...]] = (IntegrityError,)
"""Another writer wrote to the same stream. The text holds stored data: never log it."""
