"""Queries on the live side of views, as long as it is one that this code can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import errors

from projections.definition import ANOTHER_HISTORY, is_readable
from projections.storage.postgres_sides import standing
from projections.view import not_made

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.storage.postgres_connections import Connection
    from projections.storage.postgres_reading import Reading

Bound = dict[str, Any] | tuple[Any, ...]

_REPLACED: Final = (errors.UndefinedTable, errors.UndefinedColumn, errors.FeatureNotSupported)
"""What a prepared query may meet when another version has replaced a view."""

_NUL: Final = "\0"
_NOWHERE: Final = "\x01"
"""Stands nowhere in a view, as little as a NUL does, which PostgreSQL takes in no text."""


class PostgresQueries:
    """Reads views by name, each of a definition.

    Rows that another version made are read where they can be; else ViewAwayError is raised.
    """

    def __init__(self, reading: Reading, definitions: Mapping[str, str]) -> None:
        self._reading = reading
        self._definitions = definitions
        self._fits = False

    def require_readable(self) -> None:
        """Raise ViewAwayError unless the views can be read."""
        if not self._fits:
            self._reading.run(self._require_fit)

    def select(self, statement: bytes, values: Bound = ()) -> list[Any]:
        """Return the rows of a query."""
        bound = _findable(values)
        return self._reading.run(lambda connection: self._select(connection, statement, bound))

    def _select(self, connection: Connection, statement: bytes, bound: Bound) -> list[Any]:
        if not self._fits:
            self._require_fit(connection)
        try:
            return connection.execute(statement, bound, prepare=True, binary=True).fetchall()
        except _REPLACED:
            self._require_fit(connection, exactly=True)
            # It was replaced by one that fits: what is not prepared knows nothing of the old.
            return connection.execute(statement, bound, prepare=False, binary=True).fetchall()

    def _require_fit(self, connection: Connection, *, exactly: bool = False) -> None:
        """Raise ViewAwayError unless the queries fit the views.

        Once they did they go on doing so, until a version that fits less takes a view over.
        """
        for name, wanted in self._definitions.items():
            stored = standing(connection, name, "live").definition or ANOTHER_HISTORY
            if stored != wanted and (exactly or not is_readable(stored, wanted)):
                raise not_made(name)
        self._fits = True


def _findable(values: Bound) -> Bound:
    """Return values as PostgreSQL takes them: one with a NUL is found nowhere."""
    if isinstance(values, dict):
        return {name: _without_nul(value) for name, value in values.items()}
    return tuple(_without_nul(value) for value in values)


def _without_nul(value: Any) -> Any:  # noqa: ANN401 - any value that a query binds
    return _NOWHERE if isinstance(value, str) and _NUL in value else value
