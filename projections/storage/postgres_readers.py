"""The readers of views in PostgreSQL, and the storage that opens them: a schema of a database."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson
from typing_extensions import override

from projections.core.table import ViewUnavailableError, not_built
from projections.readers.monitors import Page
from projections.readers.uptime import RollUpReader
from projections.shapes.monitor_state import NOT_KNOWN
from projections.storage.derived import SHORTEST_PART, count_key
from projections.storage.incident_queries import IncidentQueries
from projections.storage.ports import ViewStorage
from projections.storage.postgres_connection import PostgresQueries, ReadConnections
from projections.storage.postgres_view import PostgresView
from projections.storage.queries import (
    KEPT_TOTAL,
    TAIL,
    Bound,
    HistoryQueries,
    MonitorQueries,
    filtered_columns,
    listed_item,
)
from projections.storage.sqlite_view import ScratchView, require_usable_sqlite
from projections.storage.state_queries import StateQueries
from projections.views import history, incidents, last_checks, monitors, states, uptime
from store.postgres.connections import LONG_SECONDS, Connections
from store.postgres.engine import PostgresEngine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.core.projection import Projection
    from projections.core.table import Record, View
    from projections.readers.history import HistoryReader
    from projections.readers.incidents import IncidentReader
    from projections.readers.monitors import MonitorFilter, MonitorReader
    from projections.readers.states import StateReader
    from store.ports.engine import Database, Engine


# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

# The server joins the items, as they are sent. The numbers of a page come first, from an index
# or a search, so that no row is read that is not shown.
_PAGE: Final = """
SELECT (
    SELECT string_agg({item}, ',' ORDER BY m.number)
    FROM (SELECT number {page} ORDER BY number LIMIT :limit OFFSET :offset) AS page
    JOIN monitors m ON m.kind = :kind
        AND m.organization_id = :organization_id AND m.number = page.number
    JOIN customers c ON c.key = m.customer_id
), ({total}), {position}
"""
# A search finds few monitors among many: their numbers come first, once for items and total.
_SOUGHT: Final = """
WITH sought AS MATERIALIZED (
    SELECT number FROM monitors WHERE {found} AND {where}
    UNION
    SELECT number FROM monitors WHERE {where} AND customer_id IN
        (SELECT key FROM customers WHERE instr(search, :part) > 0)
)
"""
_BY_INDEX: Final = "search LIKE :pattern"
_BY_SCAN: Final = "instr(search, :part) > 0"
_ORGANIZATION: Final = "(SELECT number FROM organizations WHERE key = :organization_id)"
_HISTORY_POSITION: Final = """
SELECT position FROM postwatch_views.sides WHERE view = 'history' AND side = 'live'
"""
# One statement, so that everything is of one moment.
_ROLL_UPS: Final = """
SELECT (
    SELECT definition FROM postwatch_views.sides WHERE view = 'roll_ups' AND side = 'live'
), (
    SELECT array_agg(record ORDER BY key) FROM streams WHERE monitor_id = :monitor_id
), (
    SELECT array_agg(record ORDER BY key) FROM days
    WHERE monitor_id = :monitor_id AND day BETWEEN :first AND :last
)
"""

_TABLE: Final = re.compile(r"\b(FROM|JOIN) (?!page\b|sought\b)([a-z_]+)\b(?!\.)")
_VALUE: Final = re.compile(r":(\w+)")
_STATEMENTS: Final = 200
"""Far more than there are combinations of filters."""


@lru_cache(maxsize=_STATEMENTS)
def translated(statement: str) -> bytes:
    """Return a statement of `queries` with PostgreSQL's names of schema, values and functions."""
    placed = _TABLE.sub(r"\1 postwatch_views.\2", statement)
    bound = _VALUE.sub(r"%(\1)s", placed)
    return bound.replace("printf(", "format(").replace("instr(", "strpos(").encode()


class PostgresMonitors(MonitorQueries):
    """Reads the `monitors` and the `checks` view together."""

    POSITION = """(
        SELECT position FROM postwatch_views.sides WHERE view = 'monitors' AND side = 'live'
    )"""

    def __init__(
        self, owners: PostgresQueries, both: PostgresQueries, states: PostgresQueries
    ) -> None:
        """Take what reads the `monitors` view, what reads both, and the `states` view."""
        self._owners = owners
        self._both = both
        self._states = states

    @override
    def require_readable(self) -> None:
        self._both.require_readable()

    @override
    def monitors(self, which: MonitorFilter, page: int, per_page: int) -> Page:
        columns = filtered_columns(which)
        bound: Bound = {**columns, "limit": per_page, "offset": (page - 1) * per_page}
        where = " AND ".join(f"{each} = :{each}" for each in columns)
        if which.search:
            part = which.search.casefold()
            bound |= {"part": part, "pattern": _pattern(part)}
            found = _BY_INDEX if len(part) >= SHORTEST_PART else _BY_SCAN
            sought = _SOUGHT.format(found=found, where=where)
            source, total = "FROM sought", "SELECT count(*) FROM sought"
        else:
            bound["counted"] = count_key(columns, columns)
            sought, source, total = "", f"FROM monitors WHERE {where}", KEPT_TOTAL
        if which.shows_state:
            bound |= {"tail": TAIL, "not_known": NOT_KNOWN}
        statement = sought + _PAGE.format(
            item=self._item(which), page=source, total=total, position=self.POSITION
        )
        ((items, number, position),) = self._select(statement, bound)
        return Page(f"[{items or ''}]".encode(), number or 0, position)

    def _item(self, which: MonitorFilter) -> str:
        is_known = which.shows_state
        try:
            if is_known:
                self._states.require_readable()
        except ViewUnavailableError:
            is_known = False
        return listed_item(_ORGANIZATION, shows_state=which.shows_state, is_known=is_known)

    @override
    def close(self) -> None:
        """Do nothing: the connections are shared."""

    @override
    def _select(self, statement: str, bound: Bound, *, owners_only: bool = False) -> list[Any]:
        queries = self._owners if owners_only else self._both
        return queries.select(translated(statement), bound)


def _pattern(part: str) -> str:
    """Return what LIKE takes to find a part, whatever characters it has."""
    for special in ("\\", "%", "_"):
        part = part.replace(special, f"\\{special}")
    return f"%{part}%"


class PostgresStates(StateQueries):
    """Reads the `states`, the `monitors` and the `checks` view together."""

    PAGE = """
    SELECT (
        SELECT string_agg({item}, ',' ORDER BY m.place)
        FROM (
            SELECT key, organization_id, customer_id, item, known,
            row_number() OVER (ORDER BY {order}) AS place FROM states WHERE {where}
            ORDER BY {order} LIMIT :limit OFFSET :offset
        ) AS m
        JOIN customers c ON c.key = m.customer_id {more}
    ), {position}
    """

    def __init__(self, queries: PostgresQueries) -> None:
        self._queries = queries

    @override
    def close(self) -> None:
        """Do nothing: the connections are shared."""

    @staticmethod
    @override
    def _position(view: str) -> str:
        return (
            f"(SELECT position FROM postwatch_views.sides WHERE view = '{view}' AND side = 'live')"
        )

    @override
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        return self._queries.select(translated(statement), bound)


class PostgresIncidents(IncidentQueries):
    """Reads the `incidents` view."""

    def __init__(self, queries: PostgresQueries) -> None:
        self._queries = queries

    @override
    def close(self) -> None:
        """Do nothing: the connections are shared."""

    @override
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        return self._queries.select(translated(statement), bound)


class PostgresHistory(HistoryQueries):
    """Reads the `history` view."""

    def __init__(self, queries: PostgresQueries) -> None:
        self._queries = queries

    @override
    def position(self) -> int:
        rows = self._select(_HISTORY_POSITION, {})
        return rows[0][0] if rows else 0

    @override
    def close(self) -> None:
        """Do nothing: the connections are shared."""

    @override
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        return self._queries.select(translated(statement), bound)


class PostgresRollUps(RollUpReader):
    """Reads the `roll_ups` view."""

    def __init__(self, queries: PostgresQueries, definition: str) -> None:
        self._queries = queries
        self._definition = definition

    @override
    def rows(
        self, monitor_id: str, first_day: str, last_day: str
    ) -> tuple[Sequence[Record], Sequence[Record]]:
        bound = {"monitor_id": monitor_id, "first": first_day, "last": last_day}
        ((stored, streams, days),) = self._queries.select(translated(_ROLL_UPS), bound)
        if stored != self._definition:
            raise not_built("roll_ups")
        return [orjson.loads(each) for each in streams or ()], [
            orjson.loads(each) for each in days or ()
        ]

    @override
    def close(self) -> None:
        """Do nothing: the connections are shared."""


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
        self._read_connections = ReadConnections(self._connections, replica or None)

    @override
    def view(self, projection: Projection) -> View:
        return PostgresView(self._connections, self._read_connections, projection)

    @override
    def scratch(self, projection: Projection) -> View:
        """Return a view in a file of this host, which costs the database nothing."""
        require_usable_sqlite()
        return ScratchView(projection)

    @override
    def reader(self) -> MonitorReader:
        return PostgresMonitors(
            self._queries(monitors.PROJECTION),
            self._queries(monitors.PROJECTION, last_checks.PROJECTION),
            self._queries(states.PROJECTION),
        )

    @override
    def history(self) -> HistoryReader:
        return PostgresHistory(self._queries(history.PROJECTION))

    @override
    def roll_ups(self) -> RollUpReader:
        projection = uptime.PROJECTION
        return PostgresRollUps(self._queries(projection), projection.definition)

    @override
    def states(self) -> StateReader:
        return PostgresStates(
            self._queries(states.PROJECTION, monitors.PROJECTION, last_checks.PROJECTION)
        )

    @override
    def incidents(self) -> IncidentReader:
        return PostgresIncidents(self._queries(incidents.PROJECTION))

    @override
    def close(self) -> None:
        self._read_connections.close()

    def _queries(self, *projections: Projection) -> PostgresQueries:
        definitions = {each.name: each.definition for each in projections}
        return PostgresQueries(self._read_connections, definitions)
