"""A part that `postwatch up` started ends when its supervisor is gone.

Also when the supervisor was killed with no chance to say so: otherwise an orphan would
hold the locks and the port of the next start.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from typing import Final

import click

from cli.exit_codes import ExitCode
from cli.failure import CommandError

LOCK_WAIT_SECONDS: Final = 20
"""How long a restarted part waits for its predecessor to end."""

ASKED_SECONDS: Final = 0.2
"""How long any part waits: a command that asks who holds a lock shares it for an instant."""

_LOOK_SECONDS: Final = 0.5

supervised_option = click.option("--supervised-by", type=int, hidden=True)


def follow_supervisor(pid: int | None) -> None:
    """Have this process terminated when its supervisor dies; None means it has none."""
    if pid is None:
        return
    threading.Thread(target=_watch, args=(pid,), name="supervisor watch", daemon=True).start()
    if os.getppid() != pid:  # it died before we could ask to be told
        raise CommandError(ExitCode.FAILED, "the supervisor is gone")


def lock_wait(pid: int | None) -> float:
    """Return how many seconds to wait for a lock."""
    return ASKED_SECONDS if pid is None else LOCK_WAIT_SECONDS


def _watch(pid: int) -> None:
    """Wait for the end of a process, then end this one.

    Not by PR_SET_PDEATHSIG, which tells the end of the *thread* that started us: the
    supervisor starts its parts in a worker thread that lives for ten idle seconds.
    """
    if not _wait_on_handle(pid):
        stop = threading.Event()
        while os.getppid() == pid:
            stop.wait(_LOOK_SECONDS)
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
