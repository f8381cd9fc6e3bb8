"""The rows of a log in PostgreSQL as they lie there, in the form in which they are proven."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg import sql

from domain.proof.leaf import Row
from domain.storage.engine import StoredRows
from domain.storage.postgres_log import LAST_GIVEN, log_schema, log_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.storage.postgres_connections import Connections

_AFTER: Final = """
SELECT notification_id, convert_to(replace(originator_id::text, '-', ''), 'UTF8'),
    convert_to(originator_version::text, 'UTF8'), convert_to(topic, 'UTF8'), state
FROM {table} WHERE notification_id > %s AND notification_id <= %s
ORDER BY notification_id LIMIT %s
"""
_POSITION_OF: Final = """
SELECT notification_id FROM {table} WHERE originator_id = %s AND originator_version = %s
"""
_LAST_POSSIBLE: Final = (1 << 63) - 1


class PostgresRows(StoredRows):
    """Reads a log's table."""

    def __init__(self, connections: Connections, log: str) -> None:
        self._connections = connections
        names = {
            "table": sql.Identifier(log_schema(log), log_table(log)),
            "sequence": sql.Identifier(log_schema(log), f"{log_table(log)}_position"),
        }
        self._after = sql.SQL(_AFTER).format(**names)
        self._position_of = sql.SQL(_POSITION_OF).format(**names)
        self._last_given = sql.SQL(LAST_GIVEN).format(**names)

    def after(self, position: int, limit: int, *, through: int | None = None) -> Sequence[Row]:
        """Return up to `limit` rows after `position`, in order, up to position `through`."""
        last = _LAST_POSSIBLE if through is None else through
        with self._connections.get() as connection:
            rows = connection.execute(self._after, (position, last, limit), binary=True).fetchall()
        return [Row(*row) for row in rows]

    def position_of(self, stream: UUID, version: int) -> int | None:
        """Return where the event of a version in a stream stands; None when it does not."""
        with self._connections.get() as connection:
            found = connection.execute(self._position_of, (stream, version)).fetchone()
        return found[0] if found else None

    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event is gone."""
        with self._connections.get() as connection:
            ((found,),) = connection.execute(self._last_given).fetchall()
        position: int = found
        return position
