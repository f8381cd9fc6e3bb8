"""Where readers read: from the primary as long as it answers, else from a replica.

Who has written something finds it on the primary. A replica may be behind, and is asked
only when the choice is between an old answer and none.

Where each side of a view stands in PostgreSQL: a row that its writers lock.

A side that is not there yet stands at nothing, at the position 0.

The tables of a view in PostgreSQL: made, dropped, and shown to readers under their names.

The rows of a side lie in tables that bear the view and the number of the side's generation:
`monitors_7_tokens`. Readers know none of that. They ask `tokens`, which is a view of SQL
that shows the rows of the live side. So a swap touches no table: it makes the SQL views
anew, and waits for nobody but who reads through them just then. Who looks at a side for
longer reads its tables themselves, and they stay until he is done.
"""

from __future__ import annotations

import logging
import time
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from store.ports.errors import STORE_UNAVAILABLE
from store.postgres.connections import ANSWER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from projections.core.table import Table, ViewSide
    from store.postgres.connections import Connection, Connections


log = logging.getLogger("postwatch.projections")

LOOK_AGAIN_SECONDS: Final = 5.0
"""How long nobody asks a primary that was away. Then one asks, and may have to wait for it."""

T = TypeVar("T")


class Reading:
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
        self._away_until: float | None = None
        self._deciding = Lock()

    def run(self, work: Callable[[Connection], T]) -> T:
        """Let `work` read, and return what it does; on the replica if the primary is away.

        `work` may be done twice. Raises an error of STORE_UNAVAILABLE when nobody answers.
        """
        if self._replica is None:
            with self._primary.get(answer_seconds=ANSWER_SECONDS) as connection:
                return work(connection)
        if self._is_worth_asking():
            try:
                with self._primary.get(answer_seconds=ANSWER_SECONDS) as connection:
                    found = work(connection)
            except STORE_UNAVAILABLE:
                self._note_away()
            else:
                self.note_answer()
                return found
        with self._replica.get(answer_seconds=ANSWER_SECONDS) as connection:
            return work(connection)

    def note_answer(self) -> None:
        """Note that the primary has answered, so that the next one asks it again."""
        if self._away_until is not None:
            self._away_until = None
            log.info("the database answers again; reads go there")

    def close(self) -> None:
        """Close all connections."""
        self._primary.close()
        if self._replica is not None:
            self._replica.close()

    def _is_worth_asking(self) -> bool:
        """Return whether the primary is there, as far as is known, or whether to look again."""
        with self._deciding:
            if self._away_until is None:
                return True
            if self._clock() < self._away_until:
                return False
            # Only this one waits for an answer. The others go on with the replica meanwhile.
            self._away_until = self._clock() + LOOK_AGAIN_SECONDS
            return True

    def _note_away(self) -> None:
        if self._away_until is None:
            log.warning("the database does not answer; reads go to its replica")
        self._away_until = self._clock() + LOOK_AGAIN_SECONDS


_STANDING: Final = b"""
SELECT position, generation, definition, mark FROM postwatch_views.sides
WHERE view = %s AND side = %s
"""
_ADD: Final = b"""
INSERT INTO postwatch_views.sides (view, side, position, generation, definition)
VALUES (%s, %s, 0, 0, '') ON CONFLICT DO NOTHING
"""
_SET: Final = b"""
UPDATE postwatch_views.sides SET position = %s, generation = %s, definition = %s, mark = %s
WHERE view = %s AND side = %s
"""
_SET_POSITION: Final = b"""
UPDATE postwatch_views.sides SET position = %s, mark = %s WHERE view = %s AND side = %s
"""
_DISOWN: Final = b"""
UPDATE postwatch_views.sides SET definition = %s
WHERE view = %s AND side = 'live' AND position = %s
"""
_PATIENCE: Final = b"""
SELECT set_config('lock_timeout', %s, true),
    set_config('idle_in_transaction_session_timeout', '60s', true),
    set_config('synchronous_commit', 'off', true)
"""
LOCK_TIMEOUT: Final = "10s"
"""How long a writer waits for those before it."""


class SideState(NamedTuple):
    """Where a side stands."""

    position: int
    generation: int
    definition: str
    last_event_id: str


EMPTY_SIDE: Final = SideState(0, 0, "", "")


def standing(connection: Connection, view: str, side: ViewSide) -> SideState:
    """Return where a side stands."""
    row = connection.execute(_STANDING, (view, side), prepare=True).fetchone()
    return SideState(*row) if row else EMPTY_SIDE


def be_patient(connection: Connection) -> None:
    """Bound how long this transaction waits for locks, and others for it when we vanish.

    Nor does it wait for the disk: a view that lost its last changes in a crash catches up.
    """
    connection.execute(_PATIENCE, (LOCK_TIMEOUT,), prepare=True)


def lock(connection: Connection, view: str, side: ViewSide) -> SideState:
    """Let no other writer to a side until the transaction ends; return where it stands.

    Who wants both sides begins with the live one.
    """
    locking = _STANDING + b"FOR UPDATE"
    while (row := connection.execute(locking, (view, side), prepare=True).fetchone()) is None:
        connection.execute(_ADD, (view, side))
    return SideState(*row)


def set_standing(connection: Connection, view: str, side: ViewSide, now: SideState) -> None:
    """Record where a side stands."""
    connection.execute(_SET, (*now, view, side))


def set_position(
    connection: Connection, view: str, side: ViewSide, position: int, last_event_id: str
) -> None:
    """Record up to which event a side shows the log."""
    connection.execute(_SET_POSITION, (position, last_event_id, view, side), prepare=True)


def invalidate(connection: Connection, view: str, position: int, definition: str) -> None:
    """Give the live side another definition, unless it has left a position."""
    connection.execute(_DISOWN, (definition, view, position))


SCHEMA: Final = "postwatch_views"

_TYPES: Final = {"TEXT": 'text COLLATE "C"', "INTEGER": "bigint"}
"""Text is sorted by its bytes, as SQLite does it."""

_TRIGRAMS: Final = b"""
SELECT quote_ident(nspname) FROM pg_extension
JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm'
"""
_TABLES: Final = b"""
SELECT relname::text FROM pg_class
WHERE relnamespace = 'postwatch_views'::regnamespace AND relkind = 'r' AND relname ~ %s
"""
_LEFT_OVER: Final = b"""
SELECT relname::text FROM pg_class
WHERE relnamespace = 'postwatch_views'::regnamespace AND relkind = 'r'
AND relname ~ ('^' || %(view)s || '_[0-9]+_') AND NOT EXISTS (
    SELECT FROM postwatch_views.sides
    WHERE view = %(view)s AND relname ~ ('^' || view || '_' || generation || '_')
)
"""
_SHOWN: Final = b"""
SELECT DISTINCT shown.relname::text FROM pg_depend
JOIN pg_rewrite ON pg_rewrite.oid = pg_depend.objid
JOIN pg_class shown ON shown.oid = pg_rewrite.ev_class
JOIN pg_class stored ON stored.oid = pg_depend.refobjid
WHERE pg_depend.classid = 'pg_rewrite'::regclass AND shown.relkind = 'v'
AND stored.relnamespace = 'postwatch_views'::regnamespace AND stored.relname ~ %s
"""

_WITH_ROOM: Final = "WITH (fillfactor = 80)"
"""In each page room for rows that change: where they stay on their page, no index follows."""

# Table and column names come from the projections' definitions, never from input.
# ruff: noqa: S608


def shown(table: str) -> str:
    """Return the name under which readers find the live rows of a table."""
    return f"{SCHEMA}.{table}"


def stored(view: str, generation: int, table: str) -> str:
    """Return the name under which the rows of a generation are stored."""
    return f"{SCHEMA}.{view}_{generation}_{table}"


def counts_of(name: str) -> str:
    """Return the name of the table of counts beside a table."""
    return f"{name}_counts"


def names(table: Table) -> list[str]:
    """Return the names of a table and of what is kept beside it."""
    return [table.name, *([counts_of(table.name)] if table.counted else [])]


def create_tables(
    connection: Connection, view: str, generation: int, tables: Iterable[Table]
) -> None:
    """Make the empty tables of a generation in the place of ones that may be there."""
    for (name,) in connection.execute(_TABLES, (f"^{view}_{generation}_",)).fetchall():
        connection.execute(f"DROP TABLE {SCHEMA}.{name}".encode())
    trigrams = connection.execute(_TRIGRAMS).fetchone()
    for table in tables:
        _create_table(connection, stored(view, generation, table.name), table)
        if table.searched and trigrams:
            connection.execute(
                f"CREATE INDEX ON {stored(view, generation, table.name)} "
                f"USING gin ({table.searched} {trigrams[0]}.gin_trgm_ops)".encode()
            )


def _create_table(connection: Connection, name: str, table: Table) -> None:
    kinds = {column: _TYPES[kind] for column, kind in table.columns.items()}
    columns = "".join(f", {column} {kind}" for column, kind in kinds.items())
    key = 'key text COLLATE "C" PRIMARY KEY'
    connection.execute(
        f"CREATE TABLE {name} ({key}, record bytea NOT NULL{columns}) {_WITH_ROOM}".encode()
    )
    # Not compressed: that takes longer than to write a day of roll-ups, and saves an eighth.
    connection.execute(f"ALTER TABLE {name} ALTER record SET STORAGE EXTERNAL".encode())
    for index in table.indexes:
        connection.execute(f"CREATE INDEX ON {name} ({', '.join(index)})".encode())
    if table.counted:
        connection.execute(
            f"CREATE TABLE {counts_of(name)} "
            '(counted text COLLATE "C" PRIMARY KEY, number bigint NOT NULL)'.encode()
        )


def show(connection: Connection, view: str, generation: int, tables: Iterable[Table]) -> None:
    """Let readers see the tables of a generation; those of another version are seen no more.

    The last table comes first, because queries begin with it (`monitors`) and go on to
    what it belongs to: who locks in the same order does not wait for one another in a ring.
    """
    own = [name for table in reversed(list(tables)) for name in names(table)]
    there = {name for (name,) in connection.execute(_SHOWN, (f"^{view}_[0-9]+_",)).fetchall()}
    for name in (*own, *sorted(there - {*own})):
        connection.execute(f"DROP VIEW IF EXISTS {shown(name)}".encode())
    for name in own:
        connection.execute(
            f"CREATE VIEW {shown(name)} AS SELECT * FROM {stored(view, generation, name)}".encode()
        )


def drop_left_over(connection: Connection, view: str) -> None:
    """Drop the tables that belong to no side of a view any more."""
    for (name,) in connection.execute(_LEFT_OVER, {"view": view}).fetchall():
        connection.execute(f"DROP TABLE IF EXISTS {SCHEMA}.{name}".encode())


def analyze(connection: Connection, view: str, generation: int, tables: Iterable[Table]) -> None:
    """Let the server look at the rows of a generation, so that it plans queries for them."""
    found = [stored(view, generation, name) for table in tables for name in names(table)]
    connection.execute(f"ANALYZE {', '.join(found)}".encode())
