"""Output that is worth nothing unless it is whole."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli.exit_codes import ExitCode
from cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT: Final = Path("-")


@contextmanager
def whole(what: str, file: Path = STDOUT) -> Iterator[None]:
    """Say which file could not be written, and that what was written is not whole."""
    try:
        yield
        if file == STDOUT:
            sys.stdout.flush()
    except OSError as error:
        if file == STDOUT:  # or the interpreter would complain again when it flushes at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        name = "the standard output" if file == STDOUT else file
        raise CommandError(
            ExitCode.FAILED, f"cannot write to {name}: {error.strerror}; there is no whole {what}"
        ) from error
