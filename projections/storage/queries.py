"""The queries of the `history` view, written once for all engines.

What is asked for at a position never changes again, so statements need no common snapshot.
Names of values stand behind colons; an engine writes them in its own way.

The queries on owners, tokens and locations, which are the same on every engine.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

import orjson

from projections.readers.history import EntryFilter, HistoryReader, PlacedEntry
from projections.readers.monitors import MonitorReader, MonitorRecords
from projections.views.history import OF_NOBODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.kinds import Kind
    from projections.core.table import Record
    from projections.readers.monitors import MonitorFilter


# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

Bound = dict[str, Any]

# The sum keeps the index of positions away, which would be gone through from the log's
# beginning, row by row: most often a time is asked for that few events are later than.
_POSITION_AT: Final = """
SELECT max(position) FROM entries WHERE position < coalesce(
    (SELECT min(position + 0) FROM entries WHERE at > :time), :beyond
)
"""
_BEYOND: Final = 2**62
_TIME_AT: Final = """
SELECT at FROM entries WHERE position <= :position ORDER BY position DESC LIMIT 1
"""
_THING: Final = "SELECT record FROM things WHERE key = :key"
_ENTRIES: Final = """
SELECT position, record FROM entries
WHERE {where} AND position > :after AND position <= :until ORDER BY position LIMIT :limit
"""
_ENTRIES_OF: Final = """
SELECT position, record FROM entries
WHERE thing = :thing AND position < :before ORDER BY position DESC LIMIT :limit
"""
_VERSION: Final = """(
    SELECT {what} FROM versions
    WHERE thing = {thing} AND since <= :position ORDER BY since DESC LIMIT 1
)"""
_THERE: Final = "made <= :position AND gone > :position"


class HistoryQueries(HistoryReader):
    """Reads the `history` view by what an engine knows: how to select, and to look for a part."""

    FOUND: ClassVar[str]
    """Is true where the text `search` of a version contains `:part`."""

    def position_at(self, time: str) -> int:
        """Return the position of the last entry before the first one later than a time."""
        ((position,),) = self._select(_POSITION_AT, {"time": time, "beyond": _BEYOND})
        return position or 0

    def time_at(self, position: int) -> str | None:
        """Return the time of the newest entry up to a position; None when there is none."""
        rows = self._select(_TIME_AT, {"position": position})
        return rows[0][0] if rows else None

    def thing(self, public_id: str) -> Record | None:
        """Return whose a thing is, its kind and number, and from when to when it was there."""
        rows = self._select(_THING, {"key": public_id})
        return orjson.loads(rows[0][0]) if rows else None

    def entries(
        self, which: EntryFilter, after: int, until: int, limit: int
    ) -> Sequence[PlacedEntry]:
        """Return the first entries after a position and up to another, oldest first.

        Each owner's entries come by an index in the order of positions, so they are asked
        for one owner at a time and merged here.
        """
        owners = [which.organization, *([OF_NOBODY] if which.installation else [])]
        where, bound = self._conditions(which)
        found = [
            PlacedEntry(*row)
            for owner in owners
            for row in self._select(
                _ENTRIES.format(where=where),
                {**bound, "owner": owner, "after": after, "until": until, "limit": limit},
            )
        ]
        return sorted(found, key=lambda each: each.position)[:limit]

    def entries_of(self, public_id: str, before: int, limit: int) -> Sequence[PlacedEntry]:
        """Return the last entries about a thing before a position, newest first."""
        bound: Bound = {"thing": public_id, "before": before, "limit": limit}
        return [PlacedEntry(*row) for row in self._select(_ENTRIES_OF, bound)]

    def owner(self, kind: str, identifier: int | str, position: int) -> Record | None:
        """Return an organization or a customer as it was, by number or public id."""
        column = "number" if isinstance(identifier, int) else "key"
        rows = self._select(
            f"SELECT {_VERSION.format(what='record', thing='things.key')} FROM things "
            f"WHERE kind = :kind AND {column} = :identifier AND {_THERE}",
            {"kind": kind, "identifier": identifier, "position": position},
        )
        return _value(rows[0][0]) if rows else None

    def monitor(self, kind: Kind, public_id: str, position: int) -> MonitorRecords | None:
        """Return a monitor of a kind as it was."""
        found = self._past(
            f"kind = :kind AND key = :key AND {_THERE}",
            {"kind": str(kind), "key": public_id, "position": position},
        )
        return found[0] if found else None

    def monitors(
        self, which: MonitorFilter, position: int, page: int, per_page: int
    ) -> tuple[Sequence[MonitorRecords], int]:
        """Return a page of the monitors that were there, by number, and how many there were."""
        bound: Bound = {
            "kind": str(which.kind),
            "organization_id": which.organization_id,
            "position": position,
            "limit": per_page,
            "offset": (page - 1) * per_page,
        }
        where = f"kind = :kind AND organization_id = :organization_id AND {_THERE}"
        if which.customer_id is not None:
            bound["customer_id"] = which.customer_id
            where += " AND customer_id = :customer_id"
        if which.search:
            bound["part"] = which.search.casefold()
            where += f" AND {self._sought()}"
        ((total,),) = self._select(f"SELECT count(*) FROM things WHERE {where}", bound)
        items = self._past(f"{where} ORDER BY number LIMIT :limit OFFSET :offset", bound)
        return items, total

    def _past(self, where: str, bound: Bound) -> list[MonitorRecords]:
        """Return the records of things that a condition finds, each with its owners'."""
        owned = [
            _VERSION.format(what="record", thing=f"things.{each}")
            for each in ("key", "customer_id", "organization_id")
        ]
        rows = self._select(f"SELECT {', '.join(owned)} FROM things WHERE {where}", bound)
        return [
            MonitorRecords(_value(monitor), _value(customer), _value(organization))
            for monitor, customer, organization in rows
        ]

    def _sought(self) -> str:
        """Return what finds a part in the name of a monitor, or in that of its customer."""
        found, of_customer = (
            _VERSION.format(what=self.FOUND, thing=thing)
            for thing in ("things.key", "customer.key")
        )
        return f"""(
            {found} OR customer_id IN (
                SELECT customer.key FROM things AS customer
                WHERE customer.kind = 'customer' AND {of_customer}
            )
        )"""

    @abstractmethod
    def _conditions(self, which: EntryFilter) -> tuple[str, Bound]:
        """Return the condition of a filter, the owner as `:owner`, and the values it binds."""

    @abstractmethod
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        """Return the rows of a query."""


def within(which: EntryFilter) -> tuple[list[str], Bound]:
    """Return the conditions of a filter's times, and their values."""
    parts, bound = [], Bound()
    for name, value, condition in (
        ("begin", which.begin, "at >= :begin"),
        ("end", which.end, "at < :end"),
    ):
        if value is not None:
            parts.append(condition)
            bound[name] = value
    return parts, bound


def _value(version: bytes) -> Record:
    value: Record = orjson.loads(version)["value"]
    return value


class OwnerQueries(MonitorReader):
    """A reader that only has to know how its engine selects records."""

    def tokens(self, organization_id: str | None = None) -> Sequence[Record]:
        """Return the tokens of an organization, or all, by number; also revoked ones."""
        return self._all("tokens", organization_id)

    def organization(self, identifier: int | str) -> Record | None:
        """Return an organization by number or public id."""
        return self._one("organizations", _column(identifier), identifier)

    def organizations(self) -> Sequence[Record]:
        """Return all organizations by number."""
        return self._all("organizations")

    def customer(self, identifier: int | str) -> Record | None:
        """Return a customer by number or public id."""
        return self._one("customers", _column(identifier), identifier)

    def customers(self, organization_id: str | None = None) -> Sequence[Record]:
        """Return the customers of an organization, or all, by number."""
        return self._all("customers", organization_id)

    def locations(self) -> Sequence[Record]:
        """Return all locations by number, also retired ones."""
        return self._all("locations")

    @abstractmethod
    def _one(self, table: str, column: str, value: int | str) -> Record | None:
        """Return the record of a table that has a value in a column."""

    @abstractmethod
    def _all(self, table: str, organization_id: str | None = None) -> list[Record]:
        """Return the records of a table, or an organization's, by number."""


def _column(identifier: int | str) -> str:
    return "number" if isinstance(identifier, int) else "key"
