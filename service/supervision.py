"""Supervises parts as child processes: starts, restarts and stops them in order."""

from __future__ import annotations

import logging
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


log = logging.getLogger("postwatch.up")

GRACE_SECONDS: Final = 40
"""How long a part may drain before it is killed. Longer than gunicorn's own grace."""

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 10.0
"""Bounds of the exponential backoff between restarts of a part."""

STABLE_SECONDS: Final = 30.0
"""A part that ran this long counts as healthy: its next restart is quick again."""

START_SECONDS: Final = 30.0
"""A part that ran this long has started: a later failure, such as a full disk, may pass."""

_PERMANENT: Final = frozenset(code.value for code in ExitCode if code >= ExitCode.USAGE)
"""Exit statuses of a first start that a restart does not mend."""


@dataclass(slots=True)
class Part:
    """A child process: its name in log lines and its command."""

    name: str
    command: Sequence[str]
    process: trio.Process | None = field(default=None, repr=False)
    has_failed_to_start: bool = False


async def supervise(
    parts: Sequence[Part],
    on_started: Callable[[], None],
    *,
    grace_seconds: float = GRACE_SECONDS,
    start_seconds: float = START_SECONDS,
) -> None:
    """Run the parts until SIGINT or SIGTERM, then stop them.

    `on_started` runs in a thread once the parts are started, to wait until they answer.
    A part that does not end within `grace_seconds` is killed. Raises CommandError when a
    part fails within its first `start_seconds` with a status that a restart does not mend.
    """
    stopping = trio.Event()
    supervisor = _Supervisor(stopping, grace_seconds, start_seconds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, stopping, nursery.cancel_scope)
        for part in parts:
            nursery.start_soon(supervisor.keep_running, part, nursery.cancel_scope)
        await trio.to_thread.run_sync(on_started, abandon_on_cancel=True)
    failed = next((part for part in parts if part.has_failed_to_start), None)
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


@dataclass(frozen=True, slots=True)
class _Supervisor:
    """Keeps parts running; `stopping` is set once a signal has asked for the end."""

    stopping: trio.Event
    grace_seconds: float
    start_seconds: float

    async def keep_running(self, part: Part, scope: trio.CancelScope) -> None:
        """Run a part for ever.

        A part that cannot start cancels the scope of all. One that has started and fails
        later, while the disk is full, say, is restarted again and again.
        """
        pause, is_first = FIRST_PAUSE_SECONDS, True
        while True:
            started = trio.current_time()
            status = await self._run_once(part)
            lasted = trio.current_time() - started
            if lasted > STABLE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            if is_first and lasted < self.start_seconds and status in _PERMANENT:
                part.has_failed_to_start = True
                log.error("%s ended with %s", part.name, status)
                scope.cancel()
                return
            is_first = False
            log.warning("%s ended with %s; starting it again in %.1f s", part.name, status, pause)
            await trio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _run_once(self, part: Part) -> int:
        """Run a part until it ends. When cancelled, ask it to end and wait for that."""
        # A session of its own: Ctrl-C reaches this process only, which stops the parts in order.
        part.process = await trio.lowlevel.open_process(part.command, start_new_session=True)
        log.info("%s started as process %d", part.name, part.process.pid)
        try:
            return await part.process.wait()
        finally:
            if part.process.returncode is None:
                with trio.CancelScope(shield=True):
                    await self._stop(part.name, part.process)
            if self.stopping.is_set():
                log.info("%s stopped", part.name)

    async def _stop(self, name: str, process: trio.Process) -> None:
        process.terminate()
        with trio.move_on_after(self.grace_seconds):
            await process.wait()
        if process.returncode is None:
            log.warning("%s did not end within %g s; it is killed", name, self.grace_seconds)
            process.kill()
            await process.wait()
