"""The counts of the rate limit in PostgreSQL: one for all workers of all hosts.

The table is not logged: after a crash of the server the count begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.rate_limit import Counter

if TYPE_CHECKING:
    from domain.storage.postgres_connections import Connections

_COUNT: Final = """
INSERT INTO postwatch.rate_counts AS counted VALUES (%(caller)s, %(window)s, 1)
ON CONFLICT (caller) DO UPDATE SET
    used = CASE WHEN counted.minute = excluded.minute THEN counted.used + 1 ELSE 1 END,
    minute = excluded.minute
RETURNING used
"""

# Callers that came once, from very many addresses, would fill the table.
_FORGET: Final = "DELETE FROM postwatch.rate_counts WHERE minute < %s"


class PostgresCounter(Counter):
    """Counts in a table; one row a caller, whatever the number of windows."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._window = 0

    def count(self, caller: str, window: int) -> int:
        """Count one more request and return how many there are in the window now."""
        with self._connections.get() as connection:
            if window > self._window:
                connection.execute(_FORGET, (window,))
                self._window = window
            values = {"caller": caller, "window": window}
            ((used,),) = connection.execute(_COUNT, values).fetchall()
        counted: int = used
        return counted
