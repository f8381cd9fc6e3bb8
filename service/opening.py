"""The store that the settings name: in a data folder, or in a database.

A command that is given by hand tells at once that the database does not answer. A part of
the service waits for it: whoever starts containers or units in any order, or restarts the
database, need not start the parts again. What waiting does not mend, such as a wrong
password, ends either of them.

One process for each part of a store, and the line for whoever comes second.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from service.errors import CommandError, ExitCode
from store.files.data_folder import DataFolder
from store.ports.errors import DatabaseUnavailableError
from store.ports.locks import LockHeldError
from store.store import create_store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from service.settings import Settings
    from store.ports.locks import LockHandle, Locks
    from store.store import Store


T = TypeVar("T")

log = logging.getLogger("postwatch.store")

_LOOK_SECONDS: Final = 1.0
_TELL_SECONDS: Final = 60.0
"""How often somebody who waits says so."""


def opened_store(settings: Settings) -> Store:
    """Open it. Raises StoreError when there is none, MasterKeyError, DatabaseUnavailableError."""
    return open_store(settings.data, *settings.master_keys, database=settings.database)


def created_store(settings: Settings) -> Store:
    """Open it, made if it is not there yet. Raises as `opened_store` does."""
    return create_store(settings.data, *settings.master_keys, database=settings.database)


def tell_of_key_of_one_host(settings: Settings) -> None:
    """Say on stderr that other hosts of the database lack the master key of this one."""
    file = DataFolder(settings.data).master_key
    if settings.database is not None and settings.master_key is None and file.exists():
        print(
            f"the master key is in {file}, which no other host has; name it with "
            "POSTWATCH_MASTER_KEY_FILE on each of them",
            file=sys.stderr,
        )


def awaited(opening: Callable[[], T], *, meanwhile: Callable[[], None] = lambda: None) -> T:
    """Return what `opening` opens, as soon as the database lets it.

    `meanwhile` is called every second. SIGTERM ends the process as long as it waits.
    """
    told_at = 0.0
    with _ending_on_sigterm():
        while True:
            try:
                return opening()
            except DatabaseUnavailableError as error:
                if not error.diagnosis.passes:
                    raise
                if not told_at or time.monotonic() - told_at > _TELL_SECONDS:
                    told_at = time.monotonic()
                    log.warning("waiting for it before this process does anything: %s", error)
            meanwhile()
            time.sleep(_LOOK_SECONDS)


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """End the process on SIGTERM, also where it is the first one of a container."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        sys.exit()

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def hold(locks: Locks, part: str, *, wait_seconds: float = 0) -> Iterator[LockHandle]:
    """Hold the lock of a part while the block runs.

    Waits up to `wait_seconds` for a holder that is just ending. Raises CommandError that
    says which process holds the lock.
    """
    with ExitStack() as stack:
        try:
            held = stack.enter_context(locks.hold(part, wait_seconds=wait_seconds))
        except LockHeldError as error:
            raise CommandError(
                ExitCode.ALREADY_RUNNING,
                f"{part} is already running on {locks.place}: {error}; "
                "stop that process, or name another store with POSTWATCH_DATA",
            ) from None
        yield held
