"""The `checks` view: the last check of each monitor at each location."""

from __future__ import annotations

from typing import Final

from domain.check import CheckPerformed
from projections import records
from projections.projection import Document, Projection
from projections.view import Table

LAST_CHECKS: Final = Table(
    "last_checks",
    {"monitor_id": "TEXT", "location": "TEXT", "checked_at": "TEXT"},
    lambda record: (record["monitor_id"], record["location"], record["checked_at"]),
    indexes=(("monitor_id", "checked_at"),),
)

PROJECTION: Final = Projection(
    name="checks",
    log="checks",
    tables=(LAST_CHECKS,),
    documents={
        CheckPerformed: Document(
            LAST_CHECKS, lambda event: str(event.originator_id), records.last_check
        ),
    },
)
