"""The queries of the `history` view on PostgreSQL."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from projections.storage.history_queries import Bound, HistoryQueries, within

if TYPE_CHECKING:
    from projections.history_reader import EntryFilter
    from projections.storage.postgres_queries import PostgresQueries

_POSITION: Final = b"""
SELECT position FROM postwatch_views.sides WHERE view = 'history' AND side = 'live'
"""
_EQUAL: Final = ("customer", "thing", "actor")
_TABLE: Final = re.compile(r"\bFROM (entries|things|versions)\b")
_NAMED: Final = re.compile(r":(\w+)")
_STATEMENTS: Final = 200
"""Far more than there are combinations of filters."""


class PostgresHistory(HistoryQueries):
    """Reads the `history` view."""

    FOUND = "position(:part in search) > 0"

    def __init__(self, queries: PostgresQueries) -> None:
        self._queries = queries

    def position(self) -> int:
        """Return the position up to which everything is shown."""
        rows = self._queries.select(_POSITION)
        return rows[0][0] if rows else 0

    def close(self) -> None:
        """Do nothing: the connections are shared."""

    def _conditions(self, which: EntryFilter) -> tuple[str, Bound]:
        values = {name: getattr(which, name) for name in _EQUAL}
        equal = {name: value for name, value in values.items() if value is not None}
        times, bound = within(which)
        parts = ["organization = :owner", *(f"{column} = :{column}" for column in equal), *times]
        if which.types:
            parts.append("type = ANY(:types)")
            bound["types"] = list(which.types)
        return " AND ".join(parts), {**equal, **bound}

    def _select(self, statement: str, bound: Bound) -> list[Any]:
        return self._queries.select(_in_its_words(statement), bound)


@lru_cache(maxsize=_STATEMENTS)
def _in_its_words(statement: str) -> bytes:
    """Name tables by their schema, and values as the driver wants it."""
    placed = _TABLE.sub(r"FROM postwatch_views.\1", statement)
    return _NAMED.sub(r"%(\1)s", placed).encode()
