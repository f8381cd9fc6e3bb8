"""Rebuilding while everything runs: the same rows, and no reader sees half a view."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Self

import pytest

from domain.commands import UpdateMonitor
from domain.errors import StoreError
from projections.catalog import PROJECTIONS, Views
from projections.core.projector import Projector
from projections.readers.monitors import MonitorFilter
from store.ports.locks import LockHeldError
from tests.domain.given import TESTER
from tests.projections.folding import catch_up, everything, fill, in_batches_of, rows
from tests.projections.spoiling import spoil_side
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.core.table import Transaction
    from store.store import Store
    from tests.domain.given import Owners


def all_of(owners: Owners) -> MonitorFilter:
    """Return the filter for every SMTP monitor of the owners."""
    return MonitorFilter("smtp", str(owners.organization.id))


def nothing(*_: int) -> None:
    """Take progress and say nothing."""


@pytest.fixture
def small_batches(views: Views) -> None:
    """Many transactions where there would be one."""
    in_batches_of(views, 5)


@pytest.mark.parametrize("name", [each.name for each in PROJECTIONS])
@pytest.mark.parametrize("batch", [1, 5, 500])
def test_a_rebuild_equals_the_incremental_result(
    store: Store, owners: Owners, views: Views, name: str, batch: int
) -> None:
    in_batches_of(views, batch)
    fill(store, owners)
    catch_up(views)
    before = everything(views)

    views.projector(name).rebuild(nothing)

    assert everything(views) == before
    assert views.projector(name).view.generation() == 2


@pytest.mark.usefixtures("small_batches")
def test_a_rebuild_tells_its_progress_up_to_the_head(
    store: Store, owners: Owners, views: Views
) -> None:
    fill(store, owners)
    projector = views.projector("monitors")
    told: list[tuple[int, int]] = []

    projector.rebuild(lambda position, head: told.append((position, head)))

    head = projector.log.head()
    assert {each[1] for each in told} == {head}
    assert [each[0] for each in told] == sorted(each[0] for each in told)
    assert told[-1] == (head, head)
    assert len(told) > 5


def test_a_rebuild_of_an_empty_log_is_an_empty_view(store: Store, views: Views) -> None:
    projector = views.projector("checks")

    projector.rebuild(nothing)

    assert projector.view.count() == {"last_checks": 0}
    assert (projector.view.position(), projector.view.generation()) == (0, 2)
    assert store.checks.name == "checks"


def test_a_rebuild_repairs_rows_that_were_damaged(
    store: Store, owners: Owners, views: Views
) -> None:
    fill(store, owners)
    catch_up(views)
    before = everything(views)
    for projection in PROJECTIONS:
        view = views.projector(projection.name).view
        with view.transaction() as transaction:
            for table in projection.tables:
                for key, _ in list(view.rows(table)):
                    transaction.put(table, key, None)
    assert everything(views) != before

    for projector in views.projectors.values():
        projector.rebuild(nothing)

    assert everything(views) == before


def break_off(projector: Projector, at: int) -> int:
    """Rebuild until a position is reached, end like a killed process, return how far it is."""

    def stop(position: int, _: int) -> None:
        if position >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        projector.rebuild(stop)
    return projector.view.position("shadow")


@pytest.mark.usefixtures("small_batches")
def test_a_rebuild_that_was_broken_off_goes_on_where_it_was(
    store: Store, owners: Owners, views: Views
) -> None:
    fill(store, owners)
    catch_up(views)
    before = everything(views)
    half = break_off(views.projector("monitors"), 20)
    views.close()

    with Views(store) as after_the_kill:
        assert everything(after_the_kill) == before
        again = after_the_kill.projector("monitors")
        assert again.rebuilder.position() == half
        assert 0 < half < again.log.head()
        told: list[int] = []
        again.rebuild(lambda position, _: told.append(position))
        assert told[0] == half
        assert everything(after_the_kill) == before
        assert again.view.generation() == 2
        assert again.rebuilder.position() is None


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("why", ["asked for", "another definition", "another history"])
def test_a_rebuild_begins_anew(store: Store, owners: Owners, views: Views, why: str) -> None:
    fill(store, owners)
    catch_up(views)
    before = everything(views)
    projector = views.projector("monitors")
    break_off(projector, 20)
    if why == "another definition":
        spoil_side(store, "definition = 'x'", side="shadow", view="monitors")
    elif why == "another history":
        spoil_side(store, "mark = 'x'", side="shadow", view="monitors")
    told: list[int] = []

    projector.rebuild(lambda position, _: told.append(position), from_start=why == "asked for")

    assert told[0] == 0
    assert everything(views) == before


def test_only_one_rebuild_of_a_view_goes_on_at_a_time(store: Store, views: Views) -> None:
    projector = views.projector("monitors")
    with Views(store) as others:
        other = others.projector("monitors")

        def begin_another(*_: int) -> None:
            held = rf"held by process {os.getpid()} (on \S+ )?since 20"
            with pytest.raises(LockHeldError, match=held):
                other.rebuild(nothing)
            others.projector("checks").rebuild(nothing)

        projector.rebuild(begin_another)
        assert projector.view.generation() == 2
        other.rebuild(nothing)
    assert projector.view.generation() == 3


def test_a_rebuild_that_fails_leaves_the_live_view_as_it_was(
    store: Store, owners: Owners, views: Views
) -> None:
    fill(store, owners)
    catch_up(views)
    before = everything(views)
    projector = views.projector("monitors")

    def fail(_: object) -> None:
        raise KeyboardInterrupt

    projector.view.start_shadow()
    with pytest.raises(KeyboardInterrupt):
        projector.view.swap(fail)
    assert everything(views) == before

    projector.rebuild(nothing)
    assert everything(views) == before


@pytest.mark.usefixtures("small_batches")
def test_what_arrives_at_the_last_moment_is_in_the_new_view(
    store: Store, owners: Owners, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, owners)
    view = views.storage.view(PROJECTIONS[0])
    projector = Projector(PROJECTIONS[0], views.projector("monitors").log, view)
    projector.rebuilder.batch = 5
    swap = view.swap

    def write_and_swap(finish: Callable[[Transaction], None]) -> None:
        """Let the log grow by some batches before the lock of the swap."""
        for _ in range(10):
            store.monitoring.create_monitor(owners.create(), TESTER)
        swap(finish)

    monkeypatch.setattr(view, "swap", write_and_swap)

    projector.rebuild(nothing)

    assert view.position() == projector.log.head()
    catch_up(views)
    assert rows(view, PROJECTIONS[0]) == rows(views.projector("monitors").view, PROJECTIONS[0])
    view.close()


class Bystanders:
    """A writer and a reader that go on while something else happens, and tell problems."""

    def __init__(self, store: Store, owners: Owners, known: int) -> None:
        self.store = store
        self.owners = owners
        self.watched = store.monitoring.create_monitor(owners.create(), TESTER)
        self.shown = known
        self.writes = 0
        self.looks = 0
        self.problems: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(each,)) for each in (self.write, self.read)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads)

    def write(self, views: Views) -> None:
        """Change a monitor, create one, and read what was written."""
        name = f"Change {self.writes}"
        self.store.monitoring.update_monitor(UpdateMonitor(self.watched.id, {"name": name}), TESTER)
        self.store.monitoring.create_monitor(self.owners.create(), TESTER)
        views.projector("monitors").catch_up()
        shown = views.reader.monitor("smtp", str(self.watched.id))
        if shown is None or shown.monitor["name"] != name:
            self.problems.append(f"{name} is not read by who wrote it")
        self.shown += 1
        self.writes += 1

    def read(self, views: Views) -> None:
        """Look whether everything that was shown before is still shown."""
        known = self.shown
        page = views.reader.monitors(all_of(self.owners), 1, 1000)
        if page.total < known:
            self.problems.append(f"{page.total} monitors are shown where {known} were before")
        shown_now = len(json.loads(page.items))
        if shown_now < known:
            self.problems.append(f"{shown_now} items are shown where {known} were before")
        if views.projector("monitors").view.position() == 0:
            self.problems.append("the view is at its beginning")
        self.looks += 1

    def _repeat(self, task: Callable[[Views], None]) -> None:
        try:
            with Views(self.store) as own:
                while not self._stop.is_set():
                    task(own)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shall tell
            self.problems.append(repr(error))


@pytest.mark.usefixtures("small_batches")
def test_readers_and_writers_go_on_during_rebuilds_and_see_no_half_view(
    store: Store, owners: Owners, views: Views
) -> None:
    fill(store, owners, monitors=30)
    catch_up(views)
    known = views.reader.monitors(all_of(owners), 1, 1).total

    with Bystanders(store, owners, known) as bystanders:
        for _ in range(4):
            views.projector("monitors").rebuild(nothing)
        wait_until(lambda: bystanders.problems or (bystanders.writes and bystanders.looks))

    assert bystanders.problems == []
    assert views.projector("monitors").view.generation() == 5
    catch_up(views)
    after = everything(views)
    views.projector("monitors").rebuild(nothing)
    assert everything(views) == after


def test_an_unknown_projection_is_refused_with_the_known_names(views: Views) -> None:
    with pytest.raises(StoreError, match="there is no projection 'x'; there are monitors, checks"):
        views.projector("x")
