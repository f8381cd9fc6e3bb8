"""Taking archived events out of the table of their log, a few at a time.

The newest event of each stream stays, as in SQLite: the next one needs its version.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from domain.storage.postgres_connections import LONG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.storage.postgres_connections import Connections

BATCH: Final = 1000
"""Rows a transaction, so that no other one waits long for rows or for vacuum."""

_NEXT: Final = """
SELECT max(notification_id) FROM (
    SELECT notification_id FROM postwatch_checks.checks_events
    WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s
) AS next
"""
_DELETE: Final = """
DELETE FROM postwatch_checks.checks_events AS old
WHERE notification_id > %s AND notification_id <= %s AND EXISTS (
    SELECT FROM postwatch_checks.checks_events AS newer
    WHERE newer.originator_id = old.originator_id
    AND newer.originator_version > old.originator_version
)
"""


def prune(
    connections: Connections,
    position: int,
    through: int,
    *,
    rest: Callable[[float], None] = time.sleep,
) -> int:
    """Take checks behind a position out of their log, up to another; return how many.

    Never called for checks that are not in the archive. Between two transactions it rests
    as long as the last one took, so that those who write come in.
    """
    taken = 0
    while True:
        started = time.monotonic()
        with connections.get(answer_seconds=LONG_SECONDS) as connection:
            ((end,),) = connection.execute(_NEXT, (position, through, BATCH)).fetchall()
            if end is None:
                return taken
            taken += connection.execute(_DELETE, (position, end)).rowcount
        position = end
        rest(time.monotonic() - started)
