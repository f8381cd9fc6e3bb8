"""The configuration as it was, folded from the log itself and from nothing else.

No view is read: what comes out is what the log says, and a test holds the views to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from domain.clock import iso_milliseconds
from projections import monitors
from projections.view import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.log_reader import LoggedEvent, LogReader
    from domain.moment import Point
    from projections.view import Record, Table

BATCH: Final = 500


class Replay(Transaction):
    """Rows in memory, as many as there are things, whatever they have been through.

    They are kept as JSON text, which takes a fraction of what objects take.
    """

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, bytes]] = {}
        self._position = 0
        self.time: str | None = None

    def position(self) -> int:
        """Return the position of the last event that was folded."""
        return self._position

    def set_position(self, position: int, mark: str = "") -> None:
        """Record how far the log was folded; `mark` is the time of the last event."""
        self._position = position
        self.time = mark

    def get(self, table: Table, key: str) -> Record | None:
        """Return a record."""
        found = self._rows.get(table.name, {}).get(key)
        return None if found is None else orjson.loads(found)

    def put(self, table: Table, key: str, record: Record | None) -> None:
        """Write a record; None removes it."""
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
        monitors.PROJECTION.apply(events, folded)
        folded.set_position(events[-1].position, _time(events[-1]))
    return folded


def _wanted(events: Sequence[LoggedEvent], until: Point) -> list[LoggedEvent]:
    """Return the events of a batch that come before the end."""
    for number, each in enumerate(events):
        if each.position > until if isinstance(until, int) else _time(each) > until:
            return list(events[:number])
    return list(events)


def _time(logged: LoggedEvent) -> str:
    return iso_milliseconds(logged.event.timestamp)
