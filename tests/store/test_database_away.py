"""A database that is unavailable, frozen or cut off: callers fail fast, and recover with it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from store.ports.errors import (
    CircuitBreaker,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    outage_reason,
)
from store.ports.leases import Heartbeat
from store.postgres.connections import Connections, Pool
from store.postgres.errors import NO_ANSWER
from store.postgres.leases import PostgresLeases
from store.postgres.log import LogDatastore, LogRecorder
from tests.places import POSTGRES, Databases
from tests.postgres_server import find_binaries, postgres_server, start
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres_server import PostgresServer


pytestmark = list(POSTGRES.marks)

ROW = ("c6c7eeb3-9ae5-4ab6-8a58-4d80a7e6ce38", 1, "Topic", b"state")


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that this test may end."""
    with postgres_server() as running:
        yield running


@pytest.fixture
def migrated(postgres: Databases) -> Iterator[str]:
    """The URL of a database with the schema."""
    with postgres.migrated() as database:
        yield database.url


@contextmanager
def log_of(url: str) -> Iterator[LogRecorder]:
    """The log `monitoring`, as the event store opens it."""
    with closing(LogDatastore(url, "monitoring")) as datastore:
        yield LogRecorder(datastore, events_table_name="monitoring_events")


def selected(connections: Connections) -> object:
    with connections.get() as connection:
        return connection.execute("SELECT 1").fetchone()


def test_all_threads_fail_fast_and_the_outage_is_logged_once(
    server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Connections(server.url(), "test")) as connections:
        assert selected(connections) == (1,)
        server.kill()
        # Its children live a moment longer.
        wait_until(lambda: not answers(connections), what="the server to be gone")

        def ask(_: int) -> str:
            with pytest.raises(DatabaseUnavailableError) as away:
                selected(connections)
            return outage_reason(away.value)

        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(ask, range(1000)))

        assert found == {"does not answer"}
        lines = [each.getMessage() for each in caplog.records if "postwatch" in each.name]
        assert len(lines) == 1
        assert f"127.0.0.1:{server.port}/postgres does not answer: Connection refused" in lines[0]

        binaries = find_binaries()
        assert binaries is not None
        again = start(binaries, server.folder, {}, server.port)
        try:
            wait_until(lambda: answers(connections), what="the database is back")
        finally:
            again.stop()
        assert "answers again after" in caplog.messages[-1]


def answers(connections: Connections) -> bool:
    try:
        return selected(connections) == (1,)
    except DatabaseUnavailableError:
        return False


def test_circuit_breaker_lets_one_caller_at_a_time_probe() -> None:
    now = [0.0]
    breaker = CircuitBreaker("back", lambda: now[0])
    tried: list[str] = []

    def attempt(name: str) -> None:
        with breaker.attempt():
            tried.append(name)
            raise DatabaseUnavailableError("away", NO_ANSWER)

    for name in ("first", "second"):
        with pytest.raises(DatabaseUnavailableError, match="away"):
            attempt(name)
    now[0] = 2.0
    with breaker.attempt():
        with pytest.raises(DatabaseUnavailableError):
            attempt("while one tries")
        tried.append("third")

    with pytest.raises(ValueError, match="a bug"), breaker.attempt():
        raise ValueError("a bug")
    with breaker.attempt():
        tried.append("fourth")

    assert tried == ["first", "third", "fourth"]


def test_circuit_breaker_lets_the_next_caller_probe_after_a_bug() -> None:
    now = [0.0]
    breaker = CircuitBreaker("back", lambda: now[0])
    with pytest.raises(DatabaseUnavailableError), breaker.attempt():
        raise DatabaseUnavailableError("away", NO_ANSWER)
    now[0] = 2.0
    with pytest.raises(ValueError, match="a bug"), breaker.attempt():
        raise ValueError("a bug")

    with breaker.attempt():
        pass


def test_a_frozen_server_is_given_up_after_a_time(migrated: str, server: PostgresServer) -> None:
    del migrated
    connections = Connections(server.url(), "test", answer_seconds=0.5)
    with closing(connections):
        with connections.get() as one, connections.get() as other:
            pids = [each.info.backend_pid for each in (one, other)]
        frozen = [server.process.pid, *pids]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(DatabaseUnavailableError, match=r"no answer within 0\.5 s"):
                selected(connections)
            # The other connection is taken to be as dead; to connect takes two seconds.
            with pytest.raises(DatabaseUnavailableError, match="connection timeout expired"):
                selected(connections)
            with pytest.raises(DatabaseUnavailableError, match="connection timeout expired"):
                selected(connections)
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        wait_until(lambda: answers(connections), what="the server goes on")


def test_a_session_that_the_server_ended_is_not_lent_again(migrated: str) -> None:
    with closing(Connections(migrated, "test")) as connections:
        with connections.get() as connection:
            pid = connection.info.backend_pid
        with psycopg.connect(migrated, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

        assert selected(connections) == (1,)


def test_a_pool_opens_no_more_connections_than_its_size(migrated: str) -> None:
    with closing(Connections(migrated, "test")) as connections:
        connections._pool = Pool(connections._connect, 1, wait_seconds=0.05)
        with (
            connections.get(),
            pytest.raises(
                DatabaseUnavailableError, match="all 1 connections of this process are in use"
            ),
        ):
            selected(connections)
        assert selected(connections) == (1,)


def test_idle_connections_are_closed(migrated: str) -> None:
    with closing(Connections(migrated, "test")) as connections:
        connections._pool = Pool(connections._connect, 1, idle_seconds=0.0)
        with connections.get() as lent:
            pass
        assert lent.closed


def test_a_commit_that_waits_for_a_standby_in_vain_is_not_acknowledged(
    server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The server warns and says that it is committed, when that wait is cancelled."""
    caplog.set_level(logging.CRITICAL, "psycopg")
    with psycopg.connect(server.url(), autocommit=True) as operator:
        operator.execute("CREATE TABLE kept (number integer)")
        operator.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        operator.execute("SELECT pg_reload_conf()")
        with closing(Connections(server.url(), "test")) as connections:
            raised: list[BaseException] = []

            def write() -> None:
                try:
                    with connections.transaction() as connection:
                        connection.execute("INSERT INTO kept VALUES (1)")
                except DatabaseUnavailableError as error:
                    raised.append(error)

            thread = threading.Thread(target=write)
            thread.start()
            cancel_wait_for_standby(operator)
            thread.join(30)

            assert "broken off while it waited for a synchronous standby" in str(raised[0])
            # In doubt is not lost.
            assert operator.execute("SELECT count(*) FROM kept").fetchone() == (1,)
            assert selected(connections) == (1,)

            # Who fails with another error tells that one, and leaves no doubt to the next.
            with closing(Connections(server.url(), "test")) as others:
                errors = fail_in_doubt(others, operator)
                assert list(map(type, errors)) == [ZeroDivisionError]
                assert selected(others) == (1,)


def fail_in_doubt(connections: Connections, operator: psycopg.Connection) -> list[BaseException]:
    """Fail after a commit whose wait for a standby was broken off; return with what."""
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with connections.get() as connection:
                with connection.transaction():
                    connection.execute("INSERT INTO kept VALUES (2)")
                raise ZeroDivisionError  # noqa: TRY301 - the test is about who raises within
        except Exception as error:  # noqa: BLE001 - what it is the caller asks
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    cancel_wait_for_standby(operator)
    thread.join(30)
    return failed


def cancel_wait_for_standby(operator: psycopg.Connection) -> None:
    (waiting,) = wait_until(
        lambda: operator.execute(
            "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        ).fetchall(),
        what="a commit that waits",
    )
    operator.execute("SELECT pg_cancel_backend(%s)", waiting)


def test_pools_are_made_while_all_idle_connections_are_discarded() -> None:
    """Each lock makes one of its own, in whatever thread; another one finds a server silent."""
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    one, *_others = [Connections(url, "test") for _ in range(2000)]
    over = threading.Event()

    def make() -> None:
        while not over.is_set():
            Connections(url, "test")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(make)
            try:
                for _ in range(50):
                    one.discard_all()
            finally:
                over.set()
            making.result()
    finally:
        sys.setswitchinterval(interval)
    assert one.reconnects == 50


def test_a_session_that_cannot_be_configured_is_closed(migrated: str) -> None:
    with psycopg.connect(migrated, autocommit=True) as operator:
        operator.execute("DROP ROLE IF EXISTS guest")
        operator.execute("CREATE ROLE guest LOGIN")
        operator.execute("REVOKE EXECUTE ON FUNCTION set_config FROM PUBLIC")
        as_guest = migrated.replace("postwatch@", "guest@")
        with closing(Connections(as_guest, "test")) as connections:
            # The error that is held here holds what failed, and so would hold it open.
            with pytest.raises(DatabaseRefusedError, match="permission denied") as select:
                selected(connections)
            with pytest.raises(DatabaseRefusedError) as leases:
                PostgresLeases(as_guest, "local", 1).look(Heartbeat("here:1", None, 0.0, 0.0, 0.0))
            wait_until(
                lambda: (
                    operator.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'guest'"
                    ).fetchone()
                    == (0,)
                ),
                what="no session is left",
            )
            del select, leases


def test_a_log_without_writes_delays_one_writer_at_a_time(migrated: str) -> None:
    impatient = f"{migrated}?options=-c%20lock_timeout%3D300ms"
    with log_of(impatient) as log, psycopg.connect(migrated) as intruder:
        log.append([ROW])
        intruder.execute("LOCK TABLE postwatch_monitoring.monitoring_events IN EXCLUSIVE MODE")
        second = (ROW[0], 2, *ROW[2:])

        with pytest.raises(DatabaseUnavailableError, match="accepts no writes now"):
            log.append([second])
        started = time.monotonic()
        for _ in range(50):
            with pytest.raises(DatabaseUnavailableError, match="accepts no writes now"):
                log.append([second])
        # Each of them alone would wait 0.3 s.
        assert time.monotonic() - started < 10
        # Reads are not in the way.
        assert log.max_notification_id() == 1

        intruder.rollback()
        assert wait_until(lambda: appended(log, second), what="the log takes events")


def appended(log: LogRecorder, row: tuple[str, int, str, bytes]) -> bool:
    try:
        return log.append([row]) == [2]
    except DatabaseUnavailableError:
        return False


def test_a_database_that_is_read_only_or_full_says_so(migrated: str) -> None:
    with log_of(migrated) as log:
        log.append([ROW])
        with psycopg.connect(migrated, autocommit=True) as operator:
            name = operator.info.dbname
            operator.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        log.datastore.close()  # a new connection is refused, an old one says it at the write

        with pytest.raises(DatabaseUnavailableError, match="cannot be written to") as away:
            log.append([(ROW[0], 2, *ROW[2:])])
        assert away.value.diagnosis.passes


@pytest.mark.parametrize("statement", ["PREPARE a AS SELECT 1; PREPARE a AS SELECT 2", "EXECUTE b"])
def test_a_pool_that_shares_sessions_is_told_from_the_statements_that_others_prepared(
    migrated: str, statement: str
) -> None:
    with (
        closing(Connections(migrated, "test")) as connections,
        pytest.raises(DatabaseRefusedError, match="a pool that shares sessions") as refused,
        connections.get() as connection,
    ):
        connection.execute(statement)

    assert "pool_mode = session" in refused.value.diagnosis.advice


def test_transactions_see_what_others_commit_whatever_the_database_has_set(migrated: str) -> None:
    with psycopg.connect(migrated, autocommit=True) as operator:
        name = sql.Identifier(operator.info.dbname)
        operator.execute(
            sql.SQL(
                "ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'"
            ).format(name)
        )

    with closing(Connections(migrated, "test")) as connections, connections.get() as connection:
        ((found,),) = connection.execute("SHOW transaction_isolation")

    assert found == "read committed"


def test_missing_rights_are_reported(migrated: str) -> None:
    with psycopg.connect(migrated, autocommit=True) as operator:
        operator.execute("DROP ROLE IF EXISTS visitor")
        operator.execute("CREATE ROLE visitor LOGIN")
    as_visitor = migrated.replace("postwatch@", "visitor@")

    with (
        closing(Connections(as_visitor, "test")) as connections,
        pytest.raises(DatabaseRefusedError, match="denies its tables to this role: permission"),
        connections.get() as connection,
    ):
        connection.execute("SELECT * FROM postwatch.heads")
