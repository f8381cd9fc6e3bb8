"""Makes a view that a command needs, or waits while another process makes it.

A user of a store without running processes need not know which view is missing. Where a
process keeps the views, the command leaves the view to that process: the command may be of
another version, and would replace the views of a running service.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cli.terminal.output import progress
from projections.catalog import PROJECTIONS_LOCK, rebuild_lock
from projections.core.runner import relax_gc
from service.errors import CommandError, ExitCode
from store.ports.locks import LockHeldError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from projections.core.projector import OnProgress, Projector
    from store.ports.locks import LockHolder, Locks


BEGIN_SECONDS: Final = 60.0
"""How long the process that keeps the views may take until it begins to make one."""

_LOOK_SECONDS: Final = 0.2


def bring_up_to_date(projector: Projector, locks: Locks) -> None:
    """Let a view show all that its log holds, and make it first where that was not done.

    Raises CommandError when another process keeps the views, but does not make this one.
    """
    if not projector.is_current():
        relax_gc()
        while not projector.is_current():
            holder = _maker(projector, locks)
            if holder is None:
                with suppress(LockHeldError):  # Another one was faster, and is waited for.
                    _make(projector)
            else:
                _wait(projector, locks, holder)
        _say(projector, "is made")
    projector.catch_up()


def _maker(projector: Projector, locks: Locks) -> LockHolder | None:
    """Return who makes the view, or is about to."""
    return locks.holder(rebuild_lock(projector.projection.name)) or locks.holder(PROJECTIONS_LOCK)


def _make(projector: Projector) -> None:
    with _quiet_progress("making", projector) as report:
        begun = False

        def told(position: int, head: int) -> None:
            nonlocal begun
            if not begun:
                whence = f" from position {position} on" if position else ""
                _say(projector, f"is not made yet: making it of {head} events{whence} ...")
            begun = True
            report(position, head)

        projector.rebuild_if_needed(told)


def _wait(projector: Projector, locks: Locks, holder: LockHolder) -> None:
    """Wait until the view is made, or until no process is making it."""
    _say(
        projector,
        f"is not made yet: waiting for the process that makes it ({holder}); Ctrl-C ends only "
        "the waiting ...",
    )
    seen = time.monotonic()
    with _quiet_progress("waiting for", projector) as report:
        while not projector.is_current() and _maker(projector, locks) is not None:
            if locks.holder(rebuild_lock(projector.projection.name)) is not None:
                seen = time.monotonic()
            elif time.monotonic() - seen > BEGIN_SECONDS:
                raise _not_begun(projector, holder)
            report(projector.rebuild_position() or 0, projector.log.head())
            time.sleep(_LOOK_SECONDS)


def _not_begun(projector: Projector, holder: LockHolder) -> CommandError:
    return CommandError(
        ExitCode.STORE_UNUSABLE,
        f"this version of Postwatch has not made the view {projector.projection.name}, and the "
        f"running `postwatch projections run` ({holder}) did not begin to: it may be busy, then "
        "try again; it may be of another version, then restart it with this one; otherwise its "
        "log says why",
    )


def _quiet_progress(what: str, projector: Projector) -> AbstractContextManager[OnProgress]:
    return progress(f"{what} {projector.projection.name}", is_quiet=True)


def _say(projector: Projector, what: str) -> None:
    print(f"the view {projector.projection.name} {what}", file=sys.stderr, flush=True)
