"""The roll-ups' queries on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from projections.uptime_report import RollUpReader
from projections.view import not_made

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.storage.postgres_queries import PostgresQueries
    from projections.view import Record

# One statement, so that everything is of one moment.
_ROWS: Final = b"""
SELECT (
    SELECT definition FROM postwatch_views.sides WHERE view = 'roll_ups' AND side = 'live'
), (
    SELECT array_agg(record ORDER BY key) FROM postwatch_views.streams
    WHERE monitor_id = %(monitor_id)s
), (
    SELECT array_agg(record ORDER BY key) FROM postwatch_views.days
    WHERE monitor_id = %(monitor_id)s AND day BETWEEN %(first)s AND %(last)s
)
"""


class PostgresRollUps(RollUpReader):
    """Reads the `roll_ups` view."""

    def __init__(self, queries: PostgresQueries, definition: str) -> None:
        self._queries = queries
        self._definition = definition

    def rows(
        self, monitor_id: str, first_day: str, last_day: str
    ) -> tuple[Sequence[Record], Sequence[Record]]:
        """Return a monitor's streams, and the days from one to another, of one moment.

        Raises ViewAwayError while the view is not the one that this code makes.
        """
        ((stored, streams, days),) = self._queries.select(
            _ROWS, {"monitor_id": monitor_id, "first": first_day, "last": last_day}
        )
        if stored != self._definition:
            raise not_made("roll_ups")
        return [orjson.loads(each) for each in streams or ()], [
            orjson.loads(each) for each in days or ()
        ]

    def close(self) -> None:
        """Do nothing: the connections are shared."""
