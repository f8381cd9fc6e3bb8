"""What the exit status of a command means; `postwatch check` has the plugins' own codes.

These numbers are documented in docs/operations.md and do not change.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit statuses of every command but `check`."""

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
