"""The views' queries on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from projections.reader import MonitorFilter, MonitorView, Page, ShownMonitor
from projections.storage.counts import count_key
from projections.storage.owner_queries import OwnerQueries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.mail_config import Kind
    from projections.storage.postgres_queries import PostgresQueries
    from projections.view import Record

# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

SHORTEST_PART: Final = 3
"""Characters that a part must have for an index of trigrams to be of use."""

_VIEWS: Final = "postwatch_views"
# In the statement that reads the rows: its snapshot holds both, whatever is committed meanwhile.
_POSITION: Final = f"""(
    SELECT position FROM {_VIEWS}.sides WHERE view = 'monitors' AND side = 'live'
)"""
_WITH_OWNERS: Final = f"""
FROM {_VIEWS}.monitors m
JOIN {_VIEWS}.customers c ON c.key = m.customer_id
JOIN {_VIEWS}.organizations o ON o.key = m.organization_id
WHERE m.key = %s AND m.kind = %s
"""
_ONE: Final = f"""
SELECT m.record, c.record, o.record, (
    SELECT max(checked_at) FROM {_VIEWS}.last_checks WHERE monitor_id = m.key
)
{_WITH_OWNERS}
""".encode()
_LAST_CHECKED: Final = f"""coalesce((
    SELECT '"' || checked_at || '"' FROM {_VIEWS}.last_checks
    WHERE monitor_id = m.key ORDER BY checked_at DESC LIMIT 1
), 'null')"""
_OTHERS: Final[Mapping[Kind, str]] = {
    "smtp": f"c.listed_name, {_LAST_CHECKED}",
    "imap_pop": f"{_LAST_CHECKED}, format(c.embedded, o.number)",
}
"""What fills a template behind the numbers of organization and customer."""

_SHOWN: Final[Mapping[Kind, bytes]] = {
    kind: (
        "SELECT m.organization_id, m.customer_id, m.version, "
        f"format(m.shown, o.number, c.number, {others}), {_POSITION} {_WITH_OWNERS}"
    ).encode()
    for kind, others in _OTHERS.items()
}
# The items are put together here, as they are sent. The numbers of a page come first, from an
# index or a search, so that no row is read that is not shown.
_PAGE: Final = f"""
SELECT (
    SELECT string_agg(format(
        m.listed,
        (SELECT number FROM {_VIEWS}.organizations WHERE key = %(organization_id)s),
        c.number,
        c.listed_name,
        {_LAST_CHECKED}
    ), ',' ORDER BY m.number)
    FROM (SELECT number {{page}} ORDER BY number LIMIT %(limit)s OFFSET %(offset)s) AS page
    JOIN {_VIEWS}.monitors m ON m.kind = %(kind)s
        AND m.organization_id = %(organization_id)s AND m.number = page.number
    JOIN {_VIEWS}.customers c ON c.key = m.customer_id
), ({{total}}), {_POSITION}
"""
_ALL: Final = f"FROM {_VIEWS}.monitors WHERE {{of}}"
_KEPT_TOTAL: Final = f"SELECT number FROM {_VIEWS}.monitors_counts WHERE counted = %(counted)s"
# A search finds few monitors among many: their numbers come first, once for items and total.
_SOUGHT: Final = f"""
WITH sought AS MATERIALIZED (
    SELECT number FROM {_VIEWS}.monitors WHERE {{found}} AND {{of}}
    UNION
    SELECT number FROM {_VIEWS}.monitors WHERE {{of}} AND customer_id IN
        (SELECT key FROM {_VIEWS}.customers WHERE position(%(part)s in search) > 0)
)
"""
_BY_INDEX: Final = "search LIKE %(pattern)s"
_BY_LOOKING: Final = "position(%(part)s in search) > 0"
_BY_LOCATION: Final = (
    f"SELECT location, max(checked_at) FROM {_VIEWS}.last_checks GROUP BY location".encode()
)
_LAST_CHECKS: Final = (
    f"SELECT record FROM {_VIEWS}.last_checks WHERE monitor_id = %s "
    "ORDER BY checked_at DESC, location"
).encode()


class PostgresReader(OwnerQueries):
    """Reads the `monitors` and the `checks` view together."""

    def __init__(self, owners: PostgresQueries, both: PostgresQueries) -> None:
        """Take what reads the `monitors` view, and what reads the two together."""
        self._owners = owners
        self._both = both

    def require_readable(self) -> None:
        """Raise ViewAwayError unless both views can be read."""
        self._both.require_readable()

    def token(self, token_hash: str) -> Record | None:
        """Return the token with this hash, also when it is revoked."""
        return self._one("tokens", "token_hash", token_hash)

    def last_check_of_locations(self) -> dict[str, str]:
        """Return when each location made its newest check, by code."""
        return dict(self._both.select(_BY_LOCATION))

    def monitor(self, kind: Kind, public_id: str) -> MonitorView | None:
        """Return a monitor of a kind."""
        rows = self._both.select(_ONE, (public_id, str(kind)))
        if not rows:
            return None
        monitor, customer, organization, checked = rows[0]
        loads = orjson.loads
        return MonitorView(loads(monitor), loads(customer), loads(organization), checked)

    def shown_monitor(self, kind: Kind, public_id: str) -> ShownMonitor | None:
        """Return a monitor of a kind as the API shows it."""
        rows = self._both.select(_SHOWN[kind], (public_id, str(kind)))
        return ShownMonitor(*rows[0]) if rows else None

    def monitors(self, which: MonitorFilter, page: int, per_page: int) -> Page:
        """Return a page of monitors by number, counting pages from 1."""
        values = _values(which)
        bound: dict[str, Any] = {
            **values,
            "organization_id": which.organization_id,
            "limit": per_page,
            "offset": (page - 1) * per_page,
        }
        if which.search:
            part = which.search.casefold()
            bound |= {"part": part, "pattern": _pattern(part)}
        else:
            bound["counted"] = count_key(values, values)
        ((items, total, position),) = self._both.select(_list(which), bound)
        return Page(f"[{items or ''}]".encode(), total or 0, position)

    def last_checks(self, monitor_id: str) -> Sequence[Record]:
        """Return the last check of a monitor at each location, newest first, then by location."""
        rows = self._both.select(_LAST_CHECKS, (monitor_id,))
        return [orjson.loads(record) for (record,) in rows]

    def close(self) -> None:
        """Do nothing: the connections are shared."""

    def _one(self, table: str, column: str, value: int | str) -> Record | None:
        statement = f"SELECT record FROM {_VIEWS}.{table} WHERE {column} = %s".encode()
        rows = self._owners.select(statement, (value,))
        return orjson.loads(rows[0][0]) if rows else None

    def _all(self, table: str, organization_id: str | None = None) -> list[Record]:
        where = "" if organization_id is None else "WHERE organization_id = %s"
        values = () if organization_id is None else (organization_id,)
        statement = f"SELECT record FROM {_VIEWS}.{table} {where} ORDER BY number".encode()
        return [orjson.loads(record) for (record,) in self._owners.select(statement, values)]


def _values(which: MonitorFilter) -> dict[str, str]:
    """Return the columns that a filter fixes, in the order of the counts that are kept."""
    values = {
        "kind": str(which.kind),
        "organization_id": which.organization_id,
        "customer_id": which.customer_id,
    }
    return {column: value for column, value in values.items() if value is not None}


def _list(which: MonitorFilter) -> bytes:
    """Return the query of a list."""
    of = " AND ".join(f"{each} = %({each})s" for each in _values(which))
    if not which.search:
        return _PAGE.format(page=_ALL.format(of=of), total=_KEPT_TOTAL).encode()
    by_index = len(which.search.casefold()) >= SHORTEST_PART
    sought = _SOUGHT.format(found=_BY_INDEX if by_index else _BY_LOOKING, of=of)
    page = _PAGE.format(page="FROM sought", total="SELECT count(*) FROM sought")
    return f"{sought}{page}".encode()


def _pattern(part: str) -> str:
    """Return what LIKE takes to find a part, whatever characters it has."""
    for special in ("\\", "%", "_"):
        part = part.replace(special, f"\\{special}")
    return f"%{part}%"
