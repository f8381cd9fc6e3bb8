"""The views' queries on PostgreSQL.

The queries of the `history` view on PostgreSQL.

The roll-ups' queries on PostgreSQL.

The views as a schema of a PostgreSQL database.

Queries on the live side of views, as long as it is one that this code can read.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson
from psycopg import errors

from domain.kinds import KINDS
from projections.core.projection import INVALIDATED, is_readable
from projections.core.table import ViewSnapshot, not_built
from projections.readers.monitors import MonitorFilter, MonitorRecords, Page, RenderedMonitor
from projections.shapes.monitor import HOLES
from projections.storage.derived import count_key
from projections.storage.ports import ViewStorage
from projections.storage.postgres_connection import Reading, standing
from projections.storage.postgres_view import PostgresView
from projections.storage.queries import Bound, HistoryQueries, OwnerQueries, within
from projections.storage.sqlite_view import ScratchView, require_usable_sqlite
from projections.views import history, last_checks, monitors, uptime
from projections.views.uptime_report import RollUpReader
from store.postgres.connections import LONG_SECONDS, Connections
from store.postgres.engine import PostgresEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from domain.kinds import Kind
    from projections.core.projection import Projection
    from projections.core.table import Record, StoredRow, Table, View
    from projections.readers.history import EntryFilter, HistoryReader
    from projections.readers.monitors import MonitorReader
    from store.ports.engine import Database, Engine
    from store.postgres.connections import Connection


# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

SHORTEST_PART: Final = 3
"""Characters that a part must have for an index of trigrams to be of use."""

_VIEWS: Final = "postwatch_views"
# In the statement that reads the rows: its snapshot holds both, whatever is committed meanwhile.
_MONITORS_POSITION: Final = f"""(
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
_OTHERS: Final = {
    "organizationId": "o.number",
    "customerId": "c.number",
    "customerName": "c.listed_name",
    "lastCheckedAt": _LAST_CHECKED,
    "customer": "format(c.embedded, o.number)",
}
"""What fills each hole of a template."""


def _fill(kind: str) -> str:
    """Return what fills the template of one monitor, in the order of its holes."""
    return ", ".join(_OTHERS[each] for each in HOLES[kind, "read"])


_SHOWN: Final[Mapping[str, bytes]] = {
    kind: (
        "SELECT m.organization_id, m.customer_id, m.version, "
        f"format(m.shown, {_fill(kind)}), {_MONITORS_POSITION} {_WITH_OWNERS}"
    ).encode()
    for kind in KINDS
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
), ({{total}}), {_MONITORS_POSITION}
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
        """Raise ViewUnavailableError unless both views can be read."""
        self._both.require_readable()

    def token(self, token_hash: str) -> Record | None:
        """Return the token with this hash, also when it is revoked."""
        return self._one("tokens", "token_hash", token_hash)

    def last_check_of_locations(self) -> dict[str, str]:
        """Return when each location made its newest check, by code."""
        return dict(self._both.select(_BY_LOCATION))

    def monitor(self, kind: Kind, public_id: str) -> MonitorRecords | None:
        """Return a monitor of a kind."""
        rows = self._both.select(_ONE, (public_id, str(kind)))
        if not rows:
            return None
        monitor, customer, organization, checked = rows[0]
        loads = orjson.loads
        return MonitorRecords(loads(monitor), loads(customer), loads(organization), checked)

    def rendered_monitor(self, kind: Kind, public_id: str) -> RenderedMonitor | None:
        """Return a monitor of a kind as the API shows it."""
        rows = self._both.select(_SHOWN[kind], (public_id, str(kind)))
        return RenderedMonitor(*rows[0]) if rows else None

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


_HISTORY_POSITION: Final = b"""
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
        rows = self._queries.select(_HISTORY_POSITION)
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


# One statement, so that everything is of one moment.
_ROWS: Final = b"""
SELECT (
    SELECT definition FROM postwatch_views.sides WHERE view = 'roll_ups' AND side = 'live'
), (
    SELECT array_agg(record ORDER BY key) FROM postwatch_views.streams
    WHERE monitor_id = %(monitor_id)s
), (
    SELECT array_agg(record ORDER BY key) FROM postwatch_views.days
    WHERE monitor_id = %(monitor_id)s AND day BETWEEN %(first)s AND %(last)s
)
"""


class PostgresRollUps(RollUpReader):
    """Reads the `roll_ups` view."""

    def __init__(self, queries: PostgresQueries, definition: str) -> None:
        self._queries = queries
        self._definition = definition

    def rows(
        self, monitor_id: str, first_day: str, last_day: str
    ) -> tuple[Sequence[Record], Sequence[Record]]:
        """Return a monitor's streams, and the days from one to another, of one moment.

        Raises ViewUnavailableError while the view is not the one that this code makes.
        """
        ((stored, streams, days),) = self._queries.select(
            _ROWS, {"monitor_id": monitor_id, "first": first_day, "last": last_day}
        )
        if stored != self._definition:
            raise not_built("roll_ups")
        return [orjson.loads(each) for each in streams or ()], [
            orjson.loads(each) for each in days or ()
        ]

    def close(self) -> None:
        """Do nothing: the connections are shared."""


Values = dict[str, Any] | tuple[Any, ...]

_REPLACED: Final = (errors.UndefinedTable, errors.UndefinedColumn, errors.FeatureNotSupported)
"""What a prepared query may meet when another version has replaced a view."""

_NUL: Final = "\0"
_NOWHERE: Final = "\x01"
"""Stands nowhere in a view, as little as a NUL does, which PostgreSQL takes in no text."""


class PostgresQueries:
    """Reads views by name, each of a definition.

    Rows that another version made are read where they can be; else ViewUnavailableError is raised.
    """

    def __init__(self, reading: Reading, definitions: Mapping[str, str]) -> None:
        self._reading = reading
        self._definitions = definitions
        self._fits = False

    def require_readable(self) -> None:
        """Raise ViewUnavailableError unless the views can be read."""
        if not self._fits:
            self._reading.run(self._require_fit)

    def select(self, statement: bytes, values: Values = ()) -> list[Any]:
        """Return the rows of a query."""
        bound = _findable(values)
        return self._reading.run(lambda connection: self._select(connection, statement, bound))

    def _select(self, connection: Connection, statement: bytes, bound: Values) -> list[Any]:
        if not self._fits:
            self._require_fit(connection)
        try:
            return connection.execute(statement, bound, prepare=True, binary=True).fetchall()
        except _REPLACED:
            self._require_fit(connection, exactly=True)
            # It was replaced by one that fits: what is not prepared knows nothing of the old.
            return connection.execute(statement, bound, prepare=False, binary=True).fetchall()

    def _require_fit(self, connection: Connection, *, exactly: bool = False) -> None:
        """Raise ViewUnavailableError unless the queries fit the views.

        Once they did they go on doing so, until a version that fits less takes a view over.
        """
        for name, wanted in self._definitions.items():
            stored = standing(connection, name, "live").definition or INVALIDATED
            if stored != wanted and (exactly or not is_readable(stored, wanted)):
                raise not_built(name)
        self._fits = True


def _findable(values: Values) -> Values:
    """Return values as PostgreSQL takes them: one with a NUL is found nowhere."""
    if isinstance(values, dict):
        return {name: _without_nul(value) for name, value in values.items()}
    return tuple(_without_nul(value) for value in values)


def _without_nul(value: Any) -> Any:  # noqa: ANN401 - any value that a query binds
    return _NOWHERE if isinstance(value, str) and _NUL in value else value


def storage_on(engine: Engine) -> ViewStorage:
    """Return the views beside the logs of an engine. Raises TypeError when that is no database."""
    if not isinstance(engine, PostgresEngine):
        raise TypeError(f"there are no views beside the logs of a {type(engine).__name__}")
    return PostgresViews(engine.database)


class PostgresViews(ViewStorage):
    """Opens the views of a database. All of them share their connections."""

    def __init__(self, database: Database) -> None:
        self._connections = Connections(database.url, "views", answer_seconds=LONG_SECONDS)
        replica = database.read_url and Connections(database.read_url, "views", writes=False)
        self._reading = Reading(self._connections, replica or None)

    def view(self, projection: Projection) -> View:
        """Return the view, whose tables are made when it is."""
        return PostgresView(self._connections, self._reading, projection)

    def scratch(self, projection: Projection) -> View:
        """Return a view in a file of this host, which costs the database nothing."""
        require_usable_sqlite()
        return _Scratch(projection)

    def reader(self) -> MonitorReader:
        """Return what answers from the `monitors` and the `checks` view."""
        return PostgresReader(
            self._queries(monitors.PROJECTION),
            self._queries(monitors.PROJECTION, last_checks.PROJECTION),
        )

    def history(self) -> HistoryReader:
        """Return what answers from the `history` view."""
        return PostgresHistory(self._queries(history.PROJECTION))

    def roll_ups(self) -> RollUpReader:
        """Return what answers from the `roll_ups` view."""
        projection = uptime.PROJECTION
        return PostgresRollUps(self._queries(projection), projection.definition)

    def close(self) -> None:
        """Close the connections."""
        self._reading.close()

    def _queries(self, *projections: Projection) -> PostgresQueries:
        return PostgresQueries(self._reading, {each.name: each.definition for each in projections})


class _Scratch(ScratchView):
    """A scratch view that is compared with one in PostgreSQL."""

    @contextmanager
    def snapshot(self) -> Iterator[ViewSnapshot]:
        """Return the live side: nobody writes to it meanwhile."""
        with super().snapshot() as snapshot:
            yield _Comparable(snapshot)


class _Comparable(ViewSnapshot):
    """A snapshot without the parts of a search: PostgreSQL keeps those as an index of its own."""

    def __init__(self, snapshot: ViewSnapshot) -> None:
        self._snapshot = snapshot

    def position(self) -> int:
        """Return its position."""
        return self._snapshot.position()

    def rows(self, table: Table) -> Iterator[StoredRow]:
        """Return every row in the order of keys."""
        return self._snapshot.rows(table)

    def derived_rows(self, table: Table) -> Iterator[tuple[str, str, int]]:
        """Return the counts beside a table."""
        return (each for each in self._snapshot.derived_rows(table) if each[0] == "counts")
