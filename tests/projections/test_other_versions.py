"""A view that another version of the code made: what is read and written until a rebuild."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.check import CheckPerformed
from projections import catalog as views_module
from projections.catalog import Views
from projections.core.projection import EventHandler, Projection, definition_of, is_readable
from projections.core.runner import RebuildThread, ViewFollower, run
from projections.core.table import Record, Table, ViewUnavailableError
from projections.views import last_checks, monitors
from projections.views.last_checks import stream_key
from tests.api.world import another_worker, path_of
from tests.domain.given import TESTER, check_of
from tests.places import on_sqlite
from tests.projections.folding import catch_up, everything, fill, with_batches_of
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from projections.core.projector import Projector
    from projections.core.table import Transaction
    from store.store import Store
    from tests.api.world import World
    from tests.domain.given import Owners


OTHERS = views_module.PROJECTIONS[2:]
"""The views that have no other version here."""

COUNTED_CHECKS = Table("counted_checks", {}, lambda _: ())


def count_up(record: Record | None, _: CheckPerformed) -> Record:
    """Fold a check."""
    return {"n": (record["n"] if record else 0) + 1}


WITH_A_TABLE = replace(
    last_checks.PROJECTION, tables=(*last_checks.PROJECTION.tables, COUNTED_CHECKS)
)
ANOTHER_FOLD = replace(monitors.PROJECTION, version=monitors.PROJECTION.version + 1)
COUNTING = Projection(
    "checks",
    "checks",
    (COUNTED_CHECKS,),
    {CheckPerformed: EventHandler(COUNTED_CHECKS, stream_key, count_up)},
)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log is a long one."""
    monkeypatch.setattr(views_module, "PROJECTIONS", with_batches_of(5))


@pytest.fixture
def filled(store: Store, owners: Owners) -> Store:
    """A store that an older version has filled and shown."""
    fill(store, owners)
    monitor = store.monitoring.create_monitor(owners.create(name="watched"), TESTER)
    store.checks.record([check_of(monitor, n) for n in range(12)], location="local", actor=TESTER)
    with Views(store) as views:
        catch_up(views)
    return store


def use(monkeypatch: pytest.MonkeyPatch, *projections: Projection) -> None:
    """Let the code be another version."""
    small = with_batches_of(5, (*projections, *OTHERS))
    monkeypatch.setattr(views_module, "PROJECTIONS", small)
    for module, projection in zip((monitors, last_checks), projections, strict=True):
        monkeypatch.setattr(module, "PROJECTION", projection)


def monitor_of(views: Views) -> tuple[str, str | None]:
    """Return the id and the last check of the first location's monitor."""
    location = views.reader.last_check_of_locations()["local"]
    token = views.reader.tokens()[0]
    assert token["name"] == "Token 0"
    return token["public_id"], location


def test_old_rows_are_read_while_a_new_table_is_filled(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Views(filled) as views:
        before = monitor_of(views)
    use(monkeypatch, monitors.PROJECTION, WITH_A_TABLE)

    with Views(filled) as views:
        projector = views.projector("checks")
        assert not projector.is_current()
        assert monitor_of(views) == before
        assert projector.lag() == projector.log.head()

        def look(*_: int) -> None:
            assert monitor_of(views) == before
            assert views.projector("monitors").catch_up() == 0

        projector.rebuild_if_needed(look)
        assert projector.is_current()
        assert (projector.lag(), projector.view.generation()) == (0, 2)
        assert monitor_of(views) == before
        looks: list[int] = []
        projector.rebuild_if_needed(lambda position, _: looks.append(position))
        assert looks == [], "nothing to do any more"


def test_rows_of_another_fold_are_not_read_until_they_are_made_anew(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Views(filled) as views:
        before = everything(views)
    use(monkeypatch, ANOTHER_FOLD, last_checks.PROJECTION)

    with Views(filled) as views:
        projector = views.projector("monitors")

        def look(position: int, head: int) -> None:
            if position == head and projector.is_current():
                return
            with pytest.raises(ViewUnavailableError, match="makes it, then try again"):
                views.reader.tokens()
            with pytest.raises(ViewUnavailableError, match="has not made the view"):
                projector.require_current()

        projector.rebuild_if_needed(look)
        projector.require_current()
        assert views.reader.tokens()
        assert everything(views) == before


def test_the_first_process_that_needs_a_view_builds_it_and_the_second_gets_an_error(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, ANOTHER_FOLD, last_checks.PROJECTION)
    with Views(filled) as first, Views(filled) as second:

        def come_second(*_: int) -> None:
            if second.projector("monitors").is_current():
                return
            with pytest.raises(ViewUnavailableError, match=r"held by process \d+ (on \S+ )?since"):
                second.projector("monitors").catch_up()

        first.projector("monitors").rebuild(come_second)
        assert second.projector("monitors").catch_up() == 0
        assert second.projector("monitors").view.generation() == 2


def test_a_process_of_an_older_version_neither_writes_nor_takes_the_view_back(
    filled: Store, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Views(filled) as old:
        assert monitor_of(old)
        use(monkeypatch, ANOTHER_FOLD, COUNTING)
        with Views(filled) as new:
            for projector in new.projectors.values():
                projector.catch_up()
            after = list(new.projector("checks").view.rows(COUNTED_CHECKS))
            assert sum(record["n"] for _, record in after) == new.projector("checks").log.head()
        filled.monitoring.create_monitor(owners.create(), TESTER)
        for projector in map(old.projector, ("monitors", "checks")):
            with pytest.raises(ViewUnavailableError, match="start this process again"):
                projector.catch_up()
            with pytest.raises(ViewUnavailableError):
                projector.step()
        with pytest.raises(ViewUnavailableError):
            old.reader.last_check_of_locations()
        with Views(filled) as new:
            assert list(new.projector("checks").view.rows(COUNTED_CHECKS)) == after


@on_sqlite
def test_an_error_that_has_another_cause_stays_what_it_is(filled: Store) -> None:
    with Views(filled) as views, pytest.raises(Exception, match="syntax error"):
        views.reader._select("SELEKT", {})  # type: ignore[attr-defined] # of the one on SQLite


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    """What ends the projections."""
    made = threading.Event()
    yield made
    made.set()


class Running:
    """The projections in a thread."""

    def __init__(self, store: Store, views: Views, stop: threading.Event) -> None:
        self._stop = stop
        self.failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(store, views))
        self._thread.start()

    def end(self) -> None:
        """Stop and wait."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self, store: Store, views: Views) -> None:
        try:
            with (
                closing(store.signal("monitoring")) as one,
                closing(store.signal("checks")) as other,
            ):
                run(views.projectors, {"monitoring": one, "checks": other}, self._stop)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.failed.append(error)


def test_one_view_is_made_anew_beside_the_others(
    filled: Store, owners: Owners, monkeypatch: pytest.MonkeyPatch, stop: threading.Event
) -> None:
    use(monkeypatch, monitors.PROJECTION, WITH_A_TABLE)
    with Views(filled) as views:
        projector = views.projector("checks")
        with Views(filled) as others, others.projector("checks")._rebuild_lock():
            running = Running(filled, views, stop)
            shown = filled.monitoring.create_monitor(owners.create(name="meanwhile"), TESTER)
            wait_until(lambda: views.reader.monitor("smtp", str(shown.id)))
            assert not projector.is_current(), "another process rebuilds it"
        wait_until(projector.is_current)
        filled.checks.record([check_of(shown)], location="local", actor=TESTER)
        wait_until(lambda: views.reader.last_checks(str(shown.id)))
        running.end()
        assert running.failed == []


def stop_after_a_step(
    projector: Projector, monkeypatch: pytest.MonkeyPatch, stop: threading.Event
) -> None:
    """Let the stop come in the middle of a rebuild."""
    step = projector.rebuilder.step

    def step_and_stop() -> int:
        applied = step()
        stop.set()
        return applied

    monkeypatch.setattr(projector.rebuilder, "step", step_and_stop)


def test_a_rebuild_that_a_stop_broke_off_is_not_finished_by_the_last_look(
    filled: Store, monkeypatch: pytest.MonkeyPatch, stop: threading.Event
) -> None:
    use(monkeypatch, monitors.PROJECTION, WITH_A_TABLE)
    with Views(filled) as views:
        projector = views.projector("checks")
        stop_after_a_step(projector, monkeypatch, stop)
        keeper = ViewFollower(projector, stop)
        keeper.close()

        keeper.step(["checks"])

        assert (projector.rebuilder.position(), projector.is_current()) == (5, False)


def test_a_stop_breaks_off_and_the_next_start_goes_on(
    filled: Store, monkeypatch: pytest.MonkeyPatch, stop: threading.Event
) -> None:
    use(monkeypatch, monitors.PROJECTION, WITH_A_TABLE)
    with Views(filled) as views:
        projector = views.projector("checks")
        stop_after_a_step(projector, monkeypatch, stop)
        running = Running(filled, views, stop)
        wait_until(stop.is_set)
        running.end()
        assert running.failed == []
        reached, _ = projector.view.tracked_position("shadow")
        assert (reached, projector.rebuilder.position(), projector.is_current()) == (5, 5, False)

    with Views(filled) as views:
        again = threading.Event()
        running = Running(filled, views, again)
        wait_until(views.projector("checks").is_current)
        running.end()
        assert running.failed == []


def test_a_stop_that_comes_with_the_swap_announces_no_further_rebuild(
    filled: Store,
    monkeypatch: pytest.MonkeyPatch,
    stop: threading.Event,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    use(monkeypatch, monitors.PROJECTION, WITH_A_TABLE)
    with Views(filled) as views:
        view = views.projector("checks").view
        swap = view.swap

        def stop_and_swap(finish: Callable[[Transaction], None]) -> None:
            stop.set()
            swap(finish)

        monkeypatch.setattr(view, "swap", stop_and_swap)
        running = Running(filled, views, stop)
        wait_until(stop.is_set)
        running.end()
        assert running.failed == []
        assert views.projector("checks").is_current()
    assert not any("checks: its rebuild goes on" in each for each in caplog.messages)


def test_a_bug_in_a_fold_ends_the_process(
    filled: Store, monkeypatch: pytest.MonkeyPatch, stop: threading.Event
) -> None:
    use(monkeypatch, monitors.PROJECTION, WITH_A_TABLE)
    with Views(filled) as views:
        monkeypatch.setattr(views.projector("checks").rebuilder, "step", lambda: 1 // 0)
        running = Running(filled, views, stop)
        wait_until(lambda: running.failed)
        running.end()
        assert isinstance(running.failed[0], ZeroDivisionError)


def test_the_api_refuses_changes_and_says_when_to_come_back(
    fresh_world: World,
) -> None:
    world = fresh_world
    assert world.admin.get("/api/smtp-monitors").status_code == 200
    projector = world.views.projector("monitors")
    projector.view.invalidate(projector.view.position())
    head = projector.log.head()

    answer = world.admin.post("/api/smtp-monitors", world.body())

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json["message"].endswith("nothing was changed, try again")
    assert projector.log.head() == head
    assert world.admin.get("/readyz").status_code == 503
    assert world.admin.get("/api/smtp-monitors").status_code == 200, "old rows are shown"
    projector.rebuild()
    assert world.admin.post("/api/smtp-monitors", world.body()).status_code == 201


def test_without_the_view_of_checks_the_api_shows_owners_and_names_the_command(
    fresh_world: World,
) -> None:
    world = fresh_world
    last_checks = world.views.projector("checks")
    last_checks.view.invalidate(last_checks.view.position())

    assert world.admin.get("/api/customers").status_code == 200
    head = world.views.projector("monitors").log.head()
    shown = world.admin.get("/api/smtp-monitors")
    refused = world.admin.post("/api/smtp-monitors", world.body())

    for answer in (shown, refused):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert "which `postwatch projections run`" in answer.json["message"]
    assert world.views.projector("monitors").log.head() == head, "what was refused is not recorded"
    last_checks.rebuild()
    assert world.admin.get("/api/smtp-monitors").status_code == 200
    assert world.admin.post("/api/smtp-monitors", world.body()).status_code == 201


@pytest.mark.parametrize(("name", "what"), [("history", "/history"), ("roll_ups", "/uptime")])
def test_no_request_makes_a_view(fresh_world: World, name: str, what: str) -> None:
    monitor = fresh_world.monitor()
    last_checks = [check_of(monitor, minute) for minute in range(6)]
    fresh_world.store.checks.record(last_checks, location="local", actor=TESTER)
    view = fresh_world.views.projector(name).view
    view.invalidate(view.position())

    with another_worker(fresh_world) as world:
        answer = world.admin.get(path_of(monitor) + what)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert "which `postwatch projections run`" in answer.json["message"]
        projector = world.views.projector(name)
        assert not projector.is_current()
        projector.rebuild()
        assert world.admin.get(path_of(monitor) + what).status_code == 200


def test_what_is_readable() -> None:
    tables = monitors.PROJECTION.tables
    mine = definition_of(1, tables)
    assert is_readable(mine, mine)
    assert is_readable(definition_of(1, tables[:2]), mine)
    assert is_readable(definition_of(1, (*tables, COUNTED_CHECKS)), mine)
    assert is_readable(definition_of(1, [replace(each, indexes=()) for each in tables]), mine)
    assert not is_readable(definition_of(2, tables), mine)
    assert not is_readable(definition_of(1, [replace(each, counted=()) for each in tables]), mine)
    assert not is_readable(definition_of(1, [replace(each, columns={}) for each in tables]), mine)
    for damaged in ("", "{}", "[]", "1 [('organizations', {})]", '{"version":1}'):
        assert not is_readable(damaged, mine)


def test_a_rebuild_waits_for_a_store_that_takes_nothing_now(
    filled: Store, monkeypatch: pytest.MonkeyPatch, stop: threading.Event
) -> None:
    use(monkeypatch, monitors.PROJECTION, WITH_A_TABLE)
    with Views(filled) as views:
        projector = views.projector("checks")
        start_shadow = projector.view.start_shadow
        refusals = iter([sqlite3.OperationalError("database or disk is full")])

        def refuse_once() -> None:
            for refusal in refusals:
                raise refusal
            start_shadow()

        monkeypatch.setattr(projector.view, "start_shadow", refuse_once)
        renewal = RebuildThread(projector, stop)
        wait_until(renewal.is_done)
        assert projector.is_current()
