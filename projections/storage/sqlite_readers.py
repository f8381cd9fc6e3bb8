"""The readers of views in SQLite files, and the storage that opens them: a folder."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
from typing_extensions import override

from projections.core.table import ViewUnavailableError, not_built
from projections.readers.monitors import Page
from projections.readers.uptime import RollUpReader
from projections.shapes.monitor_state import NOT_KNOWN
from projections.storage.derived import count_key, is_indexed, part_query
from projections.storage.ports import ViewStorage
from projections.storage.queries import (
    KEPT_TOTAL,
    TAIL,
    Bound,
    HistoryQueries,
    MonitorQueries,
    filtered_columns,
    listed_item,
)
from projections.storage.setting_aside import set_aside
from projections.storage.sqlite_files import ViewFile, ViewFiles, connect_read_only
from projections.storage.sqlite_incidents import SqliteIncidents
from projections.storage.sqlite_states import SqliteStates
from projections.storage.sqlite_view import (
    ScratchView,
    SqliteView,
    require_usable_sqlite,
    side_state,
)
from projections.storage.view_connection import ViewDamagedError
from projections.views import incidents, last_checks, monitors, states, uptime
from store.sqlite.connections import ThreadConnections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from projections.core.projection import Projection
    from projections.core.table import Record, View
    from projections.readers.history import HistoryReader
    from projections.readers.incidents import IncidentReader
    from projections.readers.monitors import MonitorFilter, MonitorReader
    from projections.readers.states import StateReader


# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

_ORGANIZATION: Final = "(SELECT number FROM organizations WHERE key = :organization_id)"
_POSITION: Final = "(SELECT position FROM main.sides WHERE side = 'live')"
# SQLite joins the items, because Python gives up its lock for each row of a result, and under
# several threads that costs more than everything else about a list. CROSS JOIN keeps the rows
# in the order of the page.
_PAGE: Final = f"""
SELECT (
    SELECT group_concat({{item}}, ',')
    FROM (
        SELECT key, customer_id, listed FROM {{source}} WHERE {{where}}
        ORDER BY number LIMIT :limit OFFSET :offset
    ) AS m
    CROSS JOIN customers c ON c.key = m.customer_id
), ({{total}}), {_POSITION}
"""
# A search finds few monitors among many: it comes first, by CROSS JOIN, and the rest follows.
_SOUGHT: Final = """
(
    {found}
    UNION
    SELECT id FROM monitors WHERE kind = :kind AND customer_id IN
        (SELECT key FROM customers WHERE instr(search, :part) > 0)
) AS sought CROSS JOIN monitors ON monitors.id = sought.id
"""
_BY_INDEX: Final = "SELECT rowid AS id FROM monitors_parts WHERE monitors_parts MATCH :query"
# instr, not LIKE: a percent sign in the search is a percent sign.
_BY_SCAN: Final = "SELECT id FROM monitors WHERE instr(search, :part) > 0"
_DATA_VERSION: Final = "PRAGMA main.data_version"
"""Differs for a connection after each commit of another one (sqlite.org/pragma.html)."""

_SET_ASIDE_SECONDS: Final = 1.0
_SET_ASIDE_RETRY_SECONDS: Final = 0.05

_REMEMBERED_TOKENS: Final = 1000
"""The most tokens that a thread remembers."""

_STREAMS: Final = "SELECT record FROM streams WHERE monitor_id = ? ORDER BY key"
_DAYS: Final = "SELECT record FROM days WHERE monitor_id = ? AND day BETWEEN ? AND ? ORDER BY key"
_OWNERS: Final = ("main",)
_STATES: Final = ("states",)
_BOTH: Final = ("main", "checks")
"""The schemas that a query reads: the `monitors` view alone, or the `checks` view with it."""


class SqliteMonitors(MonitorQueries):
    """Reads the files of the `monitors` and the `checks` view together.

    Rows that another version made are read where they can be; else ViewUnavailableError is raised.
    """

    POSITION = _POSITION

    def __init__(self, monitors: ViewFile, checks: ViewFile, states: ViewFile) -> None:
        self.remembered_tokens = _REMEMBERED_TOKENS
        self._files = ViewFiles(monitors, checks=checks, states=states)
        self._remembered = threading.local()

    @override
    def require_readable(self) -> None:
        self._files.require_fit(_BOTH)

    @override
    def token(self, token_hash: str) -> Record | None:
        """Return the token with this hash, also when it is revoked.

        Each request asks for one, so each thread remembers tokens until any connection commits
        to the view. The version is read before the row: a row may be newer than the version,
        which costs one more query, but never older.
        """
        known = self._known_tokens()
        record = known.get(token_hash)
        if record is None:
            record = super().token(token_hash)
            if record is not None and len(known) < self.remembered_tokens:
                known[token_hash] = record
        return record

    @override
    def monitors(self, which: MonitorFilter, page: int, per_page: int) -> Page:
        columns = filtered_columns(which)
        bound: Bound = {**columns, "limit": per_page, "offset": (page - 1) * per_page}
        where = " AND ".join(f"{each} = :{each}" for each in columns)
        if which.search:
            part = which.search.casefold()
            bound |= {"part": part, "query": part_query(part)}
            source = _SOUGHT.format(found=_BY_INDEX if is_indexed(part) else _BY_SCAN)
            total = f"SELECT count(*) FROM {source} WHERE {where}"
        else:
            bound["counted"] = count_key(columns, columns)
            source, total = "monitors", KEPT_TOTAL
        item = self._item(which)
        if which.shows_state:
            bound |= {"tail": TAIL, "not_known": NOT_KNOWN}
        statement = _PAGE.format(item=item, source=source, where=where, total=total)
        ((items, number, position),) = self._select(statement, bound)
        return Page(f"[{items or ''}]".encode(), number or 0, position)

    def _item(self, which: MonitorFilter) -> str:
        is_known = which.shows_state
        try:
            if is_known:
                self._files.require_fit(_STATES)
        except ViewUnavailableError:
            is_known = False
        return listed_item(_ORGANIZATION, shows_state=which.shows_state, is_known=is_known)

    @override
    def close(self) -> None:
        self._files.close()

    def _known_tokens(self) -> dict[str, Record]:
        """Return the tokens that this thread has read since the newest commit to the view."""
        connection = self._files.connection()
        now = (connection, connection.execute(_DATA_VERSION).fetchone()[0])
        remembered = self._remembered.__dict__
        if remembered.get("since") != now:
            remembered.update(since=now, tokens={})
        known: dict[str, Record] = remembered["tokens"]
        return known

    @override
    def _select(self, statement: str, bound: Bound, *, owners_only: bool = False) -> list[Any]:
        return self._files.select(statement, bound, _OWNERS if owners_only else _BOTH)


class SqliteHistory(HistoryQueries):
    """Reads the file of the `history` view."""

    def __init__(self, path: Path) -> None:
        self._connections = ThreadConnections(lambda: connect_read_only(path))

    @override
    def position(self) -> int:
        return side_state(self._connections.get(), "live").position

    @override
    def close(self) -> None:
        self._connections.close()

    @override
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        return self._connections.get().execute(statement, bound).fetchall()


class SqliteRollUps(RollUpReader):
    """Reads the file of the `roll_ups` view."""

    def __init__(self, file: ViewFile) -> None:
        self._definition = file.definition
        self._connections = ThreadConnections(lambda: connect_read_only(file.path))

    @override
    def rows(
        self, monitor_id: str, first_day: str, last_day: str
    ) -> tuple[Sequence[Record], Sequence[Record]]:
        connection = self._connections.get()
        connection.execute("BEGIN")
        try:
            if side_state(connection, "live").definition != self._definition:
                raise not_built("roll_ups")
            streams = connection.execute(_STREAMS, (monitor_id,)).fetchall()
            days = connection.execute(_DAYS, (monitor_id, first_day, last_day)).fetchall()
        finally:
            connection.execute("COMMIT")
        return [orjson.loads(row[0]) for row in streams], [orjson.loads(row[0]) for row in days]

    @override
    def close(self) -> None:
        self._connections.close()


class SqliteViews(ViewStorage):
    """Opens the files of a folder, one for each view."""

    def __init__(self, folder: Path) -> None:
        """Raise StoreError when this SQLite cannot hold the views."""
        require_usable_sqlite()
        self._folder = folder

    @override
    def view(self, projection: Projection) -> View:
        """Open the file of a view; one that is damaged is set aside if nobody has it open.

        Raises ViewDamagedError when another process has the damaged file open.
        """
        path = self._path(projection.name)
        deadline = time.monotonic() + _SET_ASIDE_SECONDS
        while True:
            try:
                return SqliteView(path, projection)
            except ViewDamagedError:
                # Parts that start together all find the damage: one renames, the others wait.
                if not set_aside(path) and time.monotonic() > deadline:
                    raise
            time.sleep(_SET_ASIDE_RETRY_SECONDS)

    @override
    def scratch(self, projection: Projection) -> View:
        return ScratchView(projection)

    @override
    def reader(self) -> MonitorReader:
        return SqliteMonitors(
            self._file(monitors.PROJECTION),
            self._file(last_checks.PROJECTION),
            self._file(states.PROJECTION),
        )

    @override
    def history(self) -> HistoryReader:
        return SqliteHistory(self._path("history"))

    @override
    def roll_ups(self) -> RollUpReader:
        return SqliteRollUps(self._file(uptime.PROJECTION))

    @override
    def states(self) -> StateReader:
        return SqliteStates(
            ViewFiles(
                self._file(states.PROJECTION),
                monitors=self._file(monitors.PROJECTION),
                checks=self._file(last_checks.PROJECTION),
            )
        )

    @override
    def incidents(self) -> IncidentReader:
        return SqliteIncidents(ViewFiles(self._file(incidents.PROJECTION)))

    @override
    def close(self) -> None:
        """Do nothing: views and readers share only files."""

    def _file(self, projection: Projection) -> ViewFile:
        return ViewFile(self._path(projection.name), projection.definition)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.db"
