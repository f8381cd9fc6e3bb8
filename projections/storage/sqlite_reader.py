"""The views' queries on SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from projections.reader import MonitorFilter, MonitorView, Page, Reader
from projections.storage.sqlite_derived import count_key, is_indexed, part_query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.mail_config import Kind
    from projections.storage.sqlite_view import SqliteView
    from projections.view import Record

# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

_ONE: Final = """
SELECT m.record, c.record, o.record
FROM monitors m
JOIN customers c ON c.key = m.customer_id
JOIN organizations o ON o.key = m.organization_id
WHERE m.key = ? AND m.kind = ?
"""
_LAST_CHECKED_OF_ONE: Final = "SELECT max(checked_at) FROM last_checks WHERE monitor_id = ?"
_OWNERS: Final = """
SELECT c.key, c.record, o.record
FROM customers c JOIN organizations o ON o.key = c.organization_id
WHERE c.key IN """
# A search finds few monitors among many: it comes first, by CROSS JOIN, and the rest follows.
_SOUGHT: Final = """
(
    {found}
    UNION
    SELECT id FROM monitors WHERE kind = ? AND customer_id IN
        (SELECT key FROM customers WHERE instr(search, ?) > 0)
) AS sought CROSS JOIN monitors ON monitors.id = sought.id
"""
_BY_INDEX: Final = "SELECT rowid AS id FROM monitors_parts WHERE monitors_parts MATCH ?"
# instr, not LIKE: a percent sign in the search is a percent sign.
_BY_LOOKING: Final = "SELECT id FROM monitors WHERE instr(search, ?) > 0"
# Many rows come as one text: Python gives up its lock for each row of a result, and under
# several threads that costs more than everything else about a list.
_TOGETHER: Final = "SELECT group_concat(CAST(record AS TEXT), ',') FROM"
_LAST_CHECKED: Final = """
SELECT json_group_array(
    (SELECT max(checked_at) FROM last_checks WHERE monitor_id = monitors.value)
) FROM json_each(?) AS monitors
"""
_BY_LOCATION: Final = "SELECT location, max(checked_at) FROM last_checks GROUP BY location"


class SqliteReader(Reader):
    """Reads the `monitors` and the `checks` view."""

    def __init__(self, monitors: SqliteView, checks: SqliteView) -> None:
        self._monitors = monitors
        self._checks = checks

    def token(self, token_hash: str) -> Record | None:
        """Return the token with this hash, also when it is revoked."""
        return self._one("SELECT record FROM tokens WHERE token_hash = ?", token_hash)

    def tokens(self, organization_id: str | None = None) -> Sequence[Record]:
        """Return the tokens of an organization, or all, by number; also revoked ones."""
        return self._all("tokens", organization_id)

    def organization(self, identifier: int | str) -> Record | None:
        """Return an organization by number or public id."""
        return self._by_identifier("organizations", identifier)

    def organizations(self) -> Sequence[Record]:
        """Return all organizations by number."""
        return self._all("organizations")

    def customer(self, identifier: int | str) -> Record | None:
        """Return a customer by number or public id."""
        return self._by_identifier("customers", identifier)

    def customers(self, organization_id: str | None = None) -> Sequence[Record]:
        """Return the customers of an organization, or all, by number."""
        return self._all("customers", organization_id)

    def locations(self) -> Sequence[Record]:
        """Return all locations by number."""
        return self._all("locations")

    def last_check_of_locations(self) -> dict[str, str]:
        """Return when each location made its newest check, by code."""
        return dict(self._checks.select(_BY_LOCATION))

    def monitor(self, kind: Kind, public_id: str) -> MonitorView | None:
        """Return a monitor of a kind."""
        rows = self._monitors.select(_ONE, (public_id, str(kind)))
        if not rows:
            return None
        checked = self._checks.select(_LAST_CHECKED_OF_ONE, (public_id,))[0][0]
        monitor, customer, organization = map(orjson.loads, rows[0])
        return MonitorView(monitor, customer, organization, checked)

    def monitors(self, which: MonitorFilter, page: int, per_page: int) -> Page:
        """Return a page of monitors by number, counting pages from 1."""
        values = _values(which)
        source, sought = _source(which)
        where = f"FROM {source} WHERE " + " AND ".join(f"{each} = ?" for each in values)
        bound = (*sought, *values.values())
        (row,) = self._monitors.select(
            f"{_TOGETHER} (SELECT record {where} ORDER BY number LIMIT ? OFFSET ?)",
            (*bound, per_page, (page - 1) * per_page),
        )
        # How a text is put together from rows has no order that is promised.
        found = sorted(orjson.loads(f"[{row[0] or ''}]"), key=lambda each: int(each["number"]))
        total = (
            self._monitors.select(f"SELECT count(*) {where}", bound)[0][0]
            if sought
            else self._count("monitors", values)
        )
        return Page(self._with_others(found), total)

    def _count(self, table: str, values: dict[str, str]) -> int:
        """Return a count that the view keeps."""
        rows = self._monitors.select(
            f"SELECT number FROM {table}_counts WHERE counted = ?", (count_key(values, values),)
        )
        return rows[0][0] if rows else 0

    def last_checks(self, monitor_id: str) -> Sequence[Record]:
        """Return the last check of a monitor at each location, newest first."""
        rows = self._checks.select(
            "SELECT record FROM last_checks WHERE monitor_id = ? ORDER BY checked_at DESC",
            (monitor_id,),
        )
        return [orjson.loads(row[0]) for row in rows]

    def _with_others(self, monitors: Sequence[Record]) -> list[MonitorView]:
        """Return monitors with their owners and their last check, each owner read once."""
        keys = orjson.dumps([each["public_id"] for each in monitors]).decode()
        newest = orjson.loads(self._checks.select(_LAST_CHECKED, (keys,))[0][0])
        customers = list({each["customer_id"] for each in monitors})
        owners = {
            key: (orjson.loads(customer), orjson.loads(organization))
            for key, customer, organization in self._monitors.select(
                f"{_OWNERS} ({', '.join('?' * len(customers))})", customers
            )
        }
        return [
            MonitorView(each, *owners[each["customer_id"]], last_checked_at)
            for each, last_checked_at in zip(monitors, newest, strict=True)
            if each["customer_id"] in owners
        ]

    def _by_identifier(self, table: str, identifier: int | str) -> Record | None:
        column = "number" if isinstance(identifier, int) else "key"
        return self._one(f"SELECT record FROM {table} WHERE {column} = ?", identifier)

    def _one(self, statement: str, *values: int | str) -> Record | None:
        rows = self._monitors.select(statement, values)
        return orjson.loads(rows[0][0]) if rows else None

    def _all(self, table: str, organization_id: str | None = None) -> list[Record]:
        where = "" if organization_id is None else "WHERE organization_id = ?"
        values = () if organization_id is None else (organization_id,)
        rows = self._monitors.select(f"SELECT record FROM {table} {where} ORDER BY number", values)
        return [orjson.loads(row[0]) for row in rows]


def _values(which: MonitorFilter) -> dict[str, str]:
    """Return the columns that a filter fixes, in the order of the counts that are kept."""
    values = {
        "kind": str(which.kind),
        "organization_id": which.organization_id,
        "customer_id": which.customer_id,
    }
    return {column: value for column, value in values.items() if value is not None}


def _source(which: MonitorFilter) -> tuple[str, tuple[str, ...]]:
    """Return where a list comes from, and the values that this binds."""
    if not which.search:
        return "monitors", ()
    part = which.search.casefold()
    by_index = is_indexed(part)
    source = _SOUGHT.format(found=_BY_INDEX if by_index else _BY_LOOKING)
    return source, (part_query(part) if by_index else part, str(which.kind), part)
