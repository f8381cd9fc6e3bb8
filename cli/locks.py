"""One process for each part of a data folder, and the line for whoever comes second."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cli.exit_codes import ExitCode
from cli.failure import CommandError
from domain.storage.holding import HeldError, held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.store import DataFolder


@contextmanager
def hold(folder: DataFolder, part: str, *, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock of a part while the block runs.

    Waits up to `wait_seconds` for a holder that is just ending. Raises CommandError that
    says which process holds the lock.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(
                held(folder.locks / f"{part}.lock", part, wait_seconds=wait_seconds)
            )
        except HeldError as error:
            raise CommandError(
                ExitCode.ALREADY_RUNNING,
                f"{part} is already running on the data folder {folder.root}: {error}; "
                "stop that process, or set POSTWATCH_DATA to another folder",
            ) from None
        yield
