"""A part that `postwatch up` started ends when its supervisor is gone.

Also when the supervisor was killed with no chance to say so: otherwise an orphan would
hold the locks and the port of the next start.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import Final

import click

from cli.exit_codes import ExitCode
from cli.failure import CommandError

LOCK_WAIT_SECONDS: Final = 20
"""How long a restarted part waits for its predecessor to end."""

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_LOOK_SECONDS: Final = 0.5

supervised_option = click.option("--supervised-by", type=int, hidden=True)


def follow_supervisor(pid: int | None) -> None:
    """Have this process terminated when its supervisor dies; None means it has none."""
    if pid is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(pid,), daemon=True).start()
    if os.getppid() != pid:  # it died before we could ask to be told
        raise CommandError(ExitCode.FAILED, "the supervisor is gone")


def lock_wait(pid: int | None) -> float:
    """Return how many seconds to wait for a lock."""
    return 0 if pid is None else LOCK_WAIT_SECONDS


def _watch(pid: int) -> None:
    stop = threading.Event()
    while os.getppid() == pid:
        stop.wait(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
