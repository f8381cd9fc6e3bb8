"""Writers of one log in PostgreSQL take turns; none of them can keep the turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from checker.recording.check_log import AppendResult, CheckLog
from checker.runtime.location import Location
from domain.commands import UpdateMonitor
from domain.errors import LostEventsError
from domain.monitor import Monitor
from store.ports.engine import LOGS
from store.ports.errors import STORE_UNAVAILABLE
from store.postgres.connections import translate_errors
from store.postgres.log import FROZEN_SECONDS, LogRecorder, log_schema, log_table
from tests.domain.given import NOON, TESTER, check_of, make_owners
from tests.places import Place
from tests.postgres_server import find_binaries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.places import Databases


pytestmark = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")


def test_no_writer_waits_for_a_vacuum_or_breaks_it_off(postgres: Databases, tmp_path: Path) -> None:
    with (
        postgres.migrated() as database,
        Place(tmp_path / "data", database).create() as store,
        psycopg.connect(database.url) as vacuum,
    ):
        for log in LOGS:
            # The lock that a vacuum holds for as long as it takes.
            vacuum.execute(
                sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(
                    sql.Identifier(log_schema(log), log_table(log))
                )
            )

        store.check_writable()
        for application in (store.monitoring, store.checks):
            recorder = cast("LogRecorder", application.recorder)
            assert len(recorder.append([(str(uuid4()), 1, "Topic", b"{}")])) == 1


def end_sessions(hand: psycopg.Connection) -> None:
    """End all others, as the end of a server does; each has ended when this returns."""
    hand.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_what_a_server_lost_is_forgotten_and_leaves_no_hole_in_a_stream(
    postgres: Databases, tmp_path: Path
) -> None:
    with (
        postgres.migrated() as database,
        Place(tmp_path / "data", database).create() as store,
        psycopg.connect(database.url, autocommit=True) as hand,
    ):
        owners = make_owners(store)
        monitor = store.monitoring.create_monitor(owners.create(), TESTER)
        for name in ("Second", "Lost", "Lost"):
            store.monitoring.update_monitor(UpdateMonitor(monitor.id, {"name": name}), TESTER)
        # As on a standby that was promoted before it had the last event.
        table = sql.Identifier(log_schema("monitoring"), log_table("monitoring"))
        end_sessions(hand)
        newest = sql.SQL("(SELECT max(notification_id) FROM {})").format(table)
        hand.execute(sql.SQL("DELETE FROM {} WHERE notification_id = {}").format(table, newest))

        changed = UpdateMonitor(monitor.id, {"check_interval": 7})
        store.monitoring.update_monitor(changed, TESTER)

        with Place(tmp_path / "data", database).open() as other:
            found = other.monitoring.load(Monitor, monitor.id, "")
        assert (found.version, found.name) == (3, "Second")


def test_checker_goes_on_from_what_a_server_kept(postgres: Databases, tmp_path: Path) -> None:
    with (
        postgres.migrated() as database,
        Place(tmp_path / "data", database).create() as store,
        psycopg.connect(database.url, autocommit=True) as hand,
    ):
        monitor = store.monitoring.create_monitor(make_owners(store).create(), TESTER)
        log = CheckLog(store.checks, Location("local", "Local"), clock=lambda: NOON, is_shared=True)
        for minute in range(3):
            log.append([check_of(monitor, minute)])
        end_sessions(hand)
        hand.execute("DELETE FROM postwatch_checks.checks_events WHERE originator_version = 3")

        assert log.append([check_of(monitor, 3)]) == AppendResult(1, 0)
        rows = hand.execute("SELECT originator_version FROM postwatch_checks.checks_events")
        assert sorted(rows) == [(1,), (2,), (3,)]


def test_writer_checks_each_stream_once_after_a_reconnect(
    postgres: Databases, tmp_path: Path
) -> None:
    """To look at every append costs up to half as much again, for as long as the process runs."""
    one, other = str(uuid4()), str(uuid4())
    with (
        postgres.migrated() as database,
        Place(tmp_path / "data", database).create() as store,
        psycopg.connect(database.url, autocommit=True) as hand,
    ):
        recorder = cast("LogRecorder", store.checks.recorder)

        def append(version: int, *streams: str) -> None:
            recorder.append([(each, version, "CheckPerformed", b"{}") for each in streams])

        def looked_for(version: int) -> dict[str, int]:
            guard = recorder._failover_guard
            return dict(guard.required_versions([one, other], [version, version]).by_stream)

        append(1, one, other)
        assert looked_for(2) == {}
        end_sessions(hand)
        append(2, one)
        assert looked_for(3) == {other: 2}
        append(2, other)
        assert looked_for(3) == {}

        end_sessions(hand)
        hand.execute(
            "DELETE FROM postwatch_checks.checks_events "
            "WHERE originator_id = %s AND originator_version = 2",
            (one,),
        )
        with pytest.raises(LostEventsError):
            append(3, one, other)
        assert looked_for(3) == {one: 2, other: 2}
        append(3, other)
        assert looked_for(4) == {one: 3}


@pytest.mark.thorough
def test_writer_that_is_frozen_with_the_lock_of_the_log_loses_it(
    postgres: Databases, tmp_path: Path
) -> None:
    with (
        postgres.migrated() as database,
        Place(tmp_path / "data", database).create() as store,
        psycopg.connect(database.url) as frozen,
    ):
        recorder = cast("LogRecorder", store.checks.recorder)
        began = time.monotonic()
        for statement in recorder._begin_append:
            frozen.execute(statement)
        recorder.append([(str(uuid4()), 1, "CheckPerformed", b"{}")])

        assert FROZEN_SECONDS <= time.monotonic() - began < FROZEN_SECONDS + 30
        # The writer gets an error when it goes on, and looks what was stored.
        with pytest.raises(STORE_UNAVAILABLE), translate_errors("the database"):
            frozen.execute("SELECT 1")
