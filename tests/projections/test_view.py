"""A stored view: transactions, definitions, and several processes on one file."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.log_reader import LoggedEvent, LogReader
from domain.monitor import Monitor
from projections import catch_up as catch_up_module
from projections.catch_up import Projector
from projections.monitors import MONITORS, PROJECTION, TOKENS
from projections.projection import Document, Projection
from projections.storage import sqlite_derived
from projections.storage.sqlite_view import SqliteView
from projections.view import Table, ViewAwayError
from projections.views import Views
from tests.domain.given import TESTER
from tests.projections.folding import catch_up, everything, fill, open_view, rows

if TYPE_CHECKING:
    from pathlib import Path

    from domain.store import Store
    from projections.view import Record
    from tests.domain.given import Owners

COUNTS = Table("counts", {"n": "INTEGER"}, lambda record: (record["n"],), indexes=(("n",),))


def count_up(record: Record | None, _: Any) -> Record:  # noqa: ANN401 - any event
    """Fold an event that must not be folded twice."""
    return {"n": (record["n"] if record else 0) + 1}


COUNTING = Projection(
    name="counting",
    log="monitoring",
    tables=(COUNTS,),
    documents={
        Monitor.Created: Document(COUNTS, lambda event: event.kind, count_up),
    },
)


@pytest.fixture
def view(tmp_path: Path) -> Any:  # noqa: ANN401 - closed by the fixture
    """A view of one table."""
    opened = open_view(tmp_path / "view.db", COUNTING)
    yield opened
    opened.close()


def test_rows_and_position_change_together_or_not_at_all(view: SqliteView) -> None:
    with view.transaction() as transaction:
        transaction.put(COUNTS, "a", {"n": 1})
        transaction.set_position(7)

    def crash() -> None:
        with view.transaction() as transaction:
            transaction.put(COUNTS, "a", {"n": 2})
            transaction.put(COUNTS, "b", {"n": 2})
            transaction.set_position(8)
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        crash()

    assert list(view.rows(COUNTS)) == [("a", {"n": 1})]
    assert view.position() == 7
    assert view.count() == {"counts": 1}


def test_a_transaction_reads_what_it_wrote_and_nobody_else_does_before_the_end(
    view: SqliteView, tmp_path: Path
) -> None:
    other = open_view(tmp_path / "view.db", COUNTING)
    with view.transaction() as transaction:
        transaction.put(COUNTS, "a", {"n": 1})
        transaction.set_position(3)
        assert transaction.get(COUNTS, "a") == {"n": 1}
        assert transaction.position() == 3
        assert (list(other.rows(COUNTS)), other.position()) == ([], 0)

    assert (list(other.rows(COUNTS)), other.position()) == ([("a", {"n": 1})], 3)
    other.close()


def test_a_row_is_replaced_and_removed_by_its_key(view: SqliteView) -> None:
    with view.transaction() as transaction:
        transaction.put(COUNTS, "a", {"n": 1})
        transaction.put(COUNTS, "a", {"n": 2})
        transaction.put(COUNTS, "b", {"n": 3})
        transaction.put(COUNTS, "b", None)
        transaction.put(COUNTS, "c", None)
        assert transaction.get(COUNTS, "c") is None

    assert list(view.rows(COUNTS)) == [("a", {"n": 2})]


def test_a_view_is_used_from_many_threads(view: SqliteView) -> None:
    def add(number: int) -> None:
        with view.transaction() as transaction:
            transaction.put(COUNTS, str(number), {"n": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))

    assert view.count() == {"counts": 40}


def with_derived(table: Table) -> list[str]:
    """Return a table's name and those of the tables beside it."""
    return [table.name, *sqlite_derived.names(table)]


def tables_of(view: SqliteView) -> set[str]:
    """Return the names of all tables in a view's file."""
    found = view.select(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' "
        "AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite%'"
    )
    return {each[0] for each in found}


def test_a_view_of_another_definition_is_replaced_whole_and_never_written_to(
    store: Store, owners: Owners, tmp_path: Path
) -> None:
    fill(store, owners)
    path, log = tmp_path / "view.db", LogReader(store.monitoring)
    old = open_view(path, PROJECTION)
    Projector(PROJECTION, log, old).catch_up()
    expected = rows(old, PROJECTION)
    old.start_shadow()
    old.close()

    for number, changed in enumerate(
        (
            replace(PROJECTION, version=PROJECTION.version + 1),
            replace(PROJECTION, tables=PROJECTION.tables[:3], documents={}),
            replace(PROJECTION, tables=(*PROJECTION.tables[:4], replace(MONITORS, indexes=()))),
        ),
        start=2,
    ):
        view = SqliteView(path, changed)
        before = (view.position(), view.generation(), tables_of(view))
        with pytest.raises(ViewAwayError), view.transaction():
            pass
        with pytest.raises(ViewAwayError), view.snapshot():
            pass
        assert (view.position(), view.generation(), tables_of(view)) == before
        Projector(changed, log, view).catch_up()
        assert (view.position(), view.generation()) == (log.head(), number)
        expected_names = {name for table in changed.tables for name in with_derived(table)}
        assert tables_of(view) == {*expected_names, "sides"}
        view.close()
    back = SqliteView(path, PROJECTION)
    Projector(PROJECTION, log, back).catch_up()
    assert rows(back, PROJECTION) == expected
    back.close()


def test_a_view_of_the_same_definition_keeps_its_rows(store: Store, owners: Owners) -> None:
    fill(store, owners)
    with Views(store) as views:
        catch_up(views)
        before = everything(views)

    with Views(store) as again:
        assert everything(again) == before
        assert again.projector("monitors").view.generation() == 1


def test_the_definition_depends_on_version_tables_and_indexes_only() -> None:
    assert replace(PROJECTION, documents={}).definition == PROJECTION.definition
    assert replace(PROJECTION, version=99).definition != PROJECTION.definition
    assert replace(PROJECTION, tables=(TOKENS,)).definition != PROJECTION.definition


def test_projectors_on_one_file_at_once_apply_nothing_twice(
    store: Store, owners: Owners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up_module, "BATCH", 3)
    total, workers = 60, 6
    views = [open_view(tmp_path / "view.db", COUNTING) for _ in range(workers)]
    log = LogReader(store.monitoring)
    barrier = threading.Barrier(workers + 1)
    done = threading.Event()

    def project(view: SqliteView) -> int:
        projector = Projector(COUNTING, log, view)
        barrier.wait(10)
        applied = 0
        while not done.is_set():
            applied += projector.catch_up()
        return applied + projector.catch_up()

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(project, view) for view in views]
        barrier.wait(10)
        try:
            for _ in range(total):
                store.monitoring.create_monitor(owners.create(), TESTER)
        finally:
            done.set()
        applied = sum(future.result(30) for future in futures)

    assert list(views[0].rows(COUNTS)) == [("smtp", {"n": total})]
    assert applied == log.head()
    assert {view.position() for view in views} == {log.head()}
    for view in views:
        view.close()


def test_a_projection_folds_an_event_into_the_row_that_the_same_batch_made(
    view: SqliteView, store: Store, owners: Owners
) -> None:
    for _ in range(3):
        store.monitoring.create_monitor(owners.create(), TESTER)
    events = LogReader(store.monitoring).after(0, 100)

    with view.transaction() as transaction:
        COUNTING.apply(events, transaction)
        COUNTING.apply([LoggedEvent(99, object())], transaction)

    assert list(view.rows(COUNTS)) == [("smtp", {"n": 3})]
