"""One process for each part of a store, and the line for whoever comes second."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cli.exit_codes import ExitCode
from cli.failure import CommandError
from domain.storage.locks import HeldError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.storage.locks import Hold, Locks


@contextmanager
def hold(locks: Locks, part: str, *, wait_seconds: float = 0) -> Iterator[Hold]:
    """Hold the lock of a part while the block runs.

    Waits up to `wait_seconds` for a holder that is just ending. Raises CommandError that
    says which process holds the lock.
    """
    with ExitStack() as stack:
        try:
            held = stack.enter_context(locks.hold(part, wait_seconds=wait_seconds))
        except HeldError as error:
            raise CommandError(
                ExitCode.ALREADY_RUNNING,
                f"{part} is already running on {locks.place}: {error}; "
                "stop that process, or name another store with POSTWATCH_DATA",
            ) from None
        yield held
