"""What the API would have answered at a position: the same shapes, of what was there then."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from domain.secret_fields import mask_secret
from projections.reader import MonitorView, Page, ShownMonitor
from projections.shapes import Form, Shape, monitor_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.last_check import LastChecks
    from domain.mail_config import Kind
    from projections.history_reader import HistoryReader, PastRecords
    from projections.reader import MonitorFilter
    from projections.view import Record


class Past:
    """Answers as a `Reader` does, at one position and one time."""

    def __init__(
        self,
        history: HistoryReader,
        checks: LastChecks,
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
        body = orjson.dumps(self._shapes([found], "read")[0]).decode()
        return ShownMonitor(
            *(monitor["organization_id"], monitor["customer_id"], monitor["version"]),
            *(body, self.position),
        )

    def monitors(self, which: MonitorFilter, page: int, per_page: int) -> Page:
        """Return a page of monitors by number, counting pages from 1."""
        found, total = self._history.monitors(which, self.position, page, per_page)
        return Page(orjson.dumps(self._shapes(found, "listed")), total, self.position)

    def _shapes(self, found: Sequence[PastRecords], form: Form) -> list[Shape]:
        ids = [UUID(each.monitor["public_id"]) for each in found]
        last = self._checks.at(ids, self._locations, self._time) if self._time else {}
        return [
            monitor_shape(
                MonitorView(*each, last.get(public_id)),
                form,
                mask_secret(each.monitor["kind"], each.monitor["config"]),
            )
            for each, public_id in zip(found, ids, strict=True)
        ]
