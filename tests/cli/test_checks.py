"""`postwatch checks` and `postwatch uptime` on a store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli.main import main
from projections.catalog import Views
from service.errors import ExitCode
from service.opening import hold_part
from tests.domain.given import TESTER, make_owners
from tests.domain.realistic import Fleet, record
from tests.intruder import intruder_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from click.testing import Result

    from store.store import Store
    from tests.places import Place


CHECKS = 200


@pytest.fixture
def run(store: Store, place: Place) -> Callable[..., Result]:
    """Return a function that runs `postwatch` on the store, in this process."""

    def call(*arguments: str) -> Result:
        env = place.environment
        return CliRunner().invoke(main, arguments, env=env, catch_exceptions=False)

    assert store.folder.root == place.root
    return call


@pytest.fixture
def monitor_id(store: Store) -> UUID:
    """A monitor that was checked a while ago, and shown."""
    monitor = store.monitoring.create_monitor(make_owners(store).create(check_interval=5), TESTER)
    record(store, Fleet([monitor.id]).checks(CHECKS))
    with Views(store) as views:
        for projector in views.projectors.values():
            projector.catch_up()
    return monitor.id


def test_old_checks_are_archived_once(run: Callable[..., Result], monitor_id: UUID) -> None:
    del monitor_id
    first = run("checks", "archive", "--older-than", "30d", "--json")
    second = run("checks", "archive", "--older-than", "30d")
    verified = run("log", "verify", "checks")
    listed = run("checks", "segments", "--json")

    done: dict[str, Any] = json.loads(first.stdout)
    assert (done["archived"], done["segments"], done["pruned"]) == (CHECKS, 1, CHECKS - 1)
    assert done["archivedThrough"] == CHECKS
    assert done["bytes"] == done["archiveBytes"]
    assert second.stdout.startswith("archived 0 checks in 0 files; removed 0 from the log")
    assert verified.exit_code == 0, verified.output
    assert f"{CHECKS} events, {CHECKS} of them archived" in verified.stdout
    (segment,) = json.loads(listed.stdout)
    assert (segment["first"], segment["last"], segment["events"]) == (1, CHECKS, CHECKS)
    assert segment["bytes"] == done["bytes"]


def test_checks_that_are_young_enough_stay(run: Callable[..., Result], monitor_id: UUID) -> None:
    del monitor_id
    done = run("checks", "archive", "--older-than", "9999w")

    assert done.exit_code == 0
    assert "archived 0 checks" in done.stdout


@pytest.mark.parametrize("age", ["", "30", "d", "0d", "-1d", "30x", "1.5d", "30 d", "999999d"])
def test_an_age_that_is_none_is_refused(
    run: Callable[..., Result], store: Store, monitor_id: UUID, age: str
) -> None:
    del monitor_id
    done = run("checks", "archive", "--older-than", age)

    assert done.exit_code == ExitCode.USAGE
    assert done.stderr.startswith("postwatch: --older-than must be a number and a unit")
    assert store.archive.through() == 0


def test_two_do_not_archive_at_once(
    run: Callable[..., Result], store: Store, monitor_id: UUID
) -> None:
    del monitor_id
    with hold_part(store.engine.locks, "archive"):
        done = run("checks", "archive", "--older-than", "30d")

    assert done.exit_code == ExitCode.ALREADY_RUNNING
    assert f"another process archives checks of {store.engine.locks.place}" in done.stderr
    assert store.archive.through() == 0


def test_nothing_is_archived_that_a_view_has_not_read(
    run: Callable[..., Result], store: Store, monitor_id: UUID
) -> None:
    record(store, Fleet([monitor_id], seed=2).checks(10))
    with Views(store) as views:
        views.projector("checks").catch_up()

    done = run("checks", "archive", "--older-than", "30d")

    assert done.exit_code == 0
    assert f"archived {CHECKS} checks" in done.stdout
    assert (
        f"the view roll_ups has read the checks up to position {CHECKS} of {CHECKS + 10}"
        in done.stderr
    )
    assert store.archive.through() == CHECKS


def test_a_changed_log_and_a_damaged_segment_have_their_exit_codes(
    run: Callable[..., Result], store: Store, monitor_id: UUID
) -> None:
    del monitor_id
    assert run("checks", "archive", "--older-than", "30d").exit_code == 0
    behind = intruder_of(store)
    behind.put_segment(1, CHECKS, behind.segment(1, CHECKS)[:-1])

    verified = run("log", "verify", "checks")
    rebuilt = run("projections", "rebuild", "checks")
    exported = run("log", "export", "-")

    assert verified.exit_code == ExitCode.TAMPERED
    assert f"positions 1 to {CHECKS}: it is damaged or cut off" in verified.stdout
    for done in (rebuilt, exported):
        assert done.exit_code == ExitCode.STORE_UNUSABLE
        assert "it is damaged or cut off" in done.stderr


def test_uptime_is_shown_as_a_table_and_as_the_api_does(
    run: Callable[..., Result], monitor_id: UUID
) -> None:
    table = run("uptime", str(monitor_id), "--range", "month")
    shown = json.loads(run("uptime", str(monitor_id), "--range", "year", "--json").stdout)

    assert table.stdout.splitlines()[0].split()[:3] == ["From", "Up", "%"]
    assert table.stdout.splitlines()[-1].startswith("all")
    assert shown["checks"] == CHECKS
    assert shown["granularity"] == "day"


def test_uptime_of_nothing_is_an_error(run: Callable[..., Result]) -> None:
    unknown = run("uptime", "00000000-0000-4000-8000-000000000009")

    assert (unknown.exit_code, run("uptime", "x").exit_code) == (ExitCode.FAILED, ExitCode.USAGE)
    assert "there is no monitor" in unknown.stderr


def test_uptime_of_a_year_by_hours_is_wrong_usage(
    run: Callable[..., Result], monitor_id: UUID
) -> None:
    asked = run("uptime", str(monitor_id), "--range", "year", "--granularity", "hour")

    assert asked.exit_code == ExitCode.USAGE
    assert "a year is shown by days" in asked.stderr
