"""Leases by which checkers share monitors: what every engine guarantees."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest
from eventsourcing.persistence import OperationalError
from psycopg import sql

from domain.errors import StoreError
from store.ports.errors import DatabaseUnavailableError
from store.ports.leases import Heartbeat, Leases
from store.postgres.engine import PostgresEngine
from store.postgres.leases import LOCATIONS, PostgresLeases
from tests.memory_leases import LeaseTable, MemoryLeases
from tests.places import POSTGRES
from tests.postgres_server import find_binaries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from store.ports.engine import Database
    from store.ports.leases import FleetSession
    from tests.places import Databases


needs_postgres = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")
BEAT = Heartbeat("here:1", "DE", 0.5, 12.5, -3.0)


@dataclass
class Location:
    """Makes sessions of one location, which end with the test."""

    make: Callable[[], Leases]

    def __post_init__(self) -> None:
        self.made: list[Leases] = []

    def session(self) -> Leases:
        self.made.append(self.make())
        return self.made[-1]


@pytest.fixture
def database(postgres: Databases) -> Iterator[Database]:
    with postgres.migrated() as made:
        yield made


@pytest.fixture(params=["memory", POSTGRES])
def location(request: pytest.FixtureRequest) -> Iterator[Location]:
    if request.param == "memory":
        table = LeaseTable(time.time)
        made = Location(lambda: MemoryLeases(table))
    else:
        database: Database = request.getfixturevalue("database")
        made = Location(lambda: PostgresLeases(database.url, "de-nbg", 1))
    yield made
    for each in made.made:
        each.close()


def others(leases: Leases) -> dict[int, FleetSession]:
    """Return what a session sees of the others."""
    standing = leases.look(BEAT)
    return {each.number: each for each in standing.sessions if each.number != standing.session}


def test_the_first_checker_is_alone_and_takes_all_shards(location: Location) -> None:
    leases = location.session()
    standing = leases.look(BEAT)
    assert [(each.number, each.shards, each.is_member) for each in standing.sessions] == [
        (standing.session, frozenset(), True)
    ]

    assert leases.take(range(64)) == frozenset(range(64))
    assert leases.look(BEAT).shards_of(standing.session) == frozenset(range(64))


def test_database_tells_its_time(location: Location) -> None:
    session = location.session()
    before = time.time()
    assert before - 0.01 <= session.look(BEAT).time <= time.time() + 0.01


def test_a_held_shard_is_given_to_no_other_checker(location: Location) -> None:
    one, other = location.session(), location.session()
    one.look(BEAT)
    one.take([1, 2, 3])

    other.look(BEAT)
    assert other.take([2, 3, 4]) == {4}
    (seen,) = others(other).values()
    assert seen.shards == {1, 2, 3}
    assert (seen.is_member, seen.beat) == (True, BEAT)


def test_what_is_given_is_free(location: Location) -> None:
    one, other = location.session(), location.session()
    one.look(BEAT)
    one.take([1, 2, 3])
    one.give([2])

    other.look(BEAT)
    assert other.take([1, 2, 3]) == {2}


def test_end_of_a_session_frees_what_it_held(location: Location) -> None:
    one, other = location.session(), location.session()
    one.look(BEAT)
    one.take([1, 2])
    other.look(BEAT)
    one.close()

    wait_until(lambda: not others(other), what="session gone")
    assert other.take([1, 2]) == {1, 2}


def test_beats_are_counted(location: Location) -> None:
    one, other = location.session(), location.session()
    number = one.look(BEAT).session
    first = others(other)[number].beats
    one.look(Heartbeat("here:1", "DE", 9.0))

    seen = others(other)[number]
    assert seen.beats == first + 1
    assert seen.beat == Heartbeat("here:1", "DE", 9.0)


def test_a_leaving_checker_is_no_member_and_keeps_its_locks_until_it_gives_them(
    location: Location,
) -> None:
    one, other = location.session(), location.session()
    number = one.look(BEAT).session
    one.take([1, 2])
    one.leave()

    seen = others(other)[number]
    assert not seen.is_member
    assert seen.shards == {1, 2}
    one.give([1, 2])
    assert others(other) == {}


def test_session_that_is_ended_by_another_is_lost_and_the_next_look_begins_a_new_one(
    location: Location,
) -> None:
    one, other = location.session(), location.session()
    number = one.look(BEAT).session
    one.take([1, 2])
    other.look(BEAT)
    assert other.end(number)
    wait_until(lambda: not others(other), what="session ended")

    with pytest.raises(OperationalError):
        one.take([3])
    again = one.look(BEAT)
    assert again.session != number
    assert again.shards_of(again.session) == frozenset()


def test_end_of_a_session_that_is_gone_does_nothing(location: Location) -> None:
    one, other = location.session(), location.session()
    number = one.look(BEAT).session
    other.look(BEAT)
    one.close()
    wait_until(lambda: not others(other), what="session gone")

    other.end(number)
    assert others(other) == {}


@needs_postgres
def test_locations_know_nothing_of_each_other(database: Database) -> None:
    one, other = (PostgresLeases(database.url, f"l{number}", number) for number in (1, 2))
    one.look(BEAT)
    one.take([1])
    other.look(BEAT)

    assert others(other) == {}
    assert other.take([1]) == {1}
    engine = PostgresEngine(database)
    rows = engine.fleet()
    assert [(row.location_number, row.location) for row in rows] == [(1, "l1"), (2, "l2")]
    assert [row.session.shards for row in rows] == [{1}, {1}]
    assert all(row.age_seconds is not None and row.age_seconds < 10 for row in rows)
    for each in (one, other, engine):
        each.close()


@needs_postgres
def test_shard_that_is_locked_by_hand_is_seen_with_its_session(database: Database) -> None:
    leases = PostgresLeases(database.url, "de-nbg", 1)
    with psycopg.connect(database.url, autocommit=True) as hand:
        hand.execute("SELECT pg_advisory_lock(%s, 7)", (LOCATIONS + 1,))
        leases.look(BEAT)
        assert leases.take([6, 7]) == {6}

        (seen,) = others(leases).values()
        assert seen.number == hand.info.backend_pid
        assert seen.shards == {7}
        assert (seen.is_member, seen.beat) == (False, None)
        engine = PostgresEngine(database)
        row = next(each for each in engine.fleet() if each.session.number == seen.number)
        assert (row.location, row.age_seconds) == (None, None)
        engine.close()
    leases.close()


@needs_postgres
def test_pool_that_shares_connections_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = PostgresLeases(database.url, "de-nbg", 1)
    leases.look(BEAT)
    # As such a pool does it: the next statement comes to another session.
    monkeypatch.setattr(leases, "_session", leases._session + 1)

    with pytest.raises(StoreError, match="pool that keeps sessions"):
        leases.look(BEAT)


@needs_postgres
def test_server_that_is_frozen_is_not_waited_for(database: Database) -> None:
    leases = PostgresLeases(database.url, "de-nbg", 1)
    frozen = leases.look(BEAT).session
    os.kill(frozen, signal.SIGSTOP)
    try:
        with pytest.raises(DatabaseUnavailableError, match="no answer within"):
            leases.look(BEAT)
        # Others of its processes may answer: then the session is another one.
        assert leases.look(BEAT).session != frozen
    finally:
        os.kill(frozen, signal.SIGCONT)
        leases.close()


@needs_postgres
def test_session_that_may_not_be_ended_is_told_and_goes_on(database: Database) -> None:
    strong = PostgresLeases(database.url, "de-nbg", 1)
    number = strong.look(BEAT).session
    name = f"weak_{os.getpid()}"
    role = sql.Identifier(name)
    with psycopg.connect(database.url, autocommit=True) as hand:
        hand.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        hand.execute(sql.SQL("GRANT USAGE ON SCHEMA postwatch TO {}").format(role))
        hand.execute(sql.SQL("GRANT ALL ON postwatch.fleet TO {}").format(role))
        weak = PostgresLeases(f"{database.url}?user={name}", "de-nbg", 1)
        try:
            weak.look(BEAT)
            assert not weak.end(number)
            assert strong.look(BEAT).session == number
        finally:
            weak.close()
            strong.close()
            hand.execute(sql.SQL("DROP OWNED BY {}").format(role))
            hand.execute(sql.SQL("DROP ROLE {}").format(role))
