"""A stored view: transactions, definitions, and several processes on one file."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.monitor import Monitor
from projections.catalog import PROJECTIONS, Views
from projections.core.projection import EventHandler, Projection
from projections.core.projector import Projector
from projections.core.table import Table, ViewUnavailableError
from projections.storage import derived as sqlite_derived
from projections.storage import postgres_tables
from projections.storage.postgres_view import PostgresView
from projections.storage.sqlite_view import SqliteView
from projections.views.monitors import MONITORS, PROJECTION, TOKENS
from store.log_reader import LoggedEvent, LogReader
from tests.domain.given import TESTER
from tests.projections.folding import catch_up, everything, fill, open_view, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.core.table import Record, View
    from projections.storage.ports import ViewStorage
    from store.store import Store
    from tests.domain.given import Owners


COUNTS = Table("counts", {"n": "INTEGER"}, lambda record: (record["n"],), indexes=(("n",),))


def count_up(record: Record | None, _: Any) -> Record:  # noqa: ANN401 - any event
    """Fold an event that must not be folded twice."""
    return {"n": (record["n"] if record else 0) + 1}


COUNTING = Projection(
    name="counting",
    log="monitoring",
    tables=(COUNTS,),
    handlers={
        Monitor.Created: EventHandler(COUNTS, lambda event: event.kind, count_up),
    },
)


@pytest.fixture
def view(storage: ViewStorage) -> Iterator[View]:
    """A view of one table."""
    opened = open_view(storage, COUNTING)
    yield opened
    opened.close()


def test_rows_and_position_change_together_or_not_at_all(view: View) -> None:
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


def test_only_the_transaction_reads_its_writes_before_it_ends(
    view: View, storage: ViewStorage
) -> None:
    other = open_view(storage, COUNTING)
    with view.transaction() as transaction:
        transaction.put(COUNTS, "a", {"n": 1})
        transaction.set_position(3)
        assert transaction.get(COUNTS, "a") == {"n": 1}
        assert transaction.position() == 3
        assert (list(other.rows(COUNTS)), other.position()) == ([], 0)

    assert (list(other.rows(COUNTS)), other.position()) == ([("a", {"n": 1})], 3)
    other.close()


def test_a_row_is_replaced_and_removed_by_its_key(view: View) -> None:
    with view.transaction() as transaction:
        transaction.put(COUNTS, "a", {"n": 1})
        transaction.put(COUNTS, "a", {"n": 2})
        transaction.put(COUNTS, "b", {"n": 3})
        transaction.put(COUNTS, "b", None)
        transaction.put(COUNTS, "c", None)
        assert transaction.get(COUNTS, "c") is None

    assert list(view.rows(COUNTS)) == [("a", {"n": 2})]


def test_a_view_is_used_from_many_threads(view: View) -> None:
    def add(number: int) -> None:
        with view.transaction() as transaction:
            transaction.put(COUNTS, str(number), {"n": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))

    assert view.count() == {"counts": 40}


def tables_of(view: View) -> set[str]:
    """Return the names of everything that keeps or shows rows of a view."""
    if isinstance(view, PostgresView):
        found = view._select(
            "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'v') "
            "AND relnamespace = 'postwatch_views'::regnamespace"
        )
    else:
        assert isinstance(view, SqliteView)
        found = view.select(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' "
            "AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite%'"
        )
    return {each[0] for each in found}


def tables_for(view: View, projection: Projection) -> set[str]:
    """Return the names of what there is for a view that is not being rebuilt."""
    if not isinstance(view, PostgresView):
        derived = {name for each in projection.tables for name in sqlite_derived.names(each)}
        return {"sides", *(each.name for each in projection.tables), *derived}
    shown = {name for each in projection.tables for name in postgres_tables.names(each)}
    stored = {f"{projection.name}_{view.generation()}_{name}" for name in shown}
    return {"sides", *shown, *stored}


def test_a_view_of_another_definition_is_replaced_whole_and_never_written_to(
    store: Store, owners: Owners, storage: ViewStorage
) -> None:
    fill(store, owners)
    log = LogReader(store.monitoring)
    old = open_view(storage, PROJECTION)
    Projector(PROJECTION, log, old).catch_up()
    expected = rows(old, PROJECTION)
    old.start_shadow()
    old.close()

    for number, changed in enumerate(
        (
            replace(PROJECTION, version=PROJECTION.version + 1),
            replace(PROJECTION, tables=PROJECTION.tables[:3], handlers={}),
            replace(PROJECTION, tables=(*PROJECTION.tables[:4], replace(MONITORS, indexes=()))),
        ),
        start=2,
    ):
        view = storage.view(changed)
        before = (view.position(), view.generation(), tables_of(view))
        with pytest.raises(ViewUnavailableError), view.transaction():
            pass
        with pytest.raises(ViewUnavailableError), view.snapshot():
            pass
        assert (view.position(), view.generation(), tables_of(view)) == before
        Projector(changed, log, view).catch_up()
        assert (view.position(), view.generation()) == (log.head(), number)
        assert tables_of(view) == tables_for(view, changed)
        view.close()
    back = storage.view(PROJECTION)
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
    assert replace(PROJECTION, handlers={}).definition == PROJECTION.definition
    assert replace(PROJECTION, version=99).definition != PROJECTION.definition
    assert replace(PROJECTION, tables=(TOKENS,)).definition != PROJECTION.definition


def test_projectors_on_one_view_at_once_apply_nothing_twice(
    store: Store, owners: Owners, storage: ViewStorage
) -> None:
    total, workers = 60, 6
    views = [open_view(storage, COUNTING) for _ in range(workers)]
    log = LogReader(store.monitoring)
    barrier = threading.Barrier(workers + 1)
    done = threading.Event()

    def project(view: View) -> int:
        projector = Projector(COUNTING, log, view)
        projector.batch = 3
        barrier.wait(30)
        applied = 0
        while not done.is_set():
            applied += projector.catch_up()
        return applied + projector.catch_up()

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(project, view) for view in views]
        barrier.wait(30)
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
    view: View, store: Store, owners: Owners
) -> None:
    for _ in range(3):
        store.monitoring.create_monitor(owners.create(), TESTER)
    events = LogReader(store.monitoring).after(0, 100)

    with view.transaction() as transaction:
        COUNTING.fold(events, transaction)
        COUNTING.fold([LoggedEvent(99, object())], transaction)

    assert list(view.rows(COUNTS)) == [("smtp", {"n": 3})]


def test_no_two_projections_have_a_table_of_the_same_name() -> None:
    """In a database all of them stand in one schema."""
    names = [
        name
        for each in PROJECTIONS
        for table in each.tables
        for name in postgres_tables.names(table)
    ]

    assert len(set(names)) == len(names)
    assert "sides" not in names


def test_many_rows_are_written_and_removed_and_read_at_once(view: View) -> None:
    with view.transaction() as transaction:
        transaction.put_all(COUNTS, [(str(each), {"n": each}) for each in range(1000)])
        transaction.put_all(COUNTS, [("1", None), ("2", {"n": 20}), ("none", None)])
        assert transaction.get_all(COUNTS, ["1", "2", "3", "none"]) == {
            "2": {"n": 20},
            "3": {"n": 3},
        }
        assert transaction.get_all(COUNTS, []) == {}

    assert view.count() == {"counts": 999}
    assert view.get_all(COUNTS, ["1", "2", "999"]) == {"2": {"n": 20}, "999": {"n": 999}}
    assert view.get(COUNTS, "1") is None


def test_keys_come_in_the_order_of_their_bytes(view: View) -> None:
    keys = ["a", "B", "_", "é", "\U0001f642", "aa", "Z", "~", "ß", "10", "9"]
    with view.transaction() as transaction:
        transaction.put_all(COUNTS, [(key, {"n": 1}) for key in keys])

    with view.snapshot() as snapshot:
        assert [each.key for each in snapshot.rows(COUNTS)] == sorted(keys)
    assert [key for key, _ in view.rows(COUNTS)] == sorted(keys)


def test_a_snapshot_stays_while_rows_are_written_and_the_view_is_swapped(
    view: View, storage: ViewStorage
) -> None:
    with view.transaction() as transaction:
        transaction.put(COUNTS, "a", {"n": 1})
        transaction.set_position(1)
    with view.snapshot() as before:
        with view.transaction() as transaction:
            transaction.put(COUNTS, "b", {"n": 2})
            transaction.set_position(2)
        for _ in range(2):
            view.start_shadow()
            view.swap(lambda transaction: transaction.set_position(3))
        assert (view.position(), view.generation(), view.count()) == (3, 3, {"counts": 0})
        assert before.position() == 1
        assert [(each.key, each.columns) for each in before.rows(COUNTS)] == [("a", (1,))]

    assert tables_of(view) == tables_for(view, COUNTING)
    with storage.view(COUNTING).snapshot() as after:
        assert list(after.rows(COUNTS)) == []


def test_a_view_that_was_never_made_is_empty_and_away(storage: ViewStorage) -> None:
    view = storage.view(COUNTING)

    assert (view.position(), view.tracked_position(), view.generation()) == (0, (0, ""), 0)
    assert not view.is_current()
    assert view.current_position() is None
    for side in ("live", "shadow"):
        with pytest.raises(ViewUnavailableError), view.transaction(side):
            pass
    with pytest.raises(ViewUnavailableError), view.snapshot():
        pass
    view.close()


def test_a_view_that_is_made_by_several_at_once_is_made_once(storage: ViewStorage) -> None:
    filled: list[int] = []
    together = threading.Barrier(4)

    def make(number: int) -> None:
        view = storage.view(COUNTING)
        together.wait(30)
        view.create(lambda _: filled.append(number))
        assert view.is_current()
        view.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))

    assert len(filled) == 1
    assert storage.view(COUNTING).generation() == 1
