"""The files of several views, read together by one connection a thread."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from projections.core.projection import is_readable
from projections.core.table import not_built
from projections.storage.sqlite_view import LOCK_TIMEOUT_SECONDS
from projections.storage.view_connection import connect_to_view
from store.sqlite.connections import ThreadConnections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from projections.storage.queries import Bound


# The names of schemas come from this package, never from input.

_DEFINITION: Final = "SELECT definition FROM {schema}.sides WHERE side = 'live'"


class ViewFile(NamedTuple):
    """The file of a view, and the definition that the queries were written for."""

    path: Path
    definition: str


class ViewFiles:
    """Files that queries read together: the first one as `main`, the others under their names.

    Rows that another version made are read where they can be; else ViewUnavailableError is raised.
    """

    def __init__(self, main: ViewFile, **others: ViewFile) -> None:
        self._files = {"main": main, **others}
        self._fitting: set[str] = set()
        self._connections = ThreadConnections(self._connect)

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection."""
        return self._connections.get()

    def select(self, statement: str, bound: Bound, schemas: Sequence[str] = ()) -> list[Any]:
        """Return the rows of a query on some of the files; by default on all."""
        connection = self._connections.get()
        self.require_fit(schemas)
        try:
            return connection.execute(statement, bound).fetchall()
        except sqlite3.OperationalError:
            # A column or a table is missing after another version has replaced a view.
            self.require_fit(schemas, exactly=True)
            raise

    def require_fit(self, schemas: Sequence[str] = (), *, exactly: bool = False) -> None:
        """Raise ViewUnavailableError unless the queries fit the stored views.

        Once they fit, they do so until a version that fits less replaces a view.
        """
        connection = self._connections.get()
        for schema in schemas or self._files:
            if schema in self._fitting and not exactly:
                continue
            file = self._files[schema]
            row = connection.execute(_DEFINITION.format(schema=schema)).fetchone()
            stored = row[0] if row else ""
            if stored != file.definition and (exactly or not is_readable(stored, file.definition)):
                raise not_built(file.path.stem)
            self._fitting.add(schema)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def _connect(self) -> sqlite3.Connection:
        others = {name: each.path for name, each in self._files.items() if name != "main"}
        return connect_read_only(self._files["main"].path, **others)


def connect_read_only(path: Path, **attached: Path) -> sqlite3.Connection:
    """Return a read-only connection to a file, with other files attached under schema names."""
    connection = connect_to_view(path, timeout_seconds=LOCK_TIMEOUT_SECONDS, **attached)
    connection.execute("PRAGMA query_only = ON")
    return connection
