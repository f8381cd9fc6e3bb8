"""Reading views in PostgreSQL: from the primary while it answers, else from a replica.

A process that has written something reads it from the primary. A replica may be behind, so it
is asked only when the alternative is no answer.
"""

from __future__ import annotations

import logging
import time
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from psycopg import errors

from projections.core.projection import is_readable
from projections.core.table import not_built
from projections.storage.postgres_tables import side_state
from store.ports.errors import STORE_UNAVAILABLE
from store.postgres.connections import ANSWER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from store.postgres.connections import Connection, Connections


T = TypeVar("T")
Values = dict[str, Any] | tuple[Any, ...]

log = logging.getLogger("postwatch.projections")

PRIMARY_RETRY_SECONDS: Final = 5.0
"""How long readers leave a primary alone that did not answer. Then one reader asks it."""

_REPLACED: Final = (errors.UndefinedTable, errors.UndefinedColumn, errors.FeatureNotSupported)
"""What a prepared query raises after another version has replaced a view."""

_NUL: Final = "\0"
_IN_NO_VIEW: Final = "\x01"
"""A text that no view contains, as none contains a NUL, which PostgreSQL accepts in no text."""


class ReadConnections:
    """Lends connections for reading. The threads of a process share one."""

    def __init__(
        self,
        primary: Connections,
        replica: Connections | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._clock = clock
        self._retry_at: float | None = None
        self._lock = Lock()

    def run(self, work: Callable[[Connection], T]) -> T:
        """Let `work` read, and return its result; on the replica if the primary does not answer.

        May call `work` twice. Raises an error of STORE_UNAVAILABLE when neither answers.
        """
        if self._replica is None:
            with self._primary.get(answer_seconds=ANSWER_SECONDS) as connection:
                return work(connection)
        if self._should_ask_primary():
            try:
                with self._primary.get(answer_seconds=ANSWER_SECONDS) as connection:
                    found = work(connection)
            except STORE_UNAVAILABLE:
                self._note_silence()
            else:
                self.note_answer()
                return found
        with self._replica.get(answer_seconds=ANSWER_SECONDS) as connection:
            return work(connection)

    def note_answer(self) -> None:
        """Note that the primary has answered: reads go there again."""
        if self._retry_at is not None:
            self._retry_at = None
            log.info("the database answers again; reads go there")

    def close(self) -> None:
        """Close all connections."""
        self._primary.close()
        if self._replica is not None:
            self._replica.close()

    def _should_ask_primary(self) -> bool:
        """Return whether the primary answered last time, or it is time to ask it again."""
        with self._lock:
            if self._retry_at is None:
                return True
            if self._clock() < self._retry_at:
                return False
            # Only this caller waits for an answer. The others go on with the replica meanwhile.
            self._retry_at = self._clock() + PRIMARY_RETRY_SECONDS
            return True

    def _note_silence(self) -> None:
        if self._retry_at is None:
            log.warning("the database does not answer; reads go to its replica")
        self._retry_at = self._clock() + PRIMARY_RETRY_SECONDS


class PostgresQueries:
    """Queries on the live sides of some views, each written for a definition.

    Rows that another version made are read where they can be; else ViewUnavailableError is raised.
    """

    def __init__(self, connections: ReadConnections, definitions: Mapping[str, str]) -> None:
        self._connections = connections
        self._definitions = definitions
        self._fits = False

    def require_readable(self) -> None:
        """Raise ViewUnavailableError unless the views can be read."""
        if not self._fits:
            self._connections.run(self._require_fit)

    def select(self, statement: bytes, values: Values = ()) -> list[Any]:
        """Return the rows of a query."""
        bound = _without_nul(values)
        return self._connections.run(lambda connection: self._select(connection, statement, bound))

    def _select(self, connection: Connection, statement: bytes, bound: Values) -> list[Any]:
        if not self._fits:
            self._require_fit(connection)
        try:
            return connection.execute(statement, bound, prepare=True, binary=True).fetchall()
        except _REPLACED:
            self._require_fit(connection, exactly=True)
            # It was replaced by one that fits: a statement that is not prepared finds that one.
            return connection.execute(statement, bound, prepare=False, binary=True).fetchall()

    def _require_fit(self, connection: Connection, *, exactly: bool = False) -> None:
        """Raise ViewUnavailableError unless the queries fit the stored views.

        Once they fit, they do so until a version that fits less replaces a view.
        """
        for name, wanted in self._definitions.items():
            stored = side_state(connection, name, "live").definition
            if stored != wanted and (exactly or not is_readable(stored, wanted)):
                raise not_built(name)
        self._fits = True


def _without_nul(values: Values) -> Values:
    """Return values as PostgreSQL accepts them: a text with a NUL is found nowhere."""
    if isinstance(values, dict):
        return {name: _findable(value) for name, value in values.items()}
    return tuple(_findable(value) for value in values)


def _findable(value: Any) -> Any:  # noqa: ANN401 - any value that a query binds
    return _IN_NO_VIEW if isinstance(value, str) and _NUL in value else value
