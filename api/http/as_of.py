"""`?asOf=`: a read of monitors is answered as it would have been at a time or position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.errors import InvalidParameterError
from api.http.read_your_writes import catch_up_best_effort
from domain.clock import Clock, parse_point, utc_now
from domain.errors import InvalidValueError
from projections.core.table import ViewUnavailableError
from projections.views.time_travel import MonitorsAsOf

if TYPE_CHECKING:
    import falcon

    from projections.core.projector import Projector
    from projections.readers.history import HistoryReader
    from projections.readers.monitors import MonitorAnswers, MonitorReader
    from store.last_checks import LastChecks


PARAMETER: Final = "asOf"
HEADER: Final = "X-As-Of-Position"
"""Header with the position of the audit log that an answer shows; `asOf` accepts it."""


class AsOf:
    """Chooses the source of an answer: the present, or the past that `asOf` names."""

    def __init__(
        self,
        now: MonitorReader,
        history: HistoryReader,
        projector: Projector,
        checks: LastChecks,
        clock: Clock = utc_now,
    ) -> None:
        self._now = now
        self._history = history
        self._projector = projector
        self._checks = checks
        self._clock = clock

    def answers(self, req: falcon.Request) -> MonitorAnswers:
        """Return the source of answers to a request.

        Raises 400 for a malformed point, a position beyond the log, or a time in the future.
        """
        text = req.get_param(PARAMETER)
        return self._now if text is None else self._past(text)

    def _past(self, text: str) -> MonitorsAsOf:
        # A plus that was not escaped arrives as a blank, which no time has.
        text, now, head = text.replace(" ", "+"), self._clock(), self._projector.log.head()
        try:
            point = parse_point(text, head=head, now=now)
        except InvalidValueError as error:
            raise InvalidParameterError(PARAMETER, error.message, code=error.code) from None
        catch_up_best_effort(self._projector)
        # Before the reads: a position up to `head` stays readable while the view goes on.
        if self._history.position() < (head if isinstance(point, str) else point):
            raise ViewUnavailableError("the view history is behind its log; try again in a moment")
        position = self._history.position_at(point) if isinstance(point, str) else point
        time = point if isinstance(point, str) else self._history.time_at(point)
        locations = [each["code"] for each in self._now.locations()]
        return MonitorsAsOf(self._history, self._checks, locations, position, time)
