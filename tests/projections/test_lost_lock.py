"""A process that has lost its lock writes nothing wrong, stops its work, and stands by."""

from __future__ import annotations

from contextlib import closing, nullcontext
from threading import Event, Thread
from typing import TYPE_CHECKING

import psycopg
import pytest

from projections.core.joined_log import readers_of
from projections.core.projector import BufferedTransaction, Projector
from store.leadership import run_as_leader
from store.ports.locks import LockHandle, LockLostError
from store.postgres.connections import Connections
from store.postgres.engine import PostgresEngine
from store.postgres.locks import PostgresLocks
from tests.places import on_postgres
from tests.waiting import wait_until

if TYPE_CHECKING:
    from projections.catalog import Views
    from store.store import Store
    from tests.domain.given import Owners


_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name LIKE 'postwatch part %'
"""


class Lost(LockHandle):
    """A lock that another process has taken over."""

    @property
    def is_lost(self) -> bool:
        """It is."""
        return True


def test_a_frozen_rebuild_writes_nothing_over_the_one_that_went_on(
    views: Views, owners: Owners
) -> None:
    del owners
    projector = views.projector("monitors")
    projector.view.start_shadow()
    frozen, other = (BufferedTransaction(projector.view, "shadow") for _ in range(2))
    for draft, end in ((frozen, 1), (other, 2)):
        projector.projection.apply(readers_of(projector.log)[0].after(0, end), draft)

    other.write()
    with pytest.raises(LockLostError, match="another process goes on"):
        frozen.write()

    assert projector.view.position("shadow") == 2


def test_a_rebuild_ends_when_its_lock_is_lost(views: Views, owners: Owners) -> None:
    del owners
    known = views.projector("monitors")
    known.catch_up()

    lost = Projector(
        known.projection, known.log, known.view, rebuild_lock=lambda: nullcontext(Lost())
    )
    generation = known.view.generation()

    with pytest.raises(LockLostError, match="its lock is lost"):
        lost.rebuild()

    assert known.view.generation() == generation


@on_postgres
def test_who_has_lost_the_lock_stops_and_stands_by(store: Store) -> None:
    assert isinstance(store.engine, PostgresEngine)
    database = store.engine.database
    turns: list[str] = []
    stop = Event()

    def work(over: Event, hold: LockHandle) -> None:
        turns.append("begun")
        over.wait()
        turns.append("lost" if hold.is_lost else "over")

    with closing(Connections(database.url, "test")) as connections:
        locks = PostgresLocks(database, connections)
        thread = Thread(target=run_as_leader, args=(locks, "part", work, stop))
        thread.start()
        try:
            wait_until(lambda: turns == ["begun"], what="its turn")
            with psycopg.connect(database.url, autocommit=True) as operator:
                operator.execute(_END)
            wait_until(lambda: turns == ["begun", "lost", "begun"], what="another turn")
        finally:
            stop.set()
            thread.join()
    assert turns == ["begun", "lost", "begun", "over"]
