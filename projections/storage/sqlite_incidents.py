"""The reader of the `incidents` view in a SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from projections.storage.incident_queries import IncidentQueries

if TYPE_CHECKING:
    from projections.storage.queries import Bound
    from projections.storage.sqlite_files import ViewFiles


class SqliteIncidents(IncidentQueries):
    """Reads the file of the `incidents` view."""

    def __init__(self, files: ViewFiles) -> None:
        self._files = files

    @override
    def close(self) -> None:
        self._files.close()

    @override
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        return self._files.select(statement, bound)
