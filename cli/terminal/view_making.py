"""Makes a view that a command needs, or waits while another process makes it.

An operator of a store without running processes need not know which view is missing. Where
a process keeps the views, the command leaves them to that process: the command may be of
another version, and would replace the views of a running service.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cli.terminal.output import print_line
from cli.terminal.progress import progress
from projections.catalog import PROJECTIONS_LOCK, rebuild_lock
from projections.core.runner import relax_gc
from service.errors import CommandError, ExitCode
from store.ports.locks import LockHeldError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from projections.core.projector import OnProgress, Projector
    from store.ports.locks import LockHolder, Locks


START_SECONDS: Final = 60.0
"""How long the process that keeps the views may take until it begins to make one."""

_POLL_SECONDS: Final = 0.2


def make_current(projector: Projector, locks: Locks, start_seconds: float = START_SECONDS) -> None:
    """Bring a view to the head of its log; make it first where that was not done.

    Raises CommandError when another process keeps the views and does not begin to make this
    one within `start_seconds`.
    """
    if not projector.is_current():
        relax_gc()
        while not projector.is_current():
            holder = _maker(projector, locks)
            if holder is None:
                with suppress(LockHeldError):  # Another process began first; wait for it.
                    _make(projector)
            else:
                _wait(projector, locks, holder, start_seconds)
        _say(projector, "is made")
    projector.catch_up()


def _maker(projector: Projector, locks: Locks) -> LockHolder | None:
    """Return the process that makes the view or is about to, if there is one."""
    return locks.holder(rebuild_lock(projector.projection.name)) or locks.holder(PROJECTIONS_LOCK)


def _make(projector: Projector) -> None:
    with _quiet_progress("making", projector) as report:
        has_begun = False

        def announce(position: int, head: int) -> None:
            nonlocal has_begun
            if not has_begun:
                start = f", starting at position {position}" if position else ""
                _say(projector, f"is not made yet: making it of {head} events{start} ...")
            has_begun = True
            report(position, head)

        projector.rebuild_if_needed(announce)


def _wait(projector: Projector, locks: Locks, holder: LockHolder, start_seconds: float) -> None:
    """Wait until the view is made, or until no process is making it."""
    _say(
        projector,
        f"is not made yet: waiting for the process that makes it ({holder}); Ctrl-C ends only "
        "this command ...",
    )
    seen = time.monotonic()
    with _quiet_progress("waiting for", projector) as report:
        while not projector.is_current() and _maker(projector, locks) is not None:
            if locks.holder(rebuild_lock(projector.projection.name)) is not None:
                seen = time.monotonic()
            elif time.monotonic() - seen > start_seconds:
                raise _not_started(projector, holder)
            report(projector.rebuilder.position() or 0, projector.log.head())
            time.sleep(_POLL_SECONDS)


def _not_started(projector: Projector, holder: LockHolder) -> CommandError:
    return CommandError(
        ExitCode.STORE_UNUSABLE,
        f"this version of Postwatch has not made the view {projector.projection.name}, and the "
        f"running `postwatch projections run` ({holder}) does not begin to: if it is busy, try "
        "again; if it is of another version, restart it with this one; otherwise see its log",
    )


def _quiet_progress(what: str, projector: Projector) -> AbstractContextManager[OnProgress]:
    return progress(f"{what} {projector.projection.name}", is_quiet=True)


def _say(projector: Projector, what: str) -> None:
    print_line(f"the view {projector.projection.name} {what}", error=True)
