"""How a command fails: one line that says what, where and what to do next, and an exit code.

docs/operations.md documents the exit codes; their numbers do not change. `postwatch check`
has the codes of monitoring plugins instead.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

from domain.errors import ChangedLogError, DomainError, MasterKeyError, StoreError, TransferError
from projections.core.table import ViewUnavailableError
from service.visible_text import visible
from store.ports.errors import STORE_FAILS, DatabaseRefusedError, DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ExitCode(IntEnum):
    """The exit codes of every command but `check`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    STORE_UNUSABLE = 3
    MASTER_KEY_WRONG = 4
    ALREADY_RUNNING = 5
    ADDRESS_IN_USE = 6
    SETTINGS_WRONG = 7
    TAMPERED = 8
    FILE_UNUSABLE = 9
    VIEW_DIFFERS = 10
    MONITOR_DOWN = 11


class CommandError(Exception):
    """A command fails: `code` is its exit code, the text is the line to print."""

    def __init__(self, code: ExitCode, message: str) -> None:
        self.code = code
        super().__init__(message)


@contextmanager
def exit_on_failure() -> Iterator[None]:
    """Turn expected failures into a line on stderr and an exit code; a bug keeps its traceback."""
    try:
        with _unwrapping_single_error():
            yield
    except CommandError as error:
        _exit(error.code, str(error))
    except MasterKeyError as error:
        _exit(
            ExitCode.MASTER_KEY_WRONG,
            f"{error}; set POSTWATCH_MASTER_KEY (or POSTWATCH_MASTER_KEY_FILE) to the key that "
            "wraps the store's keys now",
        )
    except (StoreError, ViewUnavailableError) as error:
        _exit(ExitCode.STORE_UNUSABLE, str(error))
    except TransferError as error:
        _exit(ExitCode.FILE_UNUSABLE, str(error))
    except ChangedLogError as error:
        _exit(ExitCode.TAMPERED, str(error))
    except DomainError as error:
        _exit(ExitCode.FAILED, str(error))
    except STORE_FAILS as error:
        _exit(ExitCode.STORE_UNUSABLE, _describe_store_failure(error))


@contextmanager
def _unwrapping_single_error() -> Iterator[None]:
    """Raise the error of a single failed task without the exception group of its nursery."""
    try:
        yield
    except BaseExceptionGroup as group:
        found: BaseException = group
        while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
            found = found.exceptions[0]
        raise found from None


def _describe_store_failure(error: Exception) -> str:
    if isinstance(error, DatabaseUnavailableError | DatabaseRefusedError):
        return f"{error}; {error.diagnosis.advice}"
    # The text of these errors may contain event data, so only their class is shown.
    return (
        f"the store does not answer ({type(error).__name__}): it is locked, full or damaged; "
        "see the data folder's free space and permissions"
    )


def _exit(code: ExitCode, message: str) -> None:
    print(f"postwatch: {visible(message)}", file=sys.stderr)
    sys.exit(code)
