"""Reads of the past: the API's answers as of a position, and a log folded up to a position.

`MonitorsAsOf` makes the shapes of today from the `history` view. `replay` reads no view: its
rows are what the log itself says, and tests compare the views with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import orjson
from typing_extensions import override

from domain.clock import iso_milliseconds
from domain.config_secrets import mask_secrets
from projections.core.table import Transaction
from projections.readers.monitors import MonitorAnswers, Page, RenderedMonitor
from projections.shapes.monitor import Shape, ShapeForm, monitor_shape
from projections.views import monitors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.clock import Point
    from domain.kinds import Kind
    from projections.core.table import Record, Table
    from projections.readers.history import HistoryReader
    from projections.readers.monitors import MonitorFilter, MonitorRecords
    from store.last_checks import LastChecks
    from store.log_reader import LoggedEvent, LogReader


class MonitorsAsOf(MonitorAnswers):
    """Monitors and their owners at one position and one time, from the `history` view."""

    def __init__(
        self,
        history: HistoryReader,
        checks: LastChecks,
        locations: Sequence[str],
        position: int,
        time: str | None,
    ) -> None:
        """Take the codes of all locations, and the time up to which checks count.

        `time` is None for a position at which there was no event yet.
        """
        self._history = history
        self._checks = checks
        self._locations = locations
        self.position = position
        self._time = time

    @override
    def organization(self, identifier: int | str) -> Record | None:
        return self._history.owner("organization", identifier, self.position)

    @override
    def customer(self, identifier: int | str) -> Record | None:
        return self._history.owner("customer", identifier, self.position)

    @override
    def rendered_monitor(self, kind: Kind, public_id: str) -> RenderedMonitor | None:
        found = self._history.monitor(kind, public_id, self.position)
        if found is None:
            return None
        monitor = found.monitor
        body = orjson.dumps(self._shapes([found], "read")[0]).decode()
        return RenderedMonitor(
            organization_id=monitor["organization_id"],
            customer_id=monitor["customer_id"],
            version=monitor["version"],
            body=body,
            position=self.position,
        )

    @override
    def monitors(self, which: MonitorFilter, page: int, per_page: int) -> Page:
        found, total = self._history.monitors(which, self.position, page, per_page)
        return Page(orjson.dumps(self._shapes(found, "listed")), total, self.position)

    def _shapes(self, found: Sequence[MonitorRecords], form: ShapeForm) -> list[Shape]:
        ids = [UUID(each.monitor["public_id"]) for each in found]
        last = self._checks.at(ids, self._locations, self._time) if self._time else {}
        return [
            monitor_shape(
                each._replace(last_checked_at=last.get(public_id)),
                form,
                mask_secrets(each.monitor["config"]),
            )
            for each, public_id in zip(found, ids, strict=True)
        ]


BATCH: Final = 500


class Replay(Transaction):
    """Rows in memory, one for each thing.

    They are kept as JSON text, which takes a fraction of the memory of objects. `time` is that
    of the last event.
    """

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, bytes]] = {}
        self._position = 0
        self.time: str | None = None

    @override
    def tracked_position(self) -> tuple[int, str]:
        return self._position, ""

    @override
    def set_position(self, position: int, last_event_id: str = "") -> None:
        self._position = position

    @override
    def get(self, table: Table, key: str) -> Record | None:
        found = self._rows.get(table.name, {}).get(key)
        return None if found is None else orjson.loads(found)

    @override
    def put(self, table: Table, key: str, record: Record | None) -> None:
        rows = self._rows.setdefault(table.name, {})
        if record is None:
            rows.pop(key, None)
        else:
            rows[key] = orjson.dumps(record)

    def rows(self, table: Table) -> Iterator[tuple[str, Record]]:
        """Return the records of a table by key, in the order in which they were made."""
        for key, record in self._rows.get(table.name, {}).items():
            yield key, orjson.loads(record)


def replay(log: LogReader, until: Point) -> Replay:
    """Fold a log up to a position, or up to its first event that is later than a time."""
    folded = Replay()
    while events := _wanted(log.after(folded.position(), BATCH), until):
        monitors.PROJECTION.fold(events, folded)
        folded.set_position(events[-1].position)
        folded.time = _time(events[-1])
    return folded


def _wanted(events: Sequence[LoggedEvent], until: Point) -> list[LoggedEvent]:
    """Return the events of a batch that come before the end."""
    for number, each in enumerate(events):
        if each.position > until if isinstance(until, int) else _time(each) > until:
            return list(events[:number])
    return list(events)


def _time(logged: LoggedEvent) -> str:
    return iso_milliseconds(logged.event.timestamp)
