"""A view in PostgreSQL: swaps among readers, bounded waits, few round trips."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError

from domain.commands import IssueToken
from projections.catalog import Views
from projections.readers.monitors import MonitorFilter
from projections.storage.postgres_view import PostgresView
from projections.views.monitors import MONITORS, PROJECTION
from store.ports.errors import STORE_UNAVAILABLE
from tests.domain.given import TESTER
from tests.places import on_postgres
from tests.projections.folding import catch_up, everything, fill
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from projections.core.table import Transaction
    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


pytestmark = on_postgres

SWAPS = 30
READERS = 4


@pytest.fixture
def filled(store: Store, owners: Owners, views: Views) -> Views:
    """Views that are caught up."""
    fill(store, owners)
    catch_up(views)
    return views


def view_of(views: Views, name: str = "monitors") -> PostgresView:
    """Return a view."""
    view = views.projector(name).view
    assert isinstance(view, PostgresView)
    return view


def test_frozen_server_is_not_waited_for_by_who_makes_a_view(place: Place, filled: Views) -> None:
    view_of(filled).write_seconds = 0.5
    assert place.database is not None
    with psycopg.connect(place.database.url) as other:
        frozen = other.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name LIKE 'postwatch views %'"
        ).fetchall()
    for (pid,) in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(STORE_UNAVAILABLE, match="no answer within"):
            view_of(filled).start_shadow()
    finally:
        for (pid,) in frozen:
            os.kill(pid, signal.SIGCONT)
    view_of(filled).start_shadow()


class Readers:
    """Threads that ask everything all the time, and tell what was wrong."""

    def __init__(self, views: Views, organization_id: str) -> None:
        self._reader = views.reader
        self._which = MonitorFilter("smtp", organization_id)
        self._expected = self._look()
        self.looks = 0
        self.problems: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(READERS)]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read while the block runs."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads)

    def goes_on(self) -> None:
        """Wait until each reader has looked again."""
        begun = self.looks
        wait_until(lambda: self.problems or self.looks > begun + 2 * READERS)

    def _read(self) -> None:
        try:
            while not self._stop.is_set():
                if self._look() != self._expected:
                    self.problems.append("another answer")
                self.looks += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shall tell
            self.problems.append(repr(error))

    def _look(self) -> Any:  # noqa: ANN401 - all answers
        reader = self._reader
        page = reader.monitors(self._which, 1, 50)
        key = json.loads(page.items)[0]["publicId"]
        part = MonitorFilter("smtp", self._which.organization_id, None, "serv")
        return (
            page,
            reader.monitors(part, 1, 5),
            reader.monitor("smtp", key),
            reader.rendered_monitor("smtp", key),
            reader.tokens(),
            reader.customer(1),
            reader.last_checks(key),
        )


@pytest.mark.thorough
def test_readers_meet_no_error_and_no_other_answer_while_views_are_swapped(
    filled: Views, owners: Owners
) -> None:
    readers = Readers(filled, str(owners.organization.id))

    with readers.reading():
        for _ in range(SWAPS):
            for name in ("monitors", "checks"):
                filled.projector(name).rebuild()
        readers.goes_on()

    assert readers.problems == []
    assert view_of(filled).generation() == SWAPS + 1


def is_a_swap_waiting_on(place: Place) -> Callable[[], bool]:
    """Return a check whether a transaction waits to replace an SQL view."""
    assert place.database is not None
    url = place.database.url

    def look() -> bool:
        with psycopg.connect(url) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
            )
            return found.fetchone() is not None

    return look


@contextmanager
def reading_for_long(place: Place) -> Iterator[psycopg.Connection]:
    """Read the monitors as others do, and stay."""
    assert place.database is not None
    with psycopg.connect(place.database.url) as connection:
        connection.execute("SELECT count(*) FROM postwatch_views.monitors")
        yield connection


def test_a_swap_lets_others_read_while_it_waits_for_one_who_reads_for_long(
    filled: Views, owners: Owners, place: Place
) -> None:
    before = everything(filled)
    readers = Readers(filled, str(owners.organization.id))
    swap = threading.Thread(target=filled.projector("monitors").rebuild)

    with readers.reading():
        with reading_for_long(place):
            swap.start()
            for _ in range(3):
                wait_until(is_a_swap_waiting_on(place))
                readers.goes_on()
            assert view_of(filled).generation() == 1
        swap.join(30)

    assert not swap.is_alive()
    assert readers.problems == []
    assert view_of(filled).generation() == 2
    assert everything(filled) == before


def test_a_swap_that_cannot_be_made_leaves_everything_to_the_next_try(
    filled: Views, place: Place
) -> None:
    before = everything(filled)
    projector = filled.projector("monitors")
    swap_seconds, view_of(filled).swap_seconds = view_of(filled).swap_seconds, 0
    with reading_for_long(place), pytest.raises(STORE_UNAVAILABLE):
        projector.rebuild()
    assert everything(filled) == before
    assert (view_of(filled).generation(), projector.rebuilder.position()) == (
        1,
        projector.log.head(),
    )

    view_of(filled).swap_seconds = swap_seconds
    projector.rebuild()

    assert everything(filled) == before
    assert (view_of(filled).generation(), projector.rebuilder.position()) == (2, None)


def test_a_writer_waits_for_another_one_for_a_bounded_time(filled: Views) -> None:
    view = view_of(filled)
    view.lock_timeout_seconds = 0.1

    def write_another() -> None:
        with view.transaction():
            pytest.fail("there are two writers")

    with view.transaction() as transaction:
        with pytest.raises(STORE_UNAVAILABLE):
            write_another()
        transaction.set_position(transaction.position(), "mark")

    assert view.tracked_position()[1] == "mark"


def test_an_error_of_the_server_undoes_all_and_hurts_no_later_writer(filled: Views) -> None:
    view = view_of(filled)
    before = everything(filled)
    with view._connections.get() as connection:
        connection.execute("ALTER TABLE postwatch_views.monitors_1_tokens ADD CHECK (number < 9)")
    tokens = PROJECTION.tables[2]
    ((key, token), *_) = view.rows(tokens)

    def write(number: int) -> None:
        with view.transaction() as transaction:
            transaction.put(tokens, key, {**token, "number": 5})
            transaction.put(tokens, "another", {**token, "number": number})
            transaction.set_position(transaction.position() + 1)

    for _ in range(2):
        with pytest.raises(IntegrityError):
            write(9)
        assert everything(filled) == before
    write(8)
    assert view.get(tokens, "another") == {**token, "number": 8}


@contextmanager
def traced(view: PostgresView) -> Iterator[Callable[[], int]]:
    """Count the ways to the server and back on the one connection that there is."""
    with tempfile.TemporaryFile() as file:
        with view._connections.get() as connection:
            connection.pgconn.trace(file.fileno())
        yield lambda: _round_trips(file)
        with view._connections.get() as connection:
            connection.pgconn.untrace()


def _round_trips(file: Any) -> int:  # noqa: ANN401 - a binary file
    file.seek(0)
    senders = [line.split(b"\t")[1] for line in file.read().splitlines()]
    return sum(one == b"F" and other == b"B" for one, other in pairwise(senders))


def test_a_catch_up_goes_to_the_server_as_often_for_many_events_as_for_one(
    filled: Views, store: Store, owners: Owners
) -> None:
    def trips(monitors: int) -> int:
        for _ in range(monitors):
            store.monitoring.create_monitor(owners.create(), TESTER)
        projector = filled.projector("monitors")
        with traced(view_of(filled)) as counted:
            assert projector.catch_up() == 2 * monitors
            return counted()

    trips(1)

    assert trips(1) == trips(100) <= 4


@pytest.mark.usefixtures("filled")
def test_a_search_is_answered_by_the_index(place: Place) -> None:
    assert place.database is not None
    with psycopg.connect(place.database.url) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT key FROM postwatch_views.monitors WHERE search LIKE '%server 1%'"
        ).fetchall()

    assert "Bitmap Index Scan on monitors_1_monitors_search_idx" in str(plan)


def test_what_holds_a_nul_is_nowhere(filled: Views) -> None:
    assert filled.reader.token("\0") is None
    assert filled.reader.customer("a\0") is None
    assert filled.reader.monitors(MonitorFilter("smtp", "\0"), 1, 5).total == 0


def test_a_transaction_knows_what_it_counts_itself(filled: Views) -> None:
    view = view_of(filled)

    def counts() -> dict[str, int]:
        with view.snapshot() as snapshot:
            return {
                of: number
                for sort, of, number in snapshot.derived_rows(MONITORS)
                if sort == "counts"
            }

    before = counts()
    ((key, monitor), *_) = view.rows(MONITORS)
    with view.transaction() as transaction:
        for number in range(3):
            transaction.put(MONITORS, f"new {number}", {**monitor, "number": 100 + number})
            transaction.put(MONITORS, f"new {number}", {**monitor, "number": 200 + number})
        transaction.put(MONITORS, "new 0", None)
        transaction.put(MONITORS, "never there", None)
        transaction.put(MONITORS, key, None)
        transaction.put(MONITORS, key, monitor)

    grown = {of: number - before[of] for of, number in counts().items() if number != before[of]}
    assert sorted(grown.values()) == [2, 2]


def test_a_token_that_was_issued_elsewhere_is_known_at_once(
    filled: Views, store: Store, owners: Owners, place: Place
) -> None:
    with place.open() as other, Views(other) as their_views:
        command = IssueToken(owners.organization.id, None, "N", "user", "wsm_".ljust(40, "n"))
        issued = other.monitoring.issue_token(command, TESTER)
        their_views.projector("monitors").catch_up()

    assert filled.reader.token(issued.token_hash) is not None
    assert store.monitoring.name == "monitoring"


def test_a_fill_that_fails_leaves_the_view_as_it_was(filled: Views) -> None:
    before = everything(filled)
    view = view_of(filled)
    view.invalidate(view.position())

    def fail(transaction: Transaction) -> None:
        transaction.put(MONITORS, "half", None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        view.create(fail)

    assert everything(filled) == before
    assert (view.generation(), view.is_current()) == (1, False)
