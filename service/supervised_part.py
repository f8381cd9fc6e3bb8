"""A part that `postwatch up` started: it ends when its supervisor is gone.

It ends also when the supervisor was killed and could not stop it: an orphan would hold the
locks and the port that the next start needs.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from typing import Final

import click

from service.errors import CommandError, ExitCode

SUPERVISED_LOCK_WAIT_SECONDS: Final = 20.0
"""How long a part that its supervisor starts again waits for the end of its predecessor."""

LOCK_WAIT_SECONDS: Final = 0.2
"""How long any part waits: a command that asks who holds a lock shares it for an instant."""

_POLL_SECONDS: Final = 0.5

supervised_option = click.option("--supervised-by", type=int, hidden=True)
"""The process id of the supervisor, in the commands that `postwatch up` starts."""


def postwatch_command(*arguments: str) -> list[str]:
    """Return the command line that starts another `postwatch` of the same installation."""
    return [sys.executable, "-m", "cli.main", *arguments]


def exit_with_supervisor(pid: int | None) -> None:
    """Let this process end with SIGTERM when its supervisor dies; None means it has none.

    Raises CommandError when the supervisor is dead already.
    """
    if pid is None:
        return
    threading.Thread(target=_watch, args=(pid,), name="supervisor watch", daemon=True).start()
    if os.getppid() != pid:  # It died before the watch began.
        raise CommandError(ExitCode.FAILED, "the supervisor (`postwatch up`) has ended")


def lock_wait_seconds(supervisor_pid: int | None) -> float:
    """Return how long a part waits for its lock."""
    return LOCK_WAIT_SECONDS if supervisor_pid is None else SUPERVISED_LOCK_WAIT_SECONDS


def _watch(pid: int) -> None:
    """Wait for the end of a process, then end this one.

    PR_SET_PDEATHSIG would not do: it signals the end of the *thread* that started this
    process, and the supervisor starts its parts in a worker thread that ends after ten idle
    seconds.
    """
    if not _wait_on_handle(pid):
        stop = threading.Event()
        while os.getppid() == pid:
            stop.wait(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_on_handle(pid: int) -> bool:
    """Wait on a process handle (Linux 5.3 and later); return whether the system has them."""
    if sys.platform != "linux":
        return False
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    try:
        select.select([handle], [], [])
    finally:
        os.close(handle)
    return True
