"""The rows of a log in an SQLite file as they lie there, for whoever proves them.

Not by the library's recorder, which decodes: it would take an id in capital letters for
the same id, and stop at a row that is no event at all.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from domain.proof.leaf import Row
from domain.storage.engine import StoredRows
from domain.storage.sqlite_log import LAST_GIVEN, LOCK_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from uuid import UUID

_AFTER: Final = """
SELECT rowid, CAST(originator_id AS BLOB), CAST(originator_version AS BLOB),
    CAST(topic AS BLOB), CAST(state AS BLOB)
FROM stored_events WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?
"""
_POSITION_OF: Final = """
SELECT rowid FROM stored_events WHERE originator_id = ? AND originator_version = ?
"""
_LAST_POSSIBLE: Final = (1 << 63) - 1


class SqliteRows(StoredRows):
    """Reads a log's file. A connection is opened for each use, so threads and forks are safe."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def after(self, position: int, limit: int, *, through: int | None = None) -> Sequence[Row]:
        """Return up to `limit` rows after `position`, in order, up to position `through`."""
        last = _LAST_POSSIBLE if through is None else through
        with closing(self._connect()) as connection:
            rows = connection.execute(_AFTER, (position, last, limit)).fetchall()
        return [Row(*row) for row in rows]

    def position_of(self, stream: UUID, version: int) -> int | None:
        """Return where the event of a version in a stream stands; None when it does not."""
        with closing(self._connect()) as connection:
            found = connection.execute(_POSITION_OF, (stream.hex, version)).fetchone()
        return found[0] if found else None

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event is gone."""
        with closing(self._connect()) as connection:
            found: int = connection.execute(LAST_GIVEN).fetchone()[0]
        return found

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, timeout=LOCK_TIMEOUT_SECONDS)
