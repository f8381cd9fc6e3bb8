"""Opens the store that the settings name, and holds the lock of a part of it.

A command of an operator fails at once when the database does not answer. A part of the
service waits for it, so that containers and units can start in any order and the database
can restart. A failure that waiting does not mend, such as a wrong password, ends both.
"""

from __future__ import annotations

import logging
import stat
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeVar

from service.errors import CommandError, ExitCode
from service.signals import exiting_on_sigterm
from store.archiving import ARCHIVE_LOCK
from store.files.data_folder import DataFolder
from store.ports.errors import DatabaseUnavailableError
from store.ports.locks import LockHeldError
from store.store import create_store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from service.settings import Settings
    from store.ports.locks import LockHandle, Locks
    from store.store import Store


T = TypeVar("T")

log = logging.getLogger("postwatch.store")

_RETRY_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 60.0
"""How often a process that waits for the database logs that it waits."""

ARCHIVER_WAIT_SECONDS: Final = 60.0
"""How long a copy of the store waits for an archiver. A segment takes some seconds."""


def open_from_settings(settings: Settings) -> Store:
    """Open the store.

    Raises StoreError when there is none, MasterKeyError, DatabaseUnavailableError.
    """
    _warn_of_open_folder(settings.data)
    return open_store(settings.data, *settings.master_keys, database=settings.database)


def _warn_of_open_folder(folder: Path) -> None:
    """Log a warning when other accounts of this host can enter or list the data folder."""
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return  # Opening the store reports it.
    if mode & 0o077:
        log.warning(
            "the data folder %s has mode %04o: other accounts of this host can see into it; "
            "run `chmod 700 %s`",
            folder,
            mode,
            folder,
        )


def create_from_settings(settings: Settings) -> Store:
    """Open the store and make it first where there is none. Raises as `open_from_settings`."""
    return create_store(settings.data, *settings.master_keys, database=settings.database)


def warn_of_host_local_key(settings: Settings) -> None:
    """Print a warning when only this host of a database has the master key."""
    file = DataFolder(settings.data).master_key
    if settings.database is not None and settings.master_key is None and file.exists():
        print(
            f"the master key is in {file}, on this host only; copy it to every other host and "
            "name it there with POSTWATCH_MASTER_KEY_FILE",
            file=sys.stderr,
        )


def wait_for_database(
    opening: Callable[[], T], *, meanwhile: Callable[[], None] = lambda: None
) -> T:
    """Return what `opening` opens, retried every second until the database answers.

    `meanwhile` is called before each retry. SIGTERM ends the process while it waits. Raises
    DatabaseUnavailableError when waiting does not help.
    """
    logged_at = 0.0
    with exiting_on_sigterm():
        while True:
            try:
                return opening()
            except DatabaseUnavailableError as error:
                if not error.diagnosis.passes:
                    raise
                if not logged_at or time.monotonic() - logged_at > _LOG_SECONDS:
                    logged_at = time.monotonic()
                    log.warning(
                        "waiting for the database before this process does anything: %s", error
                    )
            meanwhile()
            time.sleep(_RETRY_SECONDS)


@contextmanager
def archiving_held_back(locks: Locks) -> Iterator[None]:
    """Let nobody archive checks while the block copies the store.

    The copy would be whole all the same: so behind an archiver that does not end it begins
    after a while. But what leaves the log meanwhile makes its write-ahead file grow.
    """
    with ExitStack() as stack:
        with suppress(LockHeldError):
            stack.enter_context(
                locks.hold(ARCHIVE_LOCK, wait_seconds=ARCHIVER_WAIT_SECONDS, shared=True)
            )
        yield


@contextmanager
def hold_part(locks: Locks, part: str, *, wait_seconds: float = 0) -> Iterator[LockHandle]:
    """Hold the lock of a part of the service while the block runs.

    Waits up to `wait_seconds` for a holder that is about to end. Raises CommandError that
    names the process that holds the lock.
    """
    with ExitStack() as stack:
        try:
            handle = stack.enter_context(locks.hold(part, wait_seconds=wait_seconds))
        except LockHeldError as error:
            raise CommandError(
                ExitCode.ALREADY_RUNNING,
                f"{part} is already running on {locks.place}: {error}; "
                "stop that process, or name another store with POSTWATCH_DATA",
            ) from None
        yield handle
