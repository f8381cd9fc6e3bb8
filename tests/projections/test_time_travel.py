"""Time travel: at every position, to the byte, what the views held when they were there."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING

import orjson
from hypothesis import HealthCheck, given, settings

from domain.clock import iso_milliseconds
from domain.monitor import Monitor
from projections.catalog import Views
from projections.core.joined_log import readers_of
from projections.readers.monitors import MonitorFilter
from projections.storage.queries import _POSITION_AT
from projections.storage.sqlite_view import SqliteView
from projections.views import monitors
from projections.views.last_checks import PROJECTION as CHECKS
from projections.views.time_travel import MonitorsAsOf, replay
from store.log_reader import LogReader
from tests.domain.given import NOON, TESTER, check_of
from tests.places import on_sqlite
from tests.projections.folding import catch_up, open_view, rows
from tests.projections.histories import HISTORIES, PARTS, Play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from projections.core.table import View
    from projections.readers.monitors import MonitorReader
    from projections.storage.ports import ViewStorage
    from projections.views.time_travel import Replay
    from store.log_reader import LoggedEvent
    from tests.projections.conftest import Places, Storages

    History = list[tuple[float, tuple[Any, ...]]]


RELAXED = settings(
    deadline=None,
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SEARCHES = (None, PARTS[0].upper(), PARTS[2], "a")


@contextmanager
def played(places: Places, history: History) -> Iterator[tuple[Play, Views]]:
    """A store in which a history took place, and its views at the head."""
    with places() as place, place.create() as store, Views(store) as views:
        play = Play(store)
        play.all(history)
        catch_up(views)
        yield play, views


def step_by_step(
    storage: ViewStorage, events: list[LoggedEvent]
) -> Iterator[tuple[int, View, MonitorReader]]:
    """Fold events into a new `monitors` view one by one; yield it after each."""
    open_view(storage, CHECKS).close()
    view = open_view(storage, monitors.PROJECTION)
    reader = storage.reader()
    for logged in events:
        with view.transaction() as transaction:
            monitors.PROJECTION.apply([logged], transaction)
        yield logged.position, view, reader
    reader.close()
    view.close()


def table_rows(folded: Replay) -> dict[str, list[Any]]:
    return {each.name: sorted(folded.rows(each)) for each in monitors.PROJECTION.tables}


@given(history=HISTORIES)
@RELAXED
def test_the_past_at_every_position_is_what_the_view_held_there(
    places: Places, storages: Storages, history: History
) -> None:
    with played(places, history) as (play, views), storages() as another:
        events = list(LogReader(play.store.monitoring).after(0, 10_000))
        organizations = {str(each.organization.id) for each in play.owners}
        customers = [None, *(str(each.customer.id) for each in play.owners[:3])]
        for position, view, then in step_by_step(another, events):
            past = MonitorsAsOf(views.history, play.last_checks, [], position, None)
            assert table_rows(
                replay(readers_of(views.projector("history").log)[0], position)
            ) == rows(view, monitors.PROJECTION)
            for kind, public_id in play.monitors:
                assert past.rendered_monitor(kind, str(public_id)) == then.rendered_monitor(
                    kind, str(public_id)
                )
            for owners in play.owners:
                number, customer_id = owners.customer.number, str(owners.customer.id)
                assert past.customer(number) == then.customer(number)
                assert past.customer(customer_id) == then.customer(customer_id)
                number = owners.organization.number
                assert past.organization(number) == then.organization(number)
            for organization, customer, search in product(organizations, customers, SEARCHES):
                which = MonitorFilter("smtp", organization, customer, search)
                assert past.monitors(which, 1, 50) == then.monitors(which, 1, 50)
            which = MonitorFilter("imap_pop", str(play.owners[0].organization.id))
            assert past.monitors(which, 2, 1) == then.monitors(which, 2, 1)


@given(history=HISTORIES)
@RELAXED
def test_a_replay_to_now_is_the_view(places: Places, history: History) -> None:
    with played(places, history) as (_, views):
        projector = views.projector("monitors")

        folded = replay(readers_of(projector.log)[0], projector.log.head())

        assert table_rows(folded) == rows(projector.view, monitors.PROJECTION)
        assert folded.position() == projector.view.position()


@given(history=HISTORIES)
@RELAXED
def test_a_time_is_the_position_before_the_first_later_event(
    places: Places, history: History
) -> None:
    with played(places, history) as (_, views):
        (log,) = readers_of(views.projector("history").log)
        events = list(log.after(0, 10_000))
        times = [iso_milliseconds(each.event.timestamp) for each in events]
        for asked in {*times, "2026-01-01T11:59:59.999Z", "2099-01-01T00:00:00.000Z"}:
            later = [number for number, time in enumerate(times) if time > asked]
            before = events[: later[0]] if later else events
            expected = before[-1].position if before else 0
            assert views.history.position_at(asked) == expected
            assert replay(log, asked).position() == expected
            assert table_rows(replay(log, asked)) == table_rows(replay(log, expected))


@given(history=HISTORIES)
@RELAXED
def test_entries_tell_every_change_and_no_secret(places: Places, history: History) -> None:
    with played(places, history) as (play, views):
        folded = replay(readers_of(views.projector("history").log)[0], views.history.position())
        alive = dict(folded.rows(monitors.MONITORS))
        for kind, public_id in play.monitors:
            entries = told(views, str(public_id))
            assert [each["version"] for each in entries] == list(range(1, len(entries) + 1))
            assert "canary" not in str(entries)
            assert "sealed:" not in str(entries)
            gone = entries[-1]["type"] == "MonitorDeleted"
            assert gone == (str(public_id) not in alive)
            now: dict[str, Any] = {}
            for each in entries:
                for change in each["changes"]:
                    assert now.get(change["field"]) == change["from"]
                    now[change["field"]] = change["to"]
            if not gone:
                record = alive[str(public_id)]
                assert (now["name"], now.get("port")) == (record["name"], record["port"])
                assert now["hostname"] == record["hostname"]
            assert {each["subject"]["kind"] for each in entries} == {
                {"smtp": "smtpMonitor", "imap_pop": "imapPopMonitor"}[kind]
            }


def told(views: Views, public_id: str) -> list[dict[str, Any]]:
    """Return a monitor's entries, oldest first."""
    found = views.history.entries_of(public_id, 2**62, 1000)
    return [orjson.loads(each.body) for each in reversed(found)]


def test_before_everything_there_was_nothing(places: Places) -> None:
    with played(places, []) as (_, views):
        assert views.history.position_at("2000-01-01T00:00:00.000Z") == 0
        assert views.history.time_at(0) is None
        folded = replay(readers_of(views.projector("history").log)[0], 0)
        assert (folded.position(), folded.time) == (0, None)
        assert set(map(len, table_rows(folded).values())) == {0}


def test_the_last_check_is_the_one_that_had_ended_then(places: Places) -> None:
    with played(places, [(0.0, ("create", "imap_pop", 0, "Server"))]) as (play, views):
        ((kind, monitor_id),) = play.monitors
        monitor = play.store.monitoring.load(Monitor, monitor_id, "")
        ends = {"de-nbg": (1, 4, 9), "fi-hel": (2, 6)}
        for place, minutes in ends.items():
            checks = [check_of(monitor, each) for each in minutes]
            play.store.checks.record(checks, location=place, actor=TESTER)
        shown = {}
        for minute in range(11):
            time = iso_milliseconds(NOON + timedelta(minutes=minute))
            past = MonitorsAsOf(
                views.history,
                play.last_checks,
                [*ends, "elsewhere"],
                views.history.position(),
                time,
            )
            found = past.rendered_monitor(kind, str(monitor_id))
            assert found is not None
            shown[minute] = orjson.loads(found.body)["lastCheckedAt"]
    assert shown == {0: None} | {
        minute: iso_milliseconds(NOON + timedelta(minutes=last))
        for minute, last in zip(range(1, 11), (1, 2, 2, 4, 4, 6, 6, 6, 9, 9), strict=True)
    }


@on_sqlite
def test_a_recent_time_is_found_from_the_newest_end(places: Places) -> None:
    play_some: History = [(1.0, ("organization", "Another"))] * 3
    with played(places, play_some) as (_, views):
        view = views.projector("history").view
        assert isinstance(view, SqliteView)
        bound = {"time": iso_milliseconds(NOON), "beyond": 1}
        connection = view._connections.get()
        plan = connection.execute(f"EXPLAIN QUERY PLAN {_POSITION_AT}", bound).fetchall()

    steps = [step[-1] for step in plan]
    assert all(" COVERING INDEX " in each for each in steps if each.startswith("SEARCH"))
    assert any("at>?" in each for each in steps), steps
