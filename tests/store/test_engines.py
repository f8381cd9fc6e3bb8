"""Rows, segments and writing: what every engine guarantees."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from eventsourcing.persistence import OperationalError

from domain.errors import ArchiveError, StoreError
from domain.event_mapper import Row
from tests.domain.given import make_owners
from tests.domain.realistic import Fleet, record
from tests.intruder import intruder_of
from tests.places import Place
from tests.postgres_server import find_binaries
from tests.store.proof_store import TamperedLog

if TYPE_CHECKING:
    from pathlib import Path

    from store.store import Store
    from tests.places import Databases


on_postgres = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")


@pytest.fixture
def log(store: Store) -> TamperedLog:
    """A log of 25 events in streams of ten."""
    made = TamperedLog(store)
    made.fill(25)
    return made


def test_rows_are_read_by_position_in_pages(log: TamperedLog) -> None:
    rows = log.store.engine.rows("checks")

    assert rows.after(3, 1) == [
        Row(4, UUID(int=0).hex.encode(), b"4", b"CheckPerformed", b'{"n":3}')
    ]
    assert [row.position for row in rows.after(3, 4)] == [4, 5, 6, 7]
    assert [row.position for row in rows.after(20, 100, through=22)] == [21, 22]
    assert rows.after(25, 100) == []
    assert rows.last_given() == 25
    assert log.store.engine.rows("monitoring").after(0, 9) == []
    assert log.store.engine.rows("monitoring").last_given() == 0


def test_a_row_is_found_by_its_stream_and_version(log: TamperedLog) -> None:
    rows = log.store.engine.rows("checks")

    assert rows.position_of(UUID(int=1), 3) == 13
    assert rows.position_of(UUID(int=1), 11) is None
    assert rows.position_of(UUID(int=9), 1) is None


def test_the_newest_of_each_stream_stays_when_the_log_is_pruned(log: TamperedLog) -> None:
    engine = log.store.engine

    assert engine.prune(0, 15) == 14
    assert [row.position for row in engine.rows("checks").after(0, 99)] == [10, *range(16, 26)]
    assert engine.prune(0, 15) == 0
    assert engine.prune(15, 25) == 8
    assert [row.position for row in engine.rows("checks").after(0, 99)] == [10, 20, 25]
    assert engine.rows("checks").last_given() == 25


def test_a_segment_is_read_as_it_was_written(place: Place) -> None:
    with place.engine() as engine:
        segments = engine.segments
        assert (segments.size(), segments.size_of(1, 9)) == (0, None)
        with pytest.raises(ArchiveError, match="it is missing"):
            segments.read(1, 9)

        data = bytes(range(256)) * 500
        segments.write(1, 9, data)
        segments.write(10, 20, b"")
        segments.remove_unfinished()

        assert segments.read(1, 9) == data
        assert segments.read(10, 20) == b""
        assert (segments.size_of(1, 9), segments.size()) == (len(data), len(data))
        assert "1" in segments.place(1, 9)
        assert "9" in segments.place(1, 9)
    with place.engine() as another:
        assert another.segments.read(1, 9) == data


def test_a_log_is_writable_unless_another_writer_holds_it_for_long(store: Store) -> None:
    store.check_writable()
    with intruder_of(store).writing("monitoring"):
        started = time.monotonic()
        with pytest.raises(OperationalError):
            store.check_writable()
        assert time.monotonic() - started < 5
    store.check_writable()


def test_a_writer_waits_for_the_one_before_it(store: Store, place: Place) -> None:
    begun = threading.Event()

    def write() -> int:
        with place.open() as another:
            begun.set()
            return make_owners(another).organization.number

    with ThreadPoolExecutor(1) as pool:
        with intruder_of(store).writing("monitoring"):
            writing = pool.submit(write)
            assert begun.wait(20)
            with pytest.raises(TimeoutError):
                writing.result(timeout=0.3)
        assert writing.result(timeout=20) == 1


@on_postgres
def test_functions_in_the_database_are_neither_made_nor_used(
    postgres: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would leave out the lock on the table, and with it the order of positions."""
    monkeypatch.setenv("POSTGRES_ENABLE_DB_FUNCTIONS", "y")
    monkeypatch.setenv("MONITORING_POSTGRES_ENABLE_DB_FUNCTIONS", "y")
    with postgres.migrated() as database:
        place = Place(tmp_path, database)
        with place.create() as store, psycopg.connect(database.url) as connection:
            test_a_writer_waits_for_the_one_before_it(store, place)
            made = connection.execute(
                "SELECT proname FROM pg_proc JOIN pg_namespace AS s ON s.oid = pronamespace"
                " WHERE (nspname LIKE 'postwatch%' OR nspname = 'public') AND NOT EXISTS"
                " (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')"
            ).fetchall()
            assert made == []


@on_postgres
def test_a_database_without_the_schema_is_refused_and_what_to_do_is_said(
    postgres: Databases, tmp_path: Path
) -> None:
    with postgres.empty() as database:
        place = Place(tmp_path, database)
        for use in (place.create, place.open):
            with pytest.raises(StoreError, match="run `postwatch migrate` once"):
                use()
        with psycopg.connect(database.url) as connection:
            made = connection.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'postwatch%'"
            ).fetchall()
        assert made == []


def test_the_space_that_a_log_takes_is_known(store: Store) -> None:
    before = store.engine.log_bytes("checks")

    record(store, Fleet(10).checks(500))

    assert store.engine.log_bytes("checks") - before > 500 * 500
