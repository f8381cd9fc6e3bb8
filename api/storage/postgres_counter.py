"""The counts of the rate limit in PostgreSQL: one for all workers of all hosts.

The table is not logged: after a crash of the server the count begins anew. No request waits
long to be counted: when the server is slow or away nobody is counted for some seconds.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from api.rate_limit import Counter
from domain.storage.failures import STORE_AWAY
from domain.storage.outage import Outage

if TYPE_CHECKING:
    from domain.storage.postgres_connections import Connections

ANSWER_SECONDS: Final = 1.0
"""How long one request, now and then, waits to be counted when the server is frozen."""

PAUSE_SECONDS: Final = 5.0
"""How long nobody is counted then."""

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
        self._outage = Outage("requests are counted again", pause_seconds=PAUSE_SECONDS)

    def count(self, caller: str, window: int) -> int:
        """Count one more request and return how many there are in the window now."""
        values = {"caller": caller, "window": window}
        with (
            self._outage.attempt(),
            self._connections.get(answer_seconds=ANSWER_SECONDS) as connection,
        ):
            ((used,),) = connection.execute(_COUNT, values).fetchall()
        with suppress(*STORE_AWAY):
            self._forget_before(window)
        counted: int = used
        return counted

    def _forget_before(self, window: int) -> None:
        """Forget, once a window, who came before it: that may take longer than to count."""
        if window <= self._window:
            return
        self._window = window
        with self._connections.get(answer_seconds=ANSWER_SECONDS) as connection:
            connection.execute(_FORGET, (window,))
