"""What the API would have answered at a position: the same shapes, of what was there then."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from domain.last_check import last_check_at
from domain.secret_fields import mask_secret
from projections.reader import MonitorView, Page, ShownMonitor
from projections.shapes import Form, Shape, monitor_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.checks import Checks
    from domain.mail_config import Kind
    from projections.history_reader import HistoryReader, PastRecords
    from projections.reader import MonitorFilter
    from projections.view import Record


class Past:
    """Answers as a `Reader` does, at one position and one time."""

    def __init__(
        self,
        history: HistoryReader,
        checks: Checks,
        locations: Sequence[str],
        position: int,
        time: str | None,
    ) -> None:
        """Take the codes of all locations, and the time up to which checks count.

        Without a time there was nothing yet.
        """
        self._history = history
        self._checks = checks
        self._locations = locations
        self.position = position
        self._time = time

    def organization(self, identifier: int | str) -> Record | None:
        """Return an organization by number or public id."""
        return self._history.owner("organization", identifier, self.position)

    def customer(self, identifier: int | str) -> Record | None:
        """Return a customer by number or public id."""
        return self._history.owner("customer", identifier, self.position)

    def shown_monitor(self, kind: Kind, public_id: str) -> ShownMonitor | None:
        """Return a monitor of a kind as the API showed it."""
        found = self._history.monitor(kind, public_id, self.position)
        if found is None:
            return None
        monitor = found.monitor
        body = orjson.dumps(self._shape(found, "read")).decode()
        return ShownMonitor(
            monitor["organization_id"], monitor["customer_id"], monitor["version"], body
        )

    def monitors(self, which: MonitorFilter, page: int, per_page: int) -> Page:
        """Return a page of monitors by number, counting pages from 1."""
        found, total = self._history.monitors(which, self.position, page, per_page)
        return Page(orjson.dumps([self._shape(each, "listed") for each in found]), total)

    def _shape(self, records: PastRecords, form: Form) -> Shape:
        monitor = records.monitor
        view = MonitorView(*records, self._last_checked_at(UUID(monitor["public_id"])))
        return monitor_shape(view, form, mask_secret(monitor["kind"], monitor["config"]))

    def _last_checked_at(self, monitor_id: UUID) -> str | None:
        if self._time is None:
            return None
        times = [
            last_check_at(self._checks, monitor_id, location, self._time)
            for location in self._locations
        ]
        return max((each for each in times if each is not None), default=None)
