"""The views' queries on SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from projections.reader import MonitorFilter, MonitorView, Page, Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.mail_config import Kind
    from projections.storage.sqlite_view import SqliteView
    from projections.view import Record

# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

_MONITORS: Final = """
SELECT m.record, c.record, o.record
FROM monitors m
JOIN customers c ON c.key = m.customer_id
JOIN organizations o ON o.key = m.organization_id
"""
_COUNT: Final = "SELECT count(*) FROM monitors m JOIN customers c ON c.key = m.customer_id"
_LAST_CHECKED: Final = "SELECT monitor_id, max(checked_at) FROM last_checks WHERE monitor_id IN "
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
        rows = self._monitors.select(
            f"{_MONITORS} WHERE m.key = ? AND m.kind = ?", (public_id, kind)
        )
        return self._with_last_check(rows)[0] if rows else None

    def monitors(self, which: MonitorFilter, page: int, per_page: int) -> Page:
        """Return a page of monitors by number, counting pages from 1."""
        where, values = _conditions(which)
        rows = self._monitors.select(
            f"{_MONITORS} {where} ORDER BY m.number LIMIT ? OFFSET ?",
            (*values, per_page, (page - 1) * per_page),
        )
        total = self._monitors.select(f"{_COUNT} {where}", values)[0][0]
        return Page(self._with_last_check(rows), total)

    def last_checks(self, monitor_id: str) -> Sequence[Record]:
        """Return the last check of a monitor at each location, newest first."""
        rows = self._checks.select(
            "SELECT record FROM last_checks WHERE monitor_id = ? ORDER BY checked_at DESC",
            (monitor_id,),
        )
        return [orjson.loads(row[0]) for row in rows]

    def _with_last_check(self, rows: list[Any]) -> list[MonitorView]:
        loaded = [tuple(orjson.loads(part) for part in row) for row in rows]
        keys = [monitor["public_id"] for monitor, _, _ in loaded]
        marks = ", ".join("?" * len(keys))
        checked = dict(self._checks.select(f"{_LAST_CHECKED} ({marks}) GROUP BY monitor_id", keys))
        return [
            MonitorView(monitor, customer, organization, checked.get(monitor["public_id"]))
            for monitor, customer, organization in loaded
        ]

    def _by_identifier(self, table: str, identifier: int | str) -> Record | None:
        column = "number" if isinstance(identifier, int) else "key"
        return self._one(f"SELECT record FROM {table} WHERE {column} = ?", identifier)

    def _one(self, statement: str, value: int | str) -> Record | None:
        rows = self._monitors.select(statement, (value,))
        return orjson.loads(rows[0][0]) if rows else None

    def _all(self, table: str, organization_id: str | None = None) -> list[Record]:
        where = "" if organization_id is None else "WHERE organization_id = ?"
        values = () if organization_id is None else (organization_id,)
        rows = self._monitors.select(f"SELECT record FROM {table} {where} ORDER BY number", values)
        return [orjson.loads(row[0]) for row in rows]


def _conditions(which: MonitorFilter) -> tuple[str, tuple[str, ...]]:
    clauses, values = ["m.kind = ?"], [str(which.kind)]
    if which.organization_id is not None:
        clauses.append("m.organization_id = ?")
        values.append(which.organization_id)
    if which.customer_id is not None:
        clauses.append("m.customer_id = ?")
        values.append(which.customer_id)
    if which.search:
        # instr, not LIKE: a percent sign in the search is a percent sign.
        clauses.append("(instr(m.search, ?) > 0 OR instr(c.search, ?) > 0)")
        values += [which.search.casefold()] * 2
    return f"WHERE {' AND '.join(clauses)}", tuple(values)
