"""`postwatch location`: what is listed, what is retired, and what is refused."""

from __future__ import annotations

import json
import os
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from domain.clock import iso_milliseconds, utc_now
from projections.catalog import Views
from service.errors import ExitCode
from service.presence import checker_lock
from store.ports.leases import Heartbeat
from tests.domain.given import TESTER, check_of, make_owners
from tests.places import on_postgres, on_sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.store import Store
    from tests.places import Place


HOLDER = "checkers-host:4711"


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with two locations, one of which has just made a check."""
    monitor = store.monitoring.create_monitor(make_owners(store).create(), TESTER)
    store.monitoring.register_location("de-nbg", "Nuremberg (DE)", "DE", TESTER)
    store.monitoring.register_location("fi-hel", "Helsinki", None, TESTER)
    check = replace(check_of(monitor), finished_at=utc_now())
    store.checks.record([check], location="de-nbg", actor=TESTER)
    with Views(store) as views:
        views.projector("checks").catch_up()
    return store


def run(place: Place, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["location", *arguments], env=place.environment)


def listed(place: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(place, "list", "--json").stdout)
    return found


@contextmanager
def checker_at_work(store: Store, code: str, number: int) -> Iterator[str]:
    """Be the checker of a location, as far as others can see; yield what they see."""
    leases = store.engine.leases(code, number)
    if leases is None:
        with store.engine.locks.hold(checker_lock(code)):
            yield f"process {os.getpid()}"
        return
    with closing(leases):
        leases.look(Heartbeat(HOLDER))
        yield HOLDER


def test_locations_are_listed_with_their_last_check_and_who_is_there(
    place: Place, filled: Store
) -> None:
    with checker_at_work(filled, "fi-hel", 2) as who:
        first, second = listed(place)
        table = run(place, "list").stdout

    assert list(first) == [
        *("number", "code", "name", "country", "status", "lastCheckAt", "checkers")
    ]
    assert (first["number"], first["code"], first["name"]) == (1, "de-nbg", "Nuremberg (DE)")
    assert (first["country"], first["status"], first["checkers"]) == ("DE", "active", [])
    assert first["lastCheckAt"] <= iso_milliseconds(utc_now())
    assert (second["country"], second["lastCheckAt"], second["checkers"]) == (None, None, [who])
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [
        ["1", "de-nbg"],
        ["2", "fi-hel"],
    ]
    assert who in table


def test_a_retired_location_stays_in_the_list_and_no_command_misses_it(
    place: Place, filled: Store
) -> None:
    retired = run(place, "retire", "de-nbg")

    assert (retired.exit_code, retired.stdout) == (
        ExitCode.OK,
        "location de-nbg (Nuremberg (DE)) is retired\n",
    )
    assert [(each["code"], each["status"]) for each in listed(place)] == [
        ("de-nbg", "retired"),
        ("fi-hel", "active"),
    ]
    fleet = CliRunner().invoke(main, ["fleet"], env=place.environment).stdout
    assert "fi-hel: no checker runs" in fleet
    assert "de-nbg" not in fleet
    with checker_at_work(filled, "de-nbg", 1) as who:
        fleet = CliRunner().invoke(main, ["fleet"], env=place.environment).stdout
    assert "de-nbg" in fleet, "a checker runs there all the same"
    assert who in fleet


def test_what_is_not_there_or_retired_already_is_refused(place: Place, filled: Store) -> None:
    del filled
    unknown = run(place, "retire", "nowhere")
    run(place, "retire", "de-nbg")
    again = run(place, "retire", "de-nbg")

    assert (unknown.exit_code, again.exit_code) == (ExitCode.FAILED, ExitCode.FAILED)
    assert "there is no location nowhere; see `postwatch location list`" in unknown.stderr
    assert "location de-nbg is retired already" in again.stderr


def test_a_location_at_which_a_checker_is_at_work_is_not_retired(
    place: Place, filled: Store
) -> None:
    head = filled.reader("monitoring").head()
    with checker_at_work(filled, "de-nbg", 1) as who:
        refused = run(place, "retire", "de-nbg")
        assert run(place, "retire", "fi-hel").exit_code == ExitCode.OK, "no checker runs there"

    assert refused.exit_code == ExitCode.ALREADY_RUNNING
    assert "location de-nbg is not retired" in refused.stderr
    assert who in refused.stderr
    assert "stop th" in refused.stderr
    assert filled.reader("monitoring").head() == head + 1
    assert run(place, "retire", "de-nbg").exit_code == ExitCode.OK, "the checker has ended"


@on_postgres
def test_a_session_that_is_no_checker_is_named_with_the_way_to_end_it(
    place: Place, filled: Store
) -> None:
    leases = filled.engine.leases("de-nbg", 1)
    assert leases is not None
    with closing(leases):
        standing = leases.look(Heartbeat(HOLDER))
        leases.take({1, 2})
        leases.leave()
        refused = run(place, "retire", "de-nbg")

    assert refused.exit_code == ExitCode.ALREADY_RUNNING
    assert f"SELECT pg_terminate_backend({standing.session})" in refused.stderr


@on_sqlite
def test_no_checker_can_start_while_its_location_is_retired(place: Place, filled: Store) -> None:
    with filled.engine.locks.hold("checker-de-nbg"):
        assert run(place, "retire", "de-nbg").exit_code == ExitCode.ALREADY_RUNNING
        options = ["checker", "--location", "de-nbg"]
        started = CliRunner().invoke(main, options, env=place.environment)

    assert started.exit_code == ExitCode.ALREADY_RUNNING
    assert "LocationRestored" not in topics(filled)


def topics(store: Store) -> list[str]:
    return [type(each.event).TOPIC for each in store.reader("monitoring").after(0, 100)]
