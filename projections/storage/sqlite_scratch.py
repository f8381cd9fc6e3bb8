"""A view that is needed for a moment: in a file that nobody else sees."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from projections.storage.sqlite_snapshot import SqliteSnapshot
from projections.storage.sqlite_view import SqliteView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.projection import Projection
    from projections.view import Snapshot


class ScratchView(SqliteView):
    """A view for one thread, in SQLite's own temporary file (`SQLITE_TMPDIR`, `TMPDIR`).

    That file has no name, so it is gone also when the process is killed.
    """

    def __init__(self, projection: Projection) -> None:
        super().__init__(Path(), projection)
        self.create()

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Return the live side: nobody writes to it meanwhile."""
        yield SqliteSnapshot(self._connections.get())

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect("", isolation_level=None)
