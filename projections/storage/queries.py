"""The queries of the readers that every engine answers, each written once.

Statements are written for SQLite, with the plain names of tables and with `:name` for values;
`postgres_readers` translates them. The answer to a query on the history at a position never
changes, so the statements of one query need no common snapshot.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

import orjson
from typing_extensions import override

from domain.kinds import KINDS
from projections.readers.history import EntryFilter, HistoryReader, PlacedEntry
from projections.readers.monitors import (
    MonitorReader,
    MonitorRecords,
    MonitorRef,
    RenderedMonitor,
)
from projections.shapes.monitor import PLACEHOLDERS
from projections.storage.derived import count_key
from projections.views.history import OF_NOBODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.kinds import Kind
    from projections.core.table import Record, Table
    from projections.readers.monitors import MonitorFilter


# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

Bound = dict[str, Any]

_WITH_OWNERS: Final = """
FROM monitors m
JOIN customers c ON c.key = m.customer_id
JOIN organizations o ON o.key = m.organization_id
WHERE m.key = :key AND m.kind = :kind
"""
_MONITOR: Final = f"""
SELECT m.record, c.record, o.record, (
    SELECT max(checked_at) FROM last_checks WHERE monitor_id = m.key
)
{_WITH_OWNERS}
"""
LAST_CHECKED: Final = """coalesce((
    SELECT '"' || checked_at || '"' FROM last_checks
    WHERE monitor_id = m.key ORDER BY checked_at DESC LIMIT 1
), 'null')"""
_FILLERS: Final = {
    "organizationId": "o.number",
    "customerId": "c.number",
    "customerName": "c.listed_name",
    "lastCheckedAt": LAST_CHECKED,
    "customer": "printf(c.embedded, o.number)",
}
"""What fills each placeholder of a template."""

TAIL: Final = ",%s}"
"""Bound, as a percent sign in a statement means something to a driver."""


def with_tail(template: str) -> str:
    """Return a template of an object that takes one value more: further keys of it."""
    return f"substr({template}, 1, length({template}) - 1) || :tail"


def listed_item(organization: str, *, shows_state: bool, is_known: bool) -> str:
    """Return the item of a list of a kind: a filled template.

    `is_known`: the `states` view can be read; else items say that nothing is known.
    """
    fillers = f"{organization}, c.number, c.listed_name, {LAST_CHECKED}"
    if not shows_state:
        return f"printf(m.listed, {fillers})"
    known = "(SELECT known FROM states WHERE key = m.key)" if is_known else "NULL"
    return f"printf({with_tail('m.listed')}, {fillers}, coalesce({known}, :not_known))"


KEPT_TOTAL: Final = "SELECT number FROM monitors_counts WHERE counted = :counted"
_LAST_CHECK_BY_LOCATION: Final = (
    "SELECT location, max(checked_at) FROM last_checks GROUP BY location"
)
_LAST_CHECKS: Final = """
SELECT record FROM last_checks WHERE monitor_id = :monitor_id ORDER BY checked_at DESC, location
"""

_REF: Final = """
SELECT key, kind, number, organization_id, customer_id FROM monitors WHERE
"""
_REF_OF: Final = f"{_REF} key = :key"
_REF_NUMBERED: Final = (
    f"{_REF} kind = :kind AND organization_id = :organization_id AND number = :number"
)
_TAGS_OF: Final = """
SELECT t.record FROM monitor_tags m JOIN tags t ON t.key = m.tag_id
WHERE m.monitor_id = :monitor_id ORDER BY t.number
"""

# The sum keeps SQLite from the index of positions, which it would go through from the log's
# beginning, row by row: few events are later than the time that is usually asked for.
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
_EXISTED: Final = "made <= :position AND gone > :position"
_FOUND: Final = "instr(search, :part) > 0"
_TIMES: Final = {"begin": "at >= :begin", "end": "at < :end"}


class MonitorQueries(MonitorReader):
    """Reads the `monitors` and the `checks` view. An engine adds listing and selecting."""

    POSITION: ClassVar[str]
    """The position of the `monitors` view, as a part of a statement: of the same snapshot."""

    @override
    def token(self, token_hash: str) -> Record | None:
        return self._one("tokens", "token_hash", token_hash)

    @override
    def tokens(self, organization_id: str | None = None) -> Sequence[Record]:
        return self._all("tokens", organization_id)

    @override
    def organization(self, identifier: int | str) -> Record | None:
        return self._one("organizations", _column(identifier), identifier)

    @override
    def organizations(self) -> Sequence[Record]:
        return self._all("organizations")

    @override
    def customer(self, identifier: int | str) -> Record | None:
        return self._one("customers", _column(identifier), identifier)

    @override
    def customers(self, organization_id: str | None = None) -> Sequence[Record]:
        return self._all("customers", organization_id)

    @override
    def locations(self) -> Sequence[Record]:
        return self._all("locations")

    @override
    def last_check_of_locations(self) -> dict[str, str]:
        return dict(self._select(_LAST_CHECK_BY_LOCATION, {}))

    @override
    def resources(self, table: Table, organization_id: str) -> Sequence[Record]:
        return self._all(table.name, organization_id)

    @override
    def resource(self, table: Table, identifier: int | str) -> Record | None:
        return self._one(table.name, _column(identifier), identifier)

    @override
    def monitor_ref(self, public_id: str) -> MonitorRef | None:
        rows = self._select(_REF_OF, {"key": public_id}, owners_only=True)
        return MonitorRef(*rows[0]) if rows else None

    @override
    def monitor_numbered(self, kind: Kind, organization_id: str, number: int) -> MonitorRef | None:
        bound = {"kind": str(kind), "organization_id": organization_id, "number": number}
        rows = self._select(_REF_NUMBERED, bound, owners_only=True)
        return MonitorRef(*rows[0]) if rows else None

    @override
    def tags_of(self, monitor_id: str) -> Sequence[Record]:
        rows = self._select(_TAGS_OF, {"monitor_id": monitor_id}, owners_only=True)
        return [orjson.loads(record) for (record,) in rows]

    @override
    def monitor(self, kind: Kind, public_id: str) -> MonitorRecords | None:
        rows = self._select(_MONITOR, {"key": public_id, "kind": str(kind)})
        if not rows:
            return None
        *records, last_checked_at = rows[0]
        monitor, customer, organization = map(orjson.loads, records)
        return MonitorRecords(monitor, customer, organization, last_checked_at)

    @override
    def rendered_monitor(self, kind: Kind, public_id: str) -> RenderedMonitor | None:
        bound = {"key": public_id, "kind": str(kind)}
        rows = self._select(_rendered(kind, self.POSITION), bound)
        return RenderedMonitor(*rows[0]) if rows else None

    @override
    def monitor_count(self, organization_id: str) -> int:
        values = [{"kind": str(kind), "organization_id": organization_id} for kind in KINDS]
        bound = {f"kind{number}": count_key(each, each) for number, each in enumerate(values)}
        keys = ", ".join(f":{each}" for each in bound)
        statement = f"SELECT sum(number) FROM monitors_counts WHERE counted IN ({keys})"
        ((total,),) = self._select(statement, bound, owners_only=True)
        return int(total or 0)

    @override
    def last_checks(self, monitor_id: str) -> Sequence[Record]:
        rows = self._select(_LAST_CHECKS, {"monitor_id": monitor_id})
        return [orjson.loads(record) for (record,) in rows]

    def _one(self, table: str, column: str, value: int | str) -> Record | None:
        """Return the record of a table of owners that has a value in a column."""
        statement = f"SELECT record FROM {table} WHERE {column} = :value"
        rows = self._select(statement, {"value": value}, owners_only=True)
        return orjson.loads(rows[0][0]) if rows else None

    def _all(self, table: str, organization_id: str | None = None) -> list[Record]:
        """Return the records of a table of owners, or an organization's, by number."""
        where = "" if organization_id is None else "WHERE organization_id = :organization_id"
        statement = f"SELECT record FROM {table} {where} ORDER BY number"
        rows = self._select(statement, {"organization_id": organization_id}, owners_only=True)
        return [orjson.loads(record) for (record,) in rows]

    @abstractmethod
    def _select(self, statement: str, bound: Bound, *, owners_only: bool = False) -> list[Any]:
        """Return the rows of a query; `owners_only`: it does not need the `checks` view."""


@lru_cache
def _rendered(kind: Kind, position: str) -> str:
    """Return the query of one monitor; its template is filled in the order of its placeholders."""
    fillers = ", ".join(_FILLERS[each] for each in PLACEHOLDERS[kind, "read"])
    return (
        "SELECT m.organization_id, m.customer_id, m.version, "
        f"printf(m.shown, {fillers}), {position} {_WITH_OWNERS}"
    )


def filtered_columns(which: MonitorFilter) -> dict[str, str]:
    """Return the columns that a filter fixes, in the order of the counts that are kept."""
    values = {
        "kind": str(which.kind),
        "organization_id": which.organization_id,
        "customer_id": which.customer_id,
    }
    return {column: value for column, value in values.items() if value is not None}


class HistoryQueries(HistoryReader):
    """Reads the `history` view. An engine adds the selecting and its connections."""

    @override
    def position_at(self, time: str) -> int:
        ((position,),) = self._select(_POSITION_AT, {"time": time, "beyond": _BEYOND})
        return position or 0

    @override
    def time_at(self, position: int) -> str | None:
        rows = self._select(_TIME_AT, {"position": position})
        return rows[0][0] if rows else None

    @override
    def thing(self, public_id: str) -> Record | None:
        rows = self._select(_THING, {"key": public_id})
        return orjson.loads(rows[0][0]) if rows else None

    @override
    def entries(
        self, which: EntryFilter, after: int, until: int, limit: int
    ) -> Sequence[PlacedEntry]:
        """Return the first entries after a position and up to another, oldest first.

        An index gives the entries of one owner in the order of positions, so this asks for one
        owner at a time and merges the answers.
        """
        owners = [which.organization, *([OF_NOBODY] if which.installation else [])]
        where, bound = _conditions(which)
        found = [
            PlacedEntry(*row)
            for owner in owners
            for row in self._select(
                _ENTRIES.format(where=where),
                {**bound, "owner": owner, "after": after, "until": until, "limit": limit},
            )
        ]
        return sorted(found, key=lambda each: each.position)[:limit]

    @override
    def entries_of(self, public_id: str, before: int, limit: int) -> Sequence[PlacedEntry]:
        bound: Bound = {"thing": public_id, "before": before, "limit": limit}
        return [PlacedEntry(*row) for row in self._select(_ENTRIES_OF, bound)]

    @override
    def owner(self, kind: str, identifier: int | str, position: int) -> Record | None:
        rows = self._select(
            f"SELECT {_VERSION.format(what='record', thing='things.key')} FROM things "
            f"WHERE kind = :kind AND {_column(identifier)} = :identifier AND {_EXISTED}",
            {"kind": kind, "identifier": identifier, "position": position},
        )
        return _value(rows[0][0]) if rows else None

    @override
    def monitor(self, kind: Kind, public_id: str, position: int) -> MonitorRecords | None:
        found = self._records(
            f"kind = :kind AND key = :key AND {_EXISTED}",
            {"kind": str(kind), "key": public_id, "position": position},
        )
        return found[0] if found else None

    @override
    def monitors(
        self, which: MonitorFilter, position: int, page: int, per_page: int
    ) -> tuple[Sequence[MonitorRecords], int]:
        columns = filtered_columns(which)
        bound: Bound = {
            **columns,
            "position": position,
            "limit": per_page,
            "offset": (page - 1) * per_page,
        }
        where = " AND ".join([*(f"{each} = :{each}" for each in columns), _EXISTED])
        if which.search:
            bound["part"] = which.search.casefold()
            where += f" AND {_SOUGHT}"
        ((total,),) = self._select(f"SELECT count(*) FROM things WHERE {where}", bound)
        items = self._records(f"{where} ORDER BY number LIMIT :limit OFFSET :offset", bound)
        return items, total

    def _records(self, where: str, bound: Bound) -> list[MonitorRecords]:
        """Return the monitors that a condition finds, each with its owners."""
        columns = [
            _VERSION.format(what="record", thing=f"things.{each}")
            for each in ("key", "customer_id", "organization_id")
        ]
        rows = self._select(f"SELECT {', '.join(columns)} FROM things WHERE {where}", bound)
        return [
            MonitorRecords(_value(monitor), _value(customer), _value(organization))
            for monitor, customer, organization in rows
        ]

    @abstractmethod
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        """Return the rows of a query."""


_SOUGHT: Final = f"""(
    {_VERSION.format(what=_FOUND, thing="things.key")} OR customer_id IN (
        SELECT customer.key FROM things AS customer
        WHERE customer.kind = 'customer' AND {_VERSION.format(what=_FOUND, thing="customer.key")}
    )
)"""
"""Finds a part in the name of a monitor, or in that of its customer."""


def _conditions(which: EntryFilter) -> tuple[str, Bound]:
    """Return the condition of a filter, the owner as `:owner`, and the other values it binds."""
    values = {"customer": which.customer, "thing": which.thing, "actor": which.actor}
    equal = {name: value for name, value in values.items() if value is not None}
    limits = {"begin": which.begin, "end": which.end}
    times = {name: value for name, value in limits.items() if value is not None}
    types = {f"type{number}": each for number, each in enumerate(which.types)}
    # The plus keeps the index of the organization away where a narrower one serves.
    is_narrow = which.thing is not None or which.customer is not None
    parts = [
        "+organization = :owner" if is_narrow else "organization = :owner",
        *(f"{column} = :{column}" for column in equal),
        *(_TIMES[name] for name in times),
    ]
    if types:
        parts.append(f"type IN ({', '.join(f':{each}' for each in types)})")
    return " AND ".join(parts), {**equal, **times, **types}


def _column(identifier: int | str) -> str:
    """Return the column of an identifier: a number or a public id."""
    return "number" if isinstance(identifier, int) else "key"


def _value(version: bytes) -> Record:
    value: Record = orjson.loads(version)["value"]
    return value
