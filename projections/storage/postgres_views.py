"""The views as a schema of a PostgreSQL database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from domain.storage.postgres_connections import LONG_SECONDS, Connections
from domain.storage.postgres_engine import PostgresEngine
from projections import checks, history, monitors, roll_ups
from projections.storage.postgres_history import PostgresHistory
from projections.storage.postgres_queries import PostgresQueries
from projections.storage.postgres_reader import PostgresReader
from projections.storage.postgres_reading import Reading
from projections.storage.postgres_roll_ups import PostgresRollUps
from projections.storage.postgres_view import PostgresView
from projections.storage.sqlite_scratch import ScratchView
from projections.storage.sqlite_version import require_usable_sqlite
from projections.view import Snapshot
from projections.view_storage import ViewStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.storage.database import Database
    from domain.storage.engine import Engine
    from projections.history_reader import HistoryReader
    from projections.projection import Projection
    from projections.reader import Reader
    from projections.uptime_report import RollUpReader
    from projections.view import StoredRow, Table, View


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

    def reader(self) -> Reader:
        """Return what answers from the `monitors` and the `checks` view."""
        return PostgresReader(
            self._queries(monitors.PROJECTION),
            self._queries(monitors.PROJECTION, checks.PROJECTION),
        )

    def history(self) -> HistoryReader:
        """Return what answers from the `history` view."""
        return PostgresHistory(self._queries(history.PROJECTION))

    def roll_ups(self) -> RollUpReader:
        """Return what answers from the `roll_ups` view."""
        projection = roll_ups.PROJECTION
        return PostgresRollUps(self._queries(projection), projection.definition)

    def close(self) -> None:
        """Close the connections."""
        self._reading.close()

    def _queries(self, *projections: Projection) -> PostgresQueries:
        return PostgresQueries(self._reading, {each.name: each.definition for each in projections})


class _Scratch(ScratchView):
    """A scratch view that is compared with one in PostgreSQL."""

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Return the live side: nobody writes to it meanwhile."""
        with super().snapshot() as snapshot:
            yield _Comparable(snapshot)


class _Comparable(Snapshot):
    """A snapshot without the parts of a search: PostgreSQL keeps those as an index of its own."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def position(self) -> int:
        """Return its position."""
        return self._snapshot.position()

    def rows(self, table: Table) -> Iterator[StoredRow]:
        """Return every row in the order of keys."""
        return self._snapshot.rows(table)

    def beside(self, table: Table) -> Iterator[tuple[str, str, int]]:
        """Return the counts beside a table."""
        return (each for each in self._snapshot.beside(table) if each[0] == "counts")
