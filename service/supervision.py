"""Runs parts as child processes: starts them, starts them again, stops them cleanly.

A part that `postwatch up` started ends when its supervisor is gone.

Also when the supervisor was killed with no chance to say so: otherwise an orphan would
hold the locks and the port of the next start.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import click
import trio

from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


log = logging.getLogger("postwatch.up")

GRACE_SECONDS: Final = 40
"""How long a part may drain before it is killed. Longer than gunicorn's own grace."""

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 10.0
STEADY_SECONDS: Final = 30.0
"""A part that ran this long is taken to be well: its next restart is quick again."""

START_SECONDS: Final = 30.0
"""A part that ran so long did start: what ends it later may pass, like a disk that is full."""

_HOPELESS: Final = frozenset(code.value for code in ExitCode if code >= ExitCode.USAGE)
"""Exit statuses that starting again does not mend, when they come first."""


@dataclass(slots=True)
class Part:
    """A child process: its name in log lines and its command."""

    name: str
    command: Sequence[str]
    process: trio.Process | None = field(default=None, repr=False)
    is_hopeless: bool = False


async def supervise(parts: Sequence[Part], on_started: Callable[[], None]) -> None:
    """Run the parts until SIGINT or SIGTERM, then stop them.

    `on_started` is called in a thread once the parts are started, to wait until they
    answer. Raises CommandError when a part cannot start at all.
    """
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, stopping, nursery.cancel_scope)
        for part in parts:
            nursery.start_soon(_keep_running, part, nursery.cancel_scope, stopping)
        await trio.to_thread.run_sync(on_started, abandon_on_cancel=True)
    failed = next((part for part in parts if part.is_hopeless), None)
    if failed is not None and failed.process is not None and not stopping.is_set():
        raise CommandError(
            ExitCode(failed.process.returncode or ExitCode.FAILED),
            f"{failed.name} could not start; see its message above",
        )


async def _stop_on_signal(stopping: trio.Event, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            log.info("%s: stopping", signal.Signals(number).name)
            stopping.set()
            scope.cancel()
            return


async def _keep_running(part: Part, scope: trio.CancelScope, stopping: trio.Event) -> None:
    """Run a part for ever.

    A part that cannot start at all ends everything, with its message. One that did start
    and fails later, when the disk is full for a while, say, is started again and again.
    """
    pause, is_first = FIRST_PAUSE_SECONDS, True
    while True:
        started = trio.current_time()
        status = await _run_once(part, stopping)
        lasted = trio.current_time() - started
        if lasted > STEADY_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        if is_first and lasted < START_SECONDS and status in _HOPELESS:
            part.is_hopeless = True
            log.error("%s ended with %s", part.name, status)
            scope.cancel()
            return
        is_first = False
        log.warning("%s ended with %s; starting it again in %.1f s", part.name, status, pause)
        await trio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


async def _run_once(part: Part, stopping: trio.Event) -> int:
    """Run a part until it ends. When cancelled, ask it to end and wait for that."""
    # A session of its own: Ctrl-C reaches this process only, which stops the parts in order.
    part.process = await trio.lowlevel.open_process(part.command, start_new_session=True)
    log.info("%s started as process %d", part.name, part.process.pid)
    try:
        return await part.process.wait()
    finally:
        if part.process.returncode is None:
            with trio.CancelScope(shield=True):
                await _stop(part)
        if stopping.is_set():
            log.info("%s stopped", part.name)


async def _stop(part: Part) -> None:
    assert part.process is not None  # noqa: S101 - called for a running part only
    part.process.terminate()
    with trio.move_on_after(GRACE_SECONDS):
        await part.process.wait()
    if part.process.returncode is None:
        log.warning("%s did not end within %d s; it is killed", part.name, GRACE_SECONDS)
        part.process.kill()
        await part.process.wait()


def own_command(*arguments: str) -> list[str]:
    """Return the command line that starts another `postwatch` of the same installation."""
    return [sys.executable, "-m", "cli.main", *arguments]


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
