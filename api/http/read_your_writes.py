"""Reading what was just written, also while the view cannot follow.

A command that is in the log is acknowledged, whatever becomes of the view: a client that
was told to try again would do the same thing twice.

Refuses to change anything while nobody could read the change afterwards.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from api.http.log_throttle import SELDOM
from projections.core.table import ViewUnavailableError
from store.ports.errors import STORE_UNAVAILABLE, outage_reason

if TYPE_CHECKING:
    from uuid import UUID

    import falcon

    from domain.application import NumberedLog
    from projections.core.projection import Projection
    from projections.core.projector import Projector
    from projections.core.table import Record
    from projections.readers.monitors import MonitorReader


_NOT_NOW: Final[tuple[type[Exception], ...]] = (*STORE_UNAVAILABLE, ViewUnavailableError)


def catch_up(projector: Projector) -> bool:
    """Let every worker read what was written; return whether that worked.

    No request makes a view that is missing: that may take longer than any client waits.
    """
    try:
        projector.catch_up(makes=False)
    except _NOT_NOW as error:
        why = (
            type(error).__name__
            if isinstance(error, ViewUnavailableError)
            else outage_reason(error)
        )
        SELDOM.tell(
            *(logging.WARNING, projector, "view %s cannot follow its log now: %s"),
            *(projector.projection.name, why),
        )
        return False
    return True


def catch_up_best_effort(projector: Projector) -> None:
    """Let a reader see what was recorded; what the view shows already, if it cannot follow.

    Raises ViewUnavailableError when the view is none that this version of the code can read.
    """
    if not catch_up(projector):
        projector.require_current()


def retry_after_catch_up(projector: Projector) -> bool:
    """Let the view follow its log for something that was not found; return whether to look again.

    Raises an error of STORE_UNAVAILABLE when the view has no room to follow: it may be in the log
    then, and nobody can say that it is not there.
    """
    if not projector.is_current():
        return False
    projector.catch_up(makes=False)
    return True


def folded(application: NumberedLog, projection: Projection, thing: UUID) -> Record | None:
    """Return what the view will show of a thing: its stream folded as the view folds it."""
    record: Record | None = None
    for event in application.events.get(thing):
        document = projection.handlers.get(type(event))
        if document is not None:
            record = document.fold(record, event)
    return record


_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class ViewGuard:
    """Falcon middleware. While a view is being made anew, reads go on as far as they can."""

    def __init__(self, projector: Projector, reader: MonitorReader) -> None:
        self._projector = projector
        self._reader = reader

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Raise ViewUnavailableError before anything is recorded, so that a client may repeat."""
        if req.method not in _READING:
            self._projector.require_current()
            self._reader.require_readable()
