"""A command that needs a view makes that one, waits for another process, or says why not."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.terminal.view_making import make_current
from projections import catalog
from projections.catalog import PROJECTIONS, PROJECTIONS_LOCK, Views, rebuild_lock
from service.errors import CommandError, ExitCode
from tests.domain.given import TESTER, check_of, make_owners
from tests.projections.folding import with_batches_of
from tests.waiting import wait_until

if TYPE_CHECKING:
    from click.testing import Result

    from store.store import Store
    from tests.places import Place


CHECKS = 12


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every log is a long one, and each view of it takes several steps."""
    monkeypatch.setattr(catalog, "PROJECTIONS", with_batches_of(5))


@pytest.fixture
def monitor_id(store: Store) -> str:
    """The id of a monitor in a store without views."""
    monitor = store.monitoring.create_monitor(make_owners(store).create(), TESTER)
    store.monitoring.register_location("local", "Local", "DE", TESTER)
    checks = [check_of(monitor, minute) for minute in range(CHECKS)]
    store.checks.record(checks, location="local", actor=TESTER)
    return str(monitor.id)


def run(place: Place, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env=place.environment)


def made(store: Store) -> set[str]:
    """Return which views are made."""
    with Views(store) as views:
        return {name for name, each in views.projectors.items() if each.is_current()}


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["customer", "list"], ("monitors",)),
        (["organization", "list"], ("monitors",)),
        (["token", "create", "--name", "T"], ("monitors",)),
        (["fleet"], ("monitors",)),
        (["location", "list"], ("monitors", "checks")),
        (["history", "{}"], ("history",)),
        (["uptime", "{}"], ("roll_ups",)),
        (["checks", "segments"], ()),
        (["checks", "archive", "--older-than", "900w"], ()),
        (["init"], ()),
        (["projections", "status"], ()),
    ],
    ids=" ".join,
)
def test_a_command_makes_the_views_that_it_needs_and_says_so_once(
    place: Place, store: Store, monitor_id: str, arguments: list[str], needed: tuple[str, ...]
) -> None:
    command = [each.format(monitor_id) for each in arguments]
    heads = {each.name: store.reader(each.log).head() for each in PROJECTIONS}

    first = run(place, *command)

    assert first.exit_code == 0, first.output
    assert made(store) == set(needed)
    said = first.stderr.splitlines()
    lines = [line for line in said if line.startswith("the view ") and " made" in line]
    assert len(lines) == 2 * len(needed)
    for name in needed:
        assert f"the view {name} is not made yet: making it of {heads[name]} events ..." in lines
        assert f"the view {name} is made" in lines
    if arguments[0] != "checks":
        assert "the view" not in run(place, *command).stderr


def test_what_is_shown_then_is_all_that_the_log_holds(
    place: Place, store: Store, monitor_id: str
) -> None:
    (location,) = json.loads(run(place, "location", "list", "--json").stdout)
    shown = json.loads(run(place, "uptime", monitor_id, "--range", "year", "--json").stdout)

    assert location["lastCheckAt"] == "2026-01-01T12:11:00.000Z"
    assert shown["checks"] == CHECKS
    assert len(json.loads(run(place, "history", monitor_id, "--json").stdout)) == 1
    assert run(place, "projections", "verify", "roll_ups").exit_code == 0
    assert made(store) == {"monitors", "checks", "history", "roll_ups"}


def test_a_view_that_another_process_makes_is_waited_for(
    store: Store, monitor_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del monitor_id
    shown: list[str] = []

    def is_waiting() -> bool:
        shown.append(capsys.readouterr().err)
        return "waiting for the process that makes it (held by process " in "".join(shown)

    with Views(store) as mine, Views(store) as theirs, ThreadPoolExecutor(1) as pool:
        projector = mine.projector("checks")
        with store.engine.locks.hold(rebuild_lock("checks")):
            waiting = pool.submit(make_current, projector, store.engine.locks)
            wait_until(is_waiting)
            theirs.projector("checks").rebuilder.run(lambda *_: None)
            waiting.result(20)
        assert projector.is_current()
    assert "making it" not in "".join(shown) + capsys.readouterr().err


def test_a_waiting_command_resumes_the_work_of_a_killed_process(
    store: Store, monitor_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del monitor_id
    with Views(store) as mine, ThreadPoolExecutor(1) as pool:
        projector = mine.projector("checks")
        with store.engine.locks.hold(rebuild_lock("checks")):
            projector.view.start_shadow()
            assert projector.rebuilder.step() == 5
            waiting = pool.submit(make_current, projector, store.engine.locks)
            wait_until(lambda: "waiting for the process" in capsys.readouterr().err)
        waiting.result(20)
        assert projector.is_current()
        assert projector.lag() == 0
    assert f"making it of {CHECKS} events, starting at position 5 ..." in capsys.readouterr().err


def test_the_views_of_a_running_service_of_another_version_are_left_alone(
    store: Store, monitor_id: str
) -> None:
    del monitor_id
    with Views(store) as views, store.engine.locks.hold(PROJECTIONS_LOCK):
        projector = views.projector("monitors")

        with pytest.raises(CommandError, match="of another version, restart it") as caught:
            make_current(projector, store.engine.locks, start_seconds=0)

        assert caught.value.code == ExitCode.STORE_UNUSABLE
        assert not projector.is_current()
        assert projector.rebuilder.position() is None


def test_a_store_that_is_being_filled_starts_without_waiting(
    place: Place, store: Store, monitor_id: str
) -> None:
    del monitor_id
    with store.engine.locks.hold(rebuild_lock("monitors")):
        done = run(place, "init")

    assert done.exit_code == 0, done.output
    assert made(store) == set()
