"""A log restored from a backup under a view that has seen more, or other, events."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from projections.catalog import Views
from projections.views.monitors import MONITORS
from tests.domain.given import TESTER, check_of
from tests.intruder import intruder_of
from tests.places import on_sqlite

if TYPE_CHECKING:
    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


def names(views: Views) -> list[str]:
    """Return the names of the monitors in the view, caught up."""
    projector = views.projector("monitors")
    projector.catch_up()
    return sorted(record["name"] for _, record in projector.view.rows(MONITORS))


@pytest.mark.parametrize("grown", [-1, 0, 1, 2, 40])
def test_a_view_of_another_history_starts_again(
    store: Store, place: Place, owners: Owners, grown: int, caplog: pytest.LogCaptureFixture
) -> None:
    behind, head = intruder_of(store), store.reader("monitoring").head()
    for name in ("first", "second"):
        store.monitoring.create_monitor(owners.create(name=name), TESTER)
    with Views(store) as views:
        assert names(views) == ["first", "second"]
    store.close()
    behind.sql("monitoring", "DELETE FROM {events} WHERE {position} > ?", head)
    behind.skip_to("monitoring", head)

    with place.open() as again:
        others = [f"other {number:02}" for number in range(grown + 1)]
        for name in others:
            again.monitoring.create_monitor(owners.create(name=name), TESTER)
        with Views(again) as views:
            assert names(views) == others
            generation = views.projector("monitors").view.generation()
        with Views(again) as views:
            assert names(views) == others
            assert views.projector("monitors").view.generation() == generation
    assert caplog.messages == [
        f"view {name} shows another history than its log; it starts again"
        for name in ("monitors", "history", "states", "incidents")
    ]


def test_a_view_whose_newest_event_was_pruned_goes_on(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    store.checks.record([check_of(monitor, 1)], location="local", actor=TESTER)
    with Views(store) as views:
        assert views.projector("checks").view.position() == 1
    intruder_of(store).sql("checks", "DELETE FROM {events}")
    store.checks.record([check_of(monitor, 2)], location="elsewhere", actor=TESTER)

    with Views(store) as views:
        views.projector("checks").catch_up()
        assert views.projector("checks").view.count() == {"last_checks": 2}


@on_sqlite
def test_a_view_from_before_marks_is_used_and_gets_one(store: Store, owners: Owners) -> None:
    store.monitoring.create_monitor(owners.create(name="kept"), TESTER)
    with Views(store) as views:
        assert names(views) == ["kept"]
    with closing(sqlite3.connect(store.folder.views / "monitors.db")) as connection, connection:
        connection.execute("ALTER TABLE sides DROP COLUMN mark")

    with Views(store) as views:
        view = views.projector("monitors").view
        assert view.tracked_position()[1] == ""
        store.monitoring.create_monitor(owners.create(name="new"), TESTER)
        assert names(views) == ["kept", "new"]
        assert view.tracked_position()[1] != ""


def test_a_rebuilt_view_bears_the_mark_of_its_position(store: Store, owners: Owners) -> None:
    store.monitoring.create_monitor(owners.create(), TESTER)
    with Views(store) as views:
        projector = views.projector("monitors")
        projector.catch_up()
        reached = projector.view.tracked_position()
        projector.rebuild(lambda *_: None)
        assert projector.view.tracked_position() == reached


def test_a_view_that_moved_on_meanwhile_is_not_invalidated(store: Store, owners: Owners) -> None:
    store.monitoring.create_monitor(owners.create(name="kept"), TESTER)
    with Views(store) as views:
        assert names(views) == ["kept"]
        views.projector("monitors").view.invalidate(1)
        assert views.projector("monitors").is_current()
        assert views.projector("monitors").view.count()["monitors"] == 1
