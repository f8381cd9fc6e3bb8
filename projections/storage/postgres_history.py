"""The queries of the `history` view on PostgreSQL.

What is asked for at a position never changes again, so statements need no common snapshot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from projections.history import OF_NOBODY
from projections.history_reader import EntryFilter, HistoryReader, PastRecords, PlacedEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.mail_config import Kind
    from projections.reader import MonitorFilter
    from projections.storage.postgres_queries import PostgresQueries
    from projections.view import Record

# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

Bound = dict[str, Any]

_VIEWS: Final = "postwatch_views"
_POSITION: Final = b"""
SELECT position FROM postwatch_views.sides WHERE view = 'history' AND side = 'live'
"""
# The sum keeps the index of positions away, which would be gone through from the log's
# beginning, row by row: most often a time is asked for that few events are later than.
_POSITION_AT: Final = f"""
SELECT max(position) FROM {_VIEWS}.entries WHERE position < coalesce(
    (SELECT min(position + 0) FROM {_VIEWS}.entries WHERE at > %(time)s), %(beyond)s
)
""".encode()
_BEYOND: Final = 2**62
_TIME_AT: Final = f"""
SELECT at FROM {_VIEWS}.entries WHERE position <= %(position)s ORDER BY position DESC LIMIT 1
""".encode()
_ENTRIES: Final = f"""
SELECT position, record FROM {_VIEWS}.entries
WHERE {{where}} AND position > %(after)s AND position <= %(until)s
ORDER BY position LIMIT %(limit)s
"""
_ENTRIES_OF: Final = f"""
SELECT position, record FROM {_VIEWS}.entries
WHERE thing = %(thing)s AND position < %(before)s ORDER BY position DESC LIMIT %(limit)s
""".encode()
_VERSION: Final = f"""(
    SELECT {{what}} FROM {_VIEWS}.versions
    WHERE thing = {{thing}} AND since <= %(position)s ORDER BY since DESC LIMIT 1
)"""
_THERE: Final = "made <= %(position)s AND gone > %(position)s"
_FOUND: Final = _VERSION.format(what="position(%(part)s in search) > 0", thing="{thing}")
_SOUGHT: Final = f"""(
    {_FOUND.format(thing="things.key")}
    OR customer_id IN (
        SELECT customer.key FROM {_VIEWS}.things AS customer
        WHERE customer.kind = 'customer' AND {_FOUND.format(thing="customer.key")}
    )
)"""
_THING: Final = f"SELECT record FROM {_VIEWS}.things WHERE key = %s".encode()
_EQUAL: Final = ("customer", "thing", "actor")


class PostgresHistory(HistoryReader):
    """Reads the `history` view."""

    def __init__(self, queries: PostgresQueries) -> None:
        self._queries = queries

    def position(self) -> int:
        """Return the position up to which everything is shown."""
        rows = self._queries.select(_POSITION)
        return rows[0][0] if rows else 0

    def position_at(self, time: str) -> int:
        """Return the position of the last entry before the first one later than a time."""
        ((position,),) = self._queries.select(_POSITION_AT, {"time": time, "beyond": _BEYOND})
        return position or 0

    def time_at(self, position: int) -> str | None:
        """Return the time of the newest entry up to a position; None when there is none."""
        rows = self._queries.select(_TIME_AT, {"position": position})
        return rows[0][0] if rows else None

    def thing(self, public_id: str) -> Record | None:
        """Return whose a thing is, its kind and number, and from when to when it was there."""
        rows = self._queries.select(_THING, (public_id,))
        return orjson.loads(rows[0][0]) if rows else None

    def entries(
        self, which: EntryFilter, after: int, until: int, limit: int
    ) -> Sequence[PlacedEntry]:
        """Return the first entries after a position and up to another, oldest first.

        Each owner's entries come by an index in the order of positions, so they are asked
        for one owner at a time and merged here.
        """
        owners = [which.organization, *([OF_NOBODY] if which.installation else [])]
        where, bound = _conditions(which)
        statement = _ENTRIES.format(where=where).encode()
        found = [
            PlacedEntry(*row)
            for owner in owners
            for row in self._queries.select(
                statement,
                {**bound, "owner": owner, "after": after, "until": until, "limit": limit},
            )
        ]
        return sorted(found, key=lambda each: each.position)[:limit]

    def entries_of(self, public_id: str, before: int, limit: int) -> Sequence[PlacedEntry]:
        """Return the last entries about a thing before a position, newest first."""
        bound: Bound = {"thing": public_id, "before": before, "limit": limit}
        return [PlacedEntry(*row) for row in self._queries.select(_ENTRIES_OF, bound)]

    def owner(self, kind: str, identifier: int | str, position: int) -> Record | None:
        """Return an organization or a customer as it was, by number or public id."""
        column = "number" if isinstance(identifier, int) else "key"
        rows = self._queries.select(
            f"SELECT {_VERSION.format(what='record', thing='things.key')} FROM {_VIEWS}.things "
            f"WHERE kind = %(kind)s AND {column} = %(identifier)s AND {_THERE}".encode(),
            {"kind": kind, "identifier": identifier, "position": position},
        )
        return _value(rows[0][0]) if rows else None

    def monitor(self, kind: Kind, public_id: str, position: int) -> PastRecords | None:
        """Return a monitor of a kind as it was."""
        found = self._past(
            f"kind = %(kind)s AND key = %(key)s AND {_THERE}",
            {"kind": str(kind), "key": public_id, "position": position},
        )
        return found[0] if found else None

    def monitors(
        self, which: MonitorFilter, position: int, page: int, per_page: int
    ) -> tuple[Sequence[PastRecords], int]:
        """Return a page of the monitors that were there, by number, and how many there were."""
        bound: Bound = {
            "kind": str(which.kind),
            "organization_id": which.organization_id,
            "position": position,
            "limit": per_page,
            "offset": (page - 1) * per_page,
        }
        where = f"kind = %(kind)s AND organization_id = %(organization_id)s AND {_THERE}"
        if which.customer_id is not None:
            bound["customer_id"] = which.customer_id
            where += " AND customer_id = %(customer_id)s"
        if which.search:
            bound["part"] = which.search.casefold()
            where += f" AND {_SOUGHT}"
        ((total,),) = self._queries.select(
            f"SELECT count(*) FROM {_VIEWS}.things WHERE {where}".encode(), bound
        )
        page_of = f"{where} ORDER BY number LIMIT %(limit)s OFFSET %(offset)s"
        return self._past(page_of, bound), total

    def _past(self, where: str, bound: Bound) -> list[PastRecords]:
        """Return the records of things that a condition finds, each with its owners'."""
        owned = [
            _VERSION.format(what="record", thing=f"things.{each}")
            for each in ("key", "customer_id", "organization_id")
        ]
        statement = f"SELECT {', '.join(owned)} FROM {_VIEWS}.things WHERE {where}".encode()
        return [PastRecords(*map(_value, row)) for row in self._queries.select(statement, bound)]

    def close(self) -> None:
        """Do nothing: the connections are shared."""


def _value(version: bytes) -> Record:
    value: Record = orjson.loads(version)["value"]
    return value


def _conditions(which: EntryFilter) -> tuple[str, Bound]:
    """Return the condition of a filter and the values that it binds."""
    parts, bound = ["organization = %(owner)s"], Bound()
    for column in _EQUAL:
        value = getattr(which, column)
        if value is not None:
            parts.append(f"{column} = %({column})s")
            bound[column] = value
    if which.begin is not None:
        parts.append("at >= %(begin)s")
        bound["begin"] = which.begin
    if which.end is not None:
        parts.append("at < %(end)s")
        bound["end"] = which.end
    if which.types:
        parts.append("type = ANY(%(types)s)")
        bound["types"] = list(which.types)
    return " AND ".join(parts), bound
