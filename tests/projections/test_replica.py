"""Reading while the primary is away: from a real standby, and from the primary when it is back."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from projections.catalog import Views
from projections.storage.postgres_connection import PRIMARY_RETRY_SECONDS, ReadConnections
from store.ports.errors import STORE_UNAVAILABLE
from store.postgres.connections import Connections
from tests.domain.given import TESTER, make_owners
from tests.places import Databases, Place, databases
from tests.postgres_server import find_binaries, standby_of, start
from tests.projections.folding import catch_up
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from domain.monitor import Monitor
    from store.postgres.connections import Connection
    from store.store import Store
    from tests.domain.given import Owners
    from tests.postgres_server import PostgresServer


pytestmark = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")


@pytest.fixture
def primary() -> Iterator[Databases]:
    """A server that a test may kill."""
    with databases() as made:
        yield made


class AskedConnections(Connections):
    """Counts the connections that are asked for."""

    asked = 0

    @contextmanager
    def get(self, *, answer_seconds: float | None = None) -> Iterator[Connection]:
        """Lend a connection."""
        self.asked += 1
        with super().get(answer_seconds=answer_seconds) as connection:
            yield connection


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def port_of(connection: Connection) -> int:
    """Return which server answers."""
    connection.execute("SELECT 1")
    return connection.info.port


@pytest.fixture
def revive(primary: Databases) -> Iterator[Callable[[], None]]:
    """Starts the killed server once more where it was."""
    revived: list[PostgresServer] = []

    def start_again() -> None:
        server = primary.server
        arguments: Any = server.process.args
        revived.append(start(Path(arguments[0]).parent, server.folder, {}, server.port))

    yield start_again
    for server in revived:
        server.stop()


def test_a_replica_answers_while_the_primary_is_away_and_not_for_longer(
    primary: Databases, revive: Callable[[], None]
) -> None:
    server, clock = primary.server, Clock()
    with standby_of(server) as standby:
        asked = AskedConnections(server.url(), "views")
        reading = ReadConnections(asked, Connections(standby.url(), "views", writes=False), clock)
        assert [reading.run(port_of) for _ in range(3)] == [server.port] * 3
        server.kill()
        # Its processes end one after the other.
        wait_until(lambda: reading.run(port_of) == standby.port)

        known = asked.asked
        assert [reading.run(port_of) for _ in range(5)] == [standby.port] * 5
        assert asked.asked == known, "the primary is left alone for a while"
        clock.now = PRIMARY_RETRY_SECONDS
        assert [reading.run(port_of) for _ in range(5)] == [standby.port] * 5
        assert asked.asked == known + 1, "then one asks"

        revive()
        assert reading.run(port_of) == standby.port
        clock.now = 3 * PRIMARY_RETRY_SECONDS
        wait_until(lambda: _moves(clock) and reading.run(port_of) == server.port)
        reading.close()


def test_an_error_other_than_an_outage_does_not_ask_the_replica(
    primary: Databases,
) -> None:
    def wrong(_: Connection) -> None:
        raise LookupError("a bug")

    url = primary.server.url()
    elsewhere = AskedConnections(url, "views", writes=False)
    reading = ReadConnections(Connections(url, "views"), elsewhere)

    with pytest.raises(LookupError, match="a bug"):
        reading.run(wrong)

    assert elsewhere.asked == 0
    reading.close()


@pytest.mark.thorough
def test_readers_see_the_views_on_the_replica_until_a_write_finds_the_primary(
    primary: Databases, revive: Callable[[], None], tmp_path: Path
) -> None:
    server = primary.server
    with ExitStack() as stack:
        made = stack.enter_context(primary.migrated())
        standby = stack.enter_context(standby_of(server))
        name = made.url.rpartition("/")[2]
        place = Place(tmp_path, replace(made, read_url=standby.url(name)))
        with place.create() as store, Views(store) as views:
            owners = make_owners(store)
            monitor = store.monitoring.create_monitor(owners.create(), TESTER)
            catch_up(views)
            key = str(monitor.id)
            shown = views.reader.rendered_monitor("smtp", key)
            told = views.history.entries_of(key, 1000, 5)
            with Views(store) as on_the_replica:
                replica = ReadConnections(Connections(standby.url(name), "views", writes=False))
                projector = views.projector("history")
                wait_until(lambda: replica.run(_position) == projector.log.head())
                replica.close()
                server.kill()
                wait_until(lambda: _is_gone(views))
                assert on_the_replica.reader.rendered_monitor("smtp", key) == shown
                assert on_the_replica.history.entries_of(key, 1000, 5) == told
                assert on_the_replica.projector("monitors").view.is_current()
                with pytest.raises(STORE_UNAVAILABLE):
                    on_the_replica.projector("monitors").catch_up()
                revive()
                another: Any = wait_until(lambda: _recorded(store, owners))
                wait_until(lambda: _follows(on_the_replica))
                # No waiting for the clock: who has written reads what was written.
                assert on_the_replica.reader.rendered_monitor("smtp", str(another.id)) is not None


def _position(connection: Connection) -> int:
    found = connection.execute(
        "SELECT min(position) FROM postwatch_views.sides WHERE view IN ('history', 'monitors') "
        "AND side = 'live'"
    ).fetchone()
    return found[0] if found else 0


def _follows(views: Views) -> bool:
    try:
        return views.projector("monitors").catch_up() >= 0
    except STORE_UNAVAILABLE:
        return False


def _recorded(store: Store, owners: Owners) -> Monitor | None:
    try:
        return store.monitoring.create_monitor(owners.create(), TESTER)
    except STORE_UNAVAILABLE:
        return None


def _is_gone(views: Views) -> bool:
    """Return whether the primary answers no more."""
    try:
        views.projector("monitors").catch_up()
    except STORE_UNAVAILABLE:
        return True
    return False


def _moves(clock: Clock) -> bool:
    """Let time go by."""
    clock.now += PRIMARY_RETRY_SECONDS
    return True
