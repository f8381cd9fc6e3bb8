"""Signed tree heads as rows, in the very bytes that are lines of a file elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from domain.proof.heads import HeadStore, TreeHead, parse_head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.storage.postgres_connections import Connections

_LINES: Final = """
SELECT number, line FROM postwatch.heads WHERE log = %s AND number > %s ORDER BY number LIMIT %s
"""
PAGE: Final = 1000
"""How many heads are read at a time: there may be years of them."""

_NEWEST: Final = "SELECT line FROM postwatch.heads WHERE log = %s ORDER BY number DESC LIMIT %s"
_LOCK: Final = "LOCK TABLE postwatch.heads IN EXCLUSIVE MODE"
_APPEND: Final = """
INSERT INTO postwatch.heads
SELECT %(log)s, coalesce(max(number), 0) + 1, %(line)s FROM postwatch.heads WHERE log = %(log)s
"""


class PostgresHeads(HeadStore):
    """The heads of one log."""

    def __init__(self, connections: Connections, log: str) -> None:
        self.place = f"postwatch.heads of {log}"
        self._connections = connections
        self._log = log

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield each stored head with its number, from 1."""
        last = 0
        while True:
            with self._connections.get() as connection:
                rows = connection.execute(_LINES, (self._log, last, PAGE)).fetchall()
            # Not from within: whoever reads slowly keeps no connection from others.
            yield from rows
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def newest(self, count: int) -> list[TreeHead]:
        """Return the newest heads, newest first. Raises ProofError on a damaged one."""
        with self._connections.get() as connection:
            rows = connection.execute(_NEWEST, (self._log, count)).fetchall()
        return [parse_head(line) for (line,) in rows]

    def append(self, head: TreeHead) -> bool:
        """Add a head, durably; return False and add nothing unless it is larger than the last."""
        with self._connections.transaction() as connection:
            connection.execute(_LOCK)
            last = connection.execute(_NEWEST, (self._log, 1)).fetchone()
            if last is not None and parse_head(last[0]).size >= head.size:
                return False
            line = orjson.dumps(head.as_json()) + b"\n"
            connection.execute(_APPEND, {"log": self._log, "line": line})
            return True
