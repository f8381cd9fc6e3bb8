"""The views as files of a data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections import checks, monitors, roll_ups
from projections.storage.sqlite_history import SqliteHistory
from projections.storage.sqlite_reader import SqliteReader, SqliteSource
from projections.storage.sqlite_roll_ups import SqliteRollUps
from projections.storage.sqlite_scratch import ScratchView
from projections.storage.sqlite_version import require_usable_sqlite
from projections.storage.sqlite_view import SqliteView
from projections.view_storage import ViewStorage

if TYPE_CHECKING:
    from pathlib import Path

    from projections.history_reader import HistoryReader
    from projections.projection import Projection
    from projections.reader import Reader
    from projections.uptime_report import RollUpReader
    from projections.view import View


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

    def reader(self) -> Reader:
        """Return what answers from the `monitors` and the `checks` view."""
        return SqliteReader(self._source(monitors.PROJECTION), self._source(checks.PROJECTION))

    def history(self) -> HistoryReader:
        """Return what answers from the `history` view."""
        return SqliteHistory(self._path("history"))

    def roll_ups(self) -> RollUpReader:
        """Return what answers from the `roll_ups` view."""
        return SqliteRollUps(self._source(roll_ups.PROJECTION))

    def close(self) -> None:
        """Do nothing: views and readers share no more than files."""

    def _source(self, projection: Projection) -> SqliteSource:
        return SqliteSource(self._path(projection.name), projection.definition)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.db"
