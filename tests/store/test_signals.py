"""Change signals: a reader learns soon that a log has grown, also when a notification is lost."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, cast

import psycopg
import pytest

from store.ports.engine import Database
from store.postgres import notifications
from store.postgres.connections import Connections
from store.postgres.engine import PostgresEngine
from store.postgres.notifications import FALLBACK_SECONDS, Listener
from tests.domain.given import TESTER, check_of, make_owners
from tests.places import Place
from tests.postgres_server import find_binaries, standby_of
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store.ports.engine import ChangeSignal
    from store.store import Store
    from tests.places import Databases


on_postgres = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")


def record(store: Store, minute: int = 0) -> None:
    monitor = store.monitoring.create_monitor(make_owners(store).create(), TESTER)
    store.checks.record([check_of(monitor, minute)], location="local", actor=TESTER)


def is_calm(signal: ChangeSignal) -> bool:
    """Ask until the signal no longer reports what was written before."""
    return wait_until(lambda: not signal.changed())


def test_a_signal_tells_of_what_another_process_writes(store: Store, place: Place) -> None:
    with place.open() as another, closing(store.signal("checks")) as signal:
        assert signal.changed()
        for minute in range(3):
            assert is_calm(signal)
            record(another, minute)
            wait_until(signal.changed)
            assert len(store.reader("checks").after(0, 10)) == minute + 1


def test_all_signals_of_one_process_are_notified(store: Store) -> None:
    with ExitStack() as stack:
        signals = [stack.enter_context(closing(store.signal("checks"))) for _ in range(3)]
        assert all(signal.changed() for signal in signals)
        assert all(is_calm(signal) for signal in signals)
        signals[0].close()

        record(store)

        for signal in signals[1:]:
            wait_until(signal.changed)


@pytest.fixture
def in_database(postgres: Databases, tmp_path: Path) -> Iterator[Place]:
    """Where a store can be in a database."""
    with postgres.migrated() as database:
        yield Place(tmp_path, database)


@pytest.fixture
def listening(in_database: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store whose signals tell of nothing but what they are notified of."""
    monkeypatch.setattr(notifications, "FALLBACK_SECONDS", 3600)
    with in_database.create() as store:
        yield store


def listener_of(store: Store) -> Listener:
    return cast("PostgresEngine", store.engine)._listener


@on_postgres
def test_a_notification_comes_at_once_and_of_its_log_only(
    listening: Store, in_database: Place
) -> None:
    with (
        in_database.open() as another,
        closing(listening.signal("checks")) as signal,
        closing(listening.signal("monitoring")) as other,
    ):
        wait_until(lambda: listener_of(listening).listens, what="a listening connection")
        assert is_calm(signal)
        assert is_calm(other)
        make_owners(another)
        wait_until(other.changed, what="a notification")
        assert not signal.changed()


@on_postgres
def test_a_listener_reconnects_and_reports_what_came_meanwhile(
    listening: Store, in_database: Place
) -> None:
    assert in_database.database is not None
    with closing(listening.signal("checks")) as signal:
        wait_until(lambda: listener_of(listening).listens, what="a listening connection")
        assert is_calm(signal)
        with psycopg.connect(in_database.database.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        record(listening)
        wait_until(signal.changed)
        wait_until(lambda: listener_of(listening).listens, what="a new listening connection")
        assert is_calm(signal)
        record(listening, 1)
        wait_until(signal.changed, what="a notification")


@on_postgres
def test_a_lost_notification_is_made_up_for_within_a_second(
    postgres: Databases,
) -> None:
    with (
        postgres.migrated() as database,
        closing(PostgresEngine(database)) as engine,
        closing(engine.signal("checks")) as signal,
    ):
        wait_until(lambda: engine._listener.listens, what="a listening connection")
        assert is_calm(signal)
        # As when a notification is lost: none is sent for this row.
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO postwatch_checks.checks_events"
                " VALUES (gen_random_uuid(), 1, 'CheckPerformed', '')"
            )
        wait_until(signal.changed)
        assert FALLBACK_SECONDS <= 1


@on_postgres
def test_on_a_standby_which_refuses_listen_the_log_is_polled(
    postgres: Databases, in_database: Place
) -> None:
    assert in_database.database is not None
    name = in_database.database.url.rpartition("/")[2]
    with in_database.create() as store, standby_of(postgres.server) as standby:
        reading = Connections(standby.url(name), "store", writes=False)
        with (
            psycopg.connect(standby.url(name), autocommit=True) as connection,
            pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        ):
            connection.execute("LISTEN nothing")
        listener = Listener(reading)
        with closing(listener), closing(listener.signal("checks")) as signal:
            assert signal.changed()
            assert is_calm(signal)
            record(store)
            wait_until(signal.changed)
            assert not listener.listens


@on_postgres
def test_on_a_server_that_takes_no_writes_the_log_is_polled(postgres: Databases) -> None:
    with postgres.migrated() as database:
        name = database.url.rpartition("/")[2]
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(
                f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode()
            )
        with (
            closing(PostgresEngine(Database(database.url))) as engine,
            closing(engine.signal("checks")) as signal,
        ):
            assert signal.changed()
            wait_until(signal.changed)
            assert not engine._listener.listens
