"""The views' queries on SQLite.

The queries of the `history` view on SQLite.

The roll-ups' queries on SQLite.

The views as files of a data folder.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from domain.kinds import KINDS
from projections.core.projection import INVALIDATED, is_readable
from projections.core.table import not_built
from projections.readers.monitors import MonitorFilter, MonitorRecords, Page, RenderedMonitor
from projections.shapes.monitor import HOLES
from projections.storage.derived import count_key, is_indexed, part_query
from projections.storage.ports import ViewStorage
from projections.storage.queries import Bound, HistoryQueries, OwnerQueries, within
from projections.storage.sqlite_view import (
    LOCK_TIMEOUT_SECONDS,
    ScratchView,
    SqliteView,
    require_usable_sqlite,
    standing,
)
from projections.views import last_checks, monitors, uptime
from projections.views.uptime_report import RollUpReader
from store.sqlite.connections import ThreadConnections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from domain.kinds import Kind
    from projections.core.projection import Projection
    from projections.core.table import Record, View
    from projections.readers.history import EntryFilter, HistoryReader
    from projections.readers.monitors import MonitorReader


# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

# In the statement that reads the rows: its snapshot holds both, whatever is committed meanwhile.
_POSITION: Final = "(SELECT position FROM main.sides WHERE side = 'live')"
_WITH_OWNERS: Final = """
FROM monitors m
JOIN customers c ON c.key = m.customer_id
JOIN organizations o ON o.key = m.organization_id
WHERE m.key = ? AND m.kind = ?
"""
_ONE: Final = f"""
SELECT m.record, c.record, o.record, (
    SELECT max(checked_at) FROM checks.last_checks WHERE monitor_id = m.key
)
{_WITH_OWNERS}
"""
_LAST_CHECKED: Final = """coalesce((
    SELECT '"' || checked_at || '"' FROM checks.last_checks
    WHERE monitor_id = m.key ORDER BY checked_at DESC LIMIT 1
), 'null')"""
_OTHERS: Final = {
    "organizationId": "o.number",
    "customerId": "c.number",
    "customerName": "c.listed_name",
    "lastCheckedAt": _LAST_CHECKED,
    "customer": "printf(c.embedded, o.number)",
}
"""What fills each hole of a template."""


def _fill(kind: str) -> str:
    """Return what fills the template of one monitor, in the order of its holes."""
    return ", ".join(_OTHERS[each] for each in HOLES[kind, "read"])


_SHOWN: Final[Mapping[str, str]] = {
    kind: (
        "SELECT m.organization_id, m.customer_id, m.version, "
        f"printf(m.shown, {_fill(kind)}), {_POSITION} {_WITH_OWNERS}"
    )
    for kind in KINDS
}
# The items are put together here, because Python gives up its lock for each row of a result,
# and under several threads that costs more than everything else about a list. CROSS JOIN
# keeps the rows in the order of the page.
_PAGE: Final = f"""
SELECT (
    SELECT group_concat(printf(
        m.listed,
        (SELECT number FROM organizations WHERE key = ?),
        c.number,
        c.listed_name,
        {_LAST_CHECKED}
    ), ',')
    FROM (SELECT key, customer_id, listed {{where}} ORDER BY number LIMIT ? OFFSET ?) AS m
    CROSS JOIN customers c ON c.key = m.customer_id
), ({{total}}), {_POSITION}
"""
_KEPT_TOTAL: Final = "SELECT number FROM monitors_counts WHERE counted = ?"
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
_MONITORS_DEFINITION: Final = "SELECT definition FROM {schema}.sides WHERE side = 'live'"
_VERSION: Final = "PRAGMA main.data_version"
"""Differs for a connection after each commit of another one (sqlite.org/pragma.html)."""

_REMEMBERED_TOKENS: Final = 1000
_BY_LOCATION: Final = "SELECT location, max(checked_at) FROM checks.last_checks GROUP BY location"


_OWNERS: Final = ("main",)
_BOTH: Final = ("main", "checks")
"""What a query reads: the `monitors` view alone, or the `checks` view with it."""


class SqliteSource(NamedTuple):
    """The file of a view, and the definition that the queries were written for."""

    path: Path
    definition: str


class SqliteReader(OwnerQueries):
    """Reads the files of the `monitors` and the `checks` view together.

    Rows that another version made are read where they can be; else ViewUnavailableError is raised.
    """

    def __init__(self, monitors: SqliteSource, checks: SqliteSource) -> None:
        self._sources = {"main": monitors, "checks": checks}
        self._fitting: set[str] = set()
        self._connections = ThreadConnections(self._connect)
        self._remembered = threading.local()

    def require_readable(self) -> None:
        """Raise ViewUnavailableError unless both views can be read."""
        self._require_fit(self._connections.get(), _BOTH)

    def token(self, token_hash: str) -> Record | None:
        """Return the token with this hash, also when it is revoked.

        Each request asks for one, so each thread remembers them until anybody commits to the
        view. The version is asked for before the row: a row may be newer than it says, which
        costs one more look, but never older.
        """
        known = self._known_tokens()
        record = known.get(token_hash)
        if record is None:
            record = self._one("tokens", "token_hash", token_hash)
            if record is not None and len(known) < _REMEMBERED_TOKENS:
                known[token_hash] = record
        return record

    def _known_tokens(self) -> dict[str, Record]:
        """Return the tokens that this thread has read since the newest commit to the view."""
        connection = self._connections.get()
        now = (connection, connection.execute(_VERSION).fetchone()[0])
        remembered = self._remembered.__dict__
        if remembered.get("since") != now:
            remembered.update(since=now, tokens={})
        known: dict[str, Record] = remembered["tokens"]
        return known

    def last_check_of_locations(self) -> dict[str, str]:
        """Return when each location made its newest check, by code."""
        return dict(self._select(_BY_LOCATION, views=_BOTH))

    def monitor(self, kind: Kind, public_id: str) -> MonitorRecords | None:
        """Return a monitor of a kind."""
        rows = self._select(_ONE, (public_id, str(kind)), views=_BOTH)
        if not rows:
            return None
        monitor, customer, organization, checked = rows[0]
        loads = orjson.loads
        return MonitorRecords(loads(monitor), loads(customer), loads(organization), checked)

    def rendered_monitor(self, kind: Kind, public_id: str) -> RenderedMonitor | None:
        """Return a monitor of a kind as the API shows it."""
        rows = self._select(_SHOWN[kind], (public_id, str(kind)), views=_BOTH)
        return RenderedMonitor(*rows[0]) if rows else None

    def monitors(self, which: MonitorFilter, page: int, per_page: int) -> Page:
        """Return a page of monitors by number, counting pages from 1."""
        values = _values(which)
        source, sought = _source(which)
        where = f"FROM {source} WHERE " + " AND ".join(f"{each} = ?" for each in values)
        bound = (*sought, *values.values())
        total = f"SELECT count(*) {where}" if sought else _KEPT_TOTAL
        counted = bound if sought else (count_key(values, values),)
        ((items, number, position),) = self._select(
            _PAGE.format(where=where, total=total),
            (which.organization_id, *bound, per_page, (page - 1) * per_page, *counted),
            views=_BOTH,
        )
        return Page(f"[{items or ''}]".encode(), number or 0, position)

    def last_checks(self, monitor_id: str) -> Sequence[Record]:
        """Return the last check of a monitor at each location, newest first, then by location."""
        rows = self._select(
            "SELECT record FROM checks.last_checks WHERE monitor_id = ? "
            "ORDER BY checked_at DESC, location",
            (monitor_id,),
            views=_BOTH,
        )
        return [orjson.loads(row[0]) for row in rows]

    def _one(self, table: str, column: str, value: int | str) -> Record | None:
        rows = self._select(f"SELECT record FROM {table} WHERE {column} = ?", (value,))
        return orjson.loads(rows[0][0]) if rows else None

    def _all(self, table: str, organization_id: str | None = None) -> list[Record]:
        where = "" if organization_id is None else "WHERE organization_id = ?"
        values = () if organization_id is None else (organization_id,)
        rows = self._select(f"SELECT record FROM {table} {where} ORDER BY number", values)
        return [orjson.loads(row[0]) for row in rows]

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def _select(
        self,
        statement: str,
        values: Sequence[str | int] = (),
        *,
        views: Sequence[str] = _OWNERS,
    ) -> list[Any]:
        connection = self._connections.get()
        self._require_fit(connection, views)
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError:
            # A column or a table is missing when another version has replaced a view.
            self._require_fit(connection, views, exactly=True)
            raise

    def _require_fit(
        self, connection: sqlite3.Connection, views: Sequence[str], *, exactly: bool = False
    ) -> None:
        """Raise ViewUnavailableError unless the queries fit the stored views.

        Once they did they go on doing so, until a version that fits less takes a view over.
        """
        for schema in views:
            if schema in self._fitting and not exactly:
                continue
            source = self._sources[schema]
            row = connection.execute(_MONITORS_DEFINITION.format(schema=schema)).fetchone()
            stored = row[0] if row else INVALIDATED
            fits = stored == source.definition or (
                not exactly and is_readable(stored, source.definition)
            )
            if not fits:
                raise not_built(source.path.stem)
            self._fitting.add(schema)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._sources["main"].path,
            isolation_level=None,
            check_same_thread=False,
            timeout=LOCK_TIMEOUT_SECONDS,
        )
        connection.execute("ATTACH DATABASE ? AS checks", (str(self._sources["checks"].path),))
        connection.execute("PRAGMA query_only = ON")
        return connection


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


class SqliteHistory(HistoryQueries):
    """Reads the file of the `history` view."""

    FOUND = "instr(search, :part) > 0"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = ThreadConnections(self._connect)

    def position(self) -> int:
        """Return the position up to which everything is shown."""
        position: int = standing(self._connections.get(), "live")["position"]
        return position

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def _conditions(self, which: EntryFilter) -> tuple[str, Bound]:
        values = {"customer": which.customer, "thing": which.thing, "actor": which.actor}
        equal = {name: value for name, value in values.items() if value is not None}
        # The plus keeps the index of the organization away where a narrower one serves.
        narrow = which.thing is not None or which.customer is not None
        types = {f"type{number}": each for number, each in enumerate(which.types)}
        times, bound = within(which)
        parts = [
            "+organization = :owner" if narrow else "organization = :owner",
            *(f"{column} = :{column}" for column in equal),
            *times,
        ]
        if types:
            parts.append(f"type IN ({', '.join(f':{each}' for each in types)})")
        return " AND ".join(parts), {**equal, **bound, **types}

    def _select(self, statement: str, bound: Bound) -> list[Any]:
        return self._connections.get().execute(statement, bound).fetchall()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            isolation_level=None,
            check_same_thread=False,
            timeout=LOCK_TIMEOUT_SECONDS,
        )
        connection.execute("PRAGMA query_only = ON")
        return connection


_ROLL_UPS_DEFINITION: Final = "SELECT definition FROM sides WHERE side = 'live'"
_STREAMS: Final = "SELECT record FROM streams WHERE monitor_id = ? ORDER BY key"
_DAYS: Final = "SELECT record FROM days WHERE monitor_id = ? AND day BETWEEN ? AND ? ORDER BY key"


class SqliteRollUps(RollUpReader):
    """Reads the file of the `roll_ups` view."""

    def __init__(self, source: SqliteSource) -> None:
        self._source = source
        self._connections = ThreadConnections(self._connect)

    def rows(
        self, monitor_id: str, first_day: str, last_day: str
    ) -> tuple[Sequence[Record], Sequence[Record]]:
        """Return a monitor's streams, and the days from one to another, of one moment.

        Raises ViewUnavailableError while the view is not the one that this code makes.
        """
        connection = self._connections.get()
        connection.execute("BEGIN")
        try:
            stored = connection.execute(_ROLL_UPS_DEFINITION).fetchone()
            if stored is None or stored[0] != self._source.definition:
                raise not_built("roll_ups")
            streams = connection.execute(_STREAMS, (monitor_id,)).fetchall()
            days = connection.execute(_DAYS, (monitor_id, first_day, last_day)).fetchall()
        finally:
            connection.execute("COMMIT")
        return [orjson.loads(row[0]) for row in streams], [orjson.loads(row[0]) for row in days]

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._source.path,
            isolation_level=None,
            check_same_thread=False,
            timeout=LOCK_TIMEOUT_SECONDS,
        )
        connection.execute("PRAGMA query_only = ON")
        return connection


class SqliteViews(ViewStorage):
    """Opens the files of a folder, one for each view."""

    def __init__(self, folder: Path) -> None:
        """Raise StoreError when this SQLite cannot hold the views."""
        require_usable_sqlite()
        self._folder = folder

    def view(self, projection: Projection) -> View:
        """Return the view in its file, which is made if it is not there yet."""
        return SqliteView(self._path(projection.name), projection)

    def scratch(self, projection: Projection) -> View:
        """Return a view in a file that nobody else sees."""
        return ScratchView(projection)

    def reader(self) -> MonitorReader:
        """Return what answers from the `monitors` and the `checks` view."""
        return SqliteReader(self._source(monitors.PROJECTION), self._source(last_checks.PROJECTION))

    def history(self) -> HistoryReader:
        """Return what answers from the `history` view."""
        return SqliteHistory(self._path("history"))

    def roll_ups(self) -> RollUpReader:
        """Return what answers from the `roll_ups` view."""
        return SqliteRollUps(self._source(uptime.PROJECTION))

    def close(self) -> None:
        """Do nothing: views and readers share no more than files."""

    def _source(self, projection: Projection) -> SqliteSource:
        return SqliteSource(self._path(projection.name), projection.definition)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.db"
