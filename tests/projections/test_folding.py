"""Folding in one go, in any batches, with crashes and repeats: always the same rows."""

from __future__ import annotations

import contextlib
from contextlib import closing, contextmanager
from itertools import count, cycle
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.monitor import Monitor
from projections.catalog import PROJECTIONS, followed_log
from projections.core.projector import Projector
from projections.views.monitors import MONITORS
from store.log_reader import LoggedEvent, LogReader
from store.ports.engine import LOGS
from tests.domain.given import TESTER
from tests.projections.folding import ListLog, catch_up, everything, fill, open_view, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from projections.catalog import Views
    from projections.core.projection import Projection
    from projections.core.table import View
    from store.store import Store
    from tests.domain.given import Owners
    from tests.projections.conftest import Storages
    from tests.projections.folding import Rows


Log = dict[str, list[LoggedEvent]]
RELAXED = settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class CrashError(Exception):
    """The process is killed here."""


@pytest.fixture
def logs(store: Store, owners: Owners) -> Log:
    """All logs, filled, as lists."""
    fill(store, owners)
    return {
        each.name: list(LogReader(each).after(0, 10_000))
        for each in (store.monitoring, store.checks, store.incidents)
    }


@contextmanager
def folder(
    storages: Storages, projection: Projection, events: list[LoggedEvent], batch: Callable[[], int]
) -> Iterator[tuple[Projector, View]]:
    with storages() as storage, closing(open_view(storage, projection)) as view:
        yield Projector(projection, ListLog(events, batch), view), view


def crash_before_the_end(projector: Projector, view: View) -> None:
    with contextlib.suppress(CrashError), view.transaction() as transaction:
        projector._apply_next(transaction)
        raise CrashError


def drain(projector: Projector) -> None:
    while projector.step():
        pass


def in_one_go(storages: Storages, projection: Projection, events: list[LoggedEvent]) -> Rows:
    with folder(storages, projection, events, lambda: 10_000) as (projector, view):
        projector.catch_up()
        return rows(view, projection)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda each: each.name)
@given(data=st.data())
@RELAXED
def test_any_batches_with_crashes_and_repeats_make_the_same_rows(
    storages: Storages, logs: Log, projection: Projection, data: st.DataObject
) -> None:
    events = logs[projection.log]
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=20))
    crashes = data.draw(st.sets(st.integers(0, 15)))
    source = cycle(sizes)
    with folder(storages, projection, events, lambda: next(source)) as (projector, view):
        for step in count():
            if step in crashes:
                crash_before_the_end(projector, view)
                continue
            if not projector.step():
                break

        assert rows(view, projection) == in_one_go(storages, projection, events)
        assert view.position() == events[-1].position
        assert projector.step() == 0


def test_a_batch_that_is_delivered_again_changes_nothing(storages: Storages, logs: Log) -> None:
    projection = PROJECTIONS[0]
    events = logs[projection.log]
    with folder(storages, projection, events, lambda: 10_000) as (projector, view):
        projector.catch_up()
        before = rows(view, projection)

        assert projector.catch_up() == 0
        with view.transaction() as transaction:
            assert projector._apply_next(transaction) == 0

        assert rows(view, projection) == before


def test_positions_may_have_gaps(storages: Storages, logs: Log) -> None:
    projection = PROJECTIONS[0]
    events = logs[projection.log]
    spread = [LoggedEvent(each.position * 7 + 100, each.event) for each in events]
    with folder(storages, projection, spread, lambda: 4) as (projector, view):
        drain(projector)

        assert rows(view, projection) == in_one_go(storages, projection, events)
        assert view.position() == spread[-1].position


def test_catching_up_tells_how_many_events_it_took(
    store: Store, owners: Owners, views: Views
) -> None:
    projector = views.projector("monitors")
    seen = projector.view.position()
    fill(store, owners)
    projector.batch = 5

    assert projector.catch_up() == projector.log.head() - seen > 5
    assert projector.view.position() == projector.log.head()
    assert projector.catch_up() == 0


def test_a_full_last_batch_is_followed_by_nothing(
    store: Store, owners: Owners, views: Views
) -> None:
    projector = views.projector("monitors")
    for _ in range(2):
        store.monitoring.create_monitor(owners.create(), TESTER)
    projector.batch = 4

    assert projector.catch_up() == 4
    assert projector.lag() == 0


def test_registrations_move_the_position_and_no_row(
    store: Store, owners: Owners, views: Views
) -> None:
    catch_up(views)

    counts = views.projector("monitors").view.count()
    filled = {table: number for table, number in counts.items() if number}

    assert filled == {"organizations": 1, "customers": 1}
    assert views.projector("monitors").view.position() == LogReader(store.monitoring).head() == 4
    assert owners.organization.number == 1


def test_a_deleted_monitor_has_no_row(store: Store, owners: Owners, views: Views) -> None:
    kept = store.monitoring.create_monitor(owners.create(), TESTER)
    gone = store.monitoring.create_monitor(owners.create(), TESTER)
    catch_up(views)
    store.monitoring.delete_monitor(gone.id, TESTER)
    catch_up(views)

    shown = [key for key, _ in views.projector("monitors").view.rows(MONITORS)]

    assert shown == [str(kept.id)]


def test_a_log_that_changes_what_it_never_created_stops_the_view_at_that_event(
    storages: Storages, logs: Log
) -> None:
    projection = PROJECTIONS[0]
    events = logs["monitoring"]
    changed = next(each.event for each in events if isinstance(each.event, Monitor.Updated))
    damaged = [
        each
        for each in events
        if each.event.originator_id != changed.originator_id or each.event is changed
    ]
    with folder(storages, projection, damaged, lambda: 1) as (projector, view):
        with pytest.raises(LookupError, match="never created"):
            drain(projector)

        stopped = view.position()
        with pytest.raises(LookupError):
            projector.step()
        assert view.position() == stopped


def test_a_view_that_caught_up_event_by_event_equals_one_that_did_so_once(
    store: Store, owners: Owners, views: Views, storages: Storages
) -> None:
    for number in range(6):
        store.monitoring.create_monitor(owners.create(name=f"Server {number}"), TESTER)
        catch_up(views)
    incremental = everything(views)

    with storages() as storage:
        for each in PROJECTIONS:
            view = open_view(storage, each)
            logs = {name: store.reader(name) for name in LOGS}
            Projector(each.bound(store), followed_log(each, logs), view).catch_up()
            assert incremental[each.name] == (view.position(), rows(view, each))
            view.close()
