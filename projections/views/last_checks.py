"""The `checks` view: the last check of each monitor at each location."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from domain.check import CheckPerformed
from projections.core.projection import EventHandler, Projection
from projections.core.table import Table
from projections.views import records

if TYPE_CHECKING:
    from uuid import UUID


_KNOWN_STREAMS: Final = 1 << 16


@lru_cache(_KNOWN_STREAMS)
def _as_text(stream: UUID) -> str:
    return str(stream)


def stream_key(event: CheckPerformed) -> str:
    """Return the key of the row of a check's monitor and location."""
    return _as_text(event.originator_id)


LAST_CHECKS: Final = Table(
    "last_checks",
    {"monitor_id": "TEXT", "location": "TEXT", "checked_at": "TEXT"},
    lambda record: (record["monitor_id"], record["location"], record["checked_at"]),
    # Without the time: every check changes that, and would have to change the index too.
    # A monitor has few rows: one for each location that checks it.
    indexes=(("monitor_id",),),
)

PROJECTION: Final = Projection(
    name="checks",
    log="checks",
    tables=(LAST_CHECKS,),
    batch=2000,
    rebuild_batch=10_000,
    rest_seconds=0.1,
    handlers={
        CheckPerformed: EventHandler(LAST_CHECKS, stream_key, records.last_check, replaces=True),
    },
)
