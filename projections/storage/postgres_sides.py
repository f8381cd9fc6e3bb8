"""Where each side of a view stands in PostgreSQL: a row that its writers lock.

A side that is not there yet stands at nothing, at the position 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from domain.storage.postgres_connections import Connection
    from projections.view import Side

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


class Standing(NamedTuple):
    """Where a side stands."""

    position: int
    generation: int
    definition: str
    mark: str


NOWHERE: Final = Standing(0, 0, "", "")


def standing(connection: Connection, view: str, side: Side) -> Standing:
    """Return where a side stands."""
    row = connection.execute(_STANDING, (view, side), prepare=True).fetchone()
    return Standing(*row) if row else NOWHERE


def be_patient(connection: Connection) -> None:
    """Bound how long this transaction waits for locks, and others for it when we vanish.

    Nor does it wait for the disk: a view that lost its last changes in a crash catches up.
    """
    connection.execute(_PATIENCE, (LOCK_TIMEOUT,), prepare=True)


def lock(connection: Connection, view: str, side: Side) -> Standing:
    """Let no other writer to a side until the transaction ends; return where it stands.

    Who wants both sides begins with the live one.
    """
    locking = _STANDING + b"FOR UPDATE"
    while (row := connection.execute(locking, (view, side), prepare=True).fetchone()) is None:
        connection.execute(_ADD, (view, side))
    return Standing(*row)


def set_standing(connection: Connection, view: str, side: Side, now: Standing) -> None:
    """Record where a side stands."""
    connection.execute(_SET, (*now, view, side))


def set_position(connection: Connection, view: str, side: Side, position: int, mark: str) -> None:
    """Record up to which event a side shows the log."""
    connection.execute(_SET_POSITION, (position, mark, view, side), prepare=True)


def disown(connection: Connection, view: str, position: int, definition: str) -> None:
    """Give the live side another definition, unless it has left a position."""
    connection.execute(_DISOWN, (definition, view, position))
