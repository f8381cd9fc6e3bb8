"""Read your writes: after a command the view catches up with the log before the answer.

A command that is in the log is acknowledged even if the view cannot follow: a client that
got 503 would repeat it. `ViewGuard` refuses a request before its command runs when the view
could not show the change.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from api.http.execution import require_thread
from api.http.log_throttle import LOG_THROTTLE
from projections.core.table import ViewUnavailableError
from store.ports.errors import STORE_UNAVAILABLE, outage_reason

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from projections.core.projector import Projector
    from projections.readers.monitors import MonitorReader


_CANNOT_FOLLOW: Final[tuple[type[Exception], ...]] = (*STORE_UNAVAILABLE, ViewUnavailableError)


def catch_up(projector: Projector) -> bool:
    """Catch the view up with its log, for all workers; return whether that worked.

    A missing view is not built here: that may take longer than any client waits. Runs in a
    thread, because it waits for other writers of the view.
    """
    require_thread()
    return _attempt(projector, lambda: projector.catch_up(may_build=False))


def _attempt(projector: Projector, work: Callable[[], object]) -> bool:
    """Write to a view; log why, and return False, when it cannot be written now."""
    try:
        work()
    except _CANNOT_FOLLOW as error:
        why = (
            type(error).__name__
            if isinstance(error, ViewUnavailableError)
            else outage_reason(error)
        )
        name = projector.projection.name
        message = "view %s cannot follow its log now: %s"
        LOG_THROTTLE.log(logging.WARNING, projector, message, name, why)
        return False
    return True


def follow(projector: Projector, log: str) -> None:
    """Show in a view over several logs what a command recorded in one of them, if that works."""
    require_thread()
    _attempt(projector, lambda: projector.follow(log))


def catch_up_best_effort(projector: Projector) -> None:
    """Catch the view up before a read; if that fails, the read gets what the view shows now.

    Raises ViewUnavailableError when this version of the code cannot read the view.
    """
    if not catch_up(projector):
        projector.require_current()


def retry_after_catch_up(projector: Projector) -> bool:
    """Catch the view up after something was not found; return whether to look again.

    Raises an error of STORE_UNAVAILABLE when the view cannot follow: the thing may be in the
    log, so 404 could be wrong.
    """
    if not projector.is_current():
        return False
    require_thread()
    projector.catch_up(may_build=False)
    return True


_READ_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class ViewGuard:
    """Check of admission: refuses changes while the view is being rebuilt; reads go on."""

    def __init__(self, projector: Projector, reader: MonitorReader) -> None:
        self._projector = projector
        self._reader = reader

    def check(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Raise ViewUnavailableError before anything is recorded, so that the client may repeat."""
        if req.method not in _READ_METHODS:
            self._projector.require_current()
            self._reader.require_readable()
