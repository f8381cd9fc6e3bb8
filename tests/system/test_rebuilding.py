"""The commands on views: rebuild, also killed and resumed; status; verify."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from projections.catalog import Views
from store.store import create_store, open_store
from tests.domain.given import TESTER, check_of, make_owners
from tests.system.service import postwatch
from tests.system.stopped_rebuild import stopped_rebuild

if TYPE_CHECKING:
    import subprocess


pytestmark = [pytest.mark.system]

CHECKS = 3000


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with many checks of some monitors, and its views."""
    root = tmp_path_factory.mktemp("rebuilding") / "data"
    with create_store(root) as store:
        owners = make_owners(store)
        monitors = [store.monitoring.create_monitor(owners.create(), TESTER) for _ in range(20)]
        checks = [check_of(monitors[n % 20], n // 20) for n in range(CHECKS)]
        store.checks.record(checks, location="local", actor=TESTER)
        with Views(store) as views:
            views.projector("checks").catch_up()
    return root


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """That store, for one test."""
    return Path(shutil.copytree(filled, tmp_path / "data"))


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return postwatch("projections", *arguments, env={"POSTWATCH_DATA": str(data)})


def status(data: Path) -> dict[str, Any]:
    """Return how the view of checks stands."""
    result = run(data, "status", "--json")
    assert result.returncode == 0, result.stderr
    found: dict[str, dict[str, Any]] = {each["name"]: each for each in json.loads(result.stdout)}
    assert (found["monitors"]["state"], found["monitors"]["rebuild"]) == ("current", None)
    return found["checks"]


@pytest.mark.thorough
def test_a_rebuild_that_is_killed_goes_on_and_there_is_only_one(data: Path) -> None:
    generation = status(data)["generation"]
    with stopped_rebuild(data, "projections", "rebuild", "checks") as process:
        found = status(data)["rebuild"]
        assert found["process"] == process.pid
        assert 0 < found["position"] < CHECKS
        assert f"at {found['position']}, process {process.pid}" in run(data, "status").stdout

        second = run(data, "rebuild", "checks")

        assert second.returncode == 5
        assert f"held by process {process.pid} since " in second.stderr
        assert second.stderr.count("\n") == 1
    left = status(data)
    assert left["generation"] == generation
    assert left["rebuild"] == {"position": found["position"], "process": None, "since": None}

    result = run(data, "rebuild", "checks")

    assert result.returncode == 0
    assert f"checks: goes on at position {found['position']}\n" in result.stderr
    after = status(data)
    assert (after["generation"], after["rebuild"]) == (generation + 1, None)
    assert (after["position"], after["head"], after["lag"]) == (CHECKS, CHECKS, 0)
    assert (after["rows"], after["lagSeconds"]) == (20, 0)
    assert run(data, "verify", "checks").returncode == 0


@pytest.mark.thorough
def test_a_rebuild_from_the_start_forgets_the_one_that_was_killed(data: Path) -> None:
    with stopped_rebuild(data, "projections", "rebuild", "checks"):
        pass
    assert status(data)["rebuild"] is not None

    result = run(data, "rebuild", "--from-start")

    assert result.returncode == 0
    assert "goes on" not in result.stderr
    assert status(data)["rebuild"] is None


def test_a_view_that_is_behind_says_by_how_much(data: Path) -> None:
    with open_store(data) as store:
        owners = make_owners(store)
        monitor = store.monitoring.create_monitor(owners.create(), TESTER)
        store.checks.record([check_of(monitor)], location="local", actor=TESTER)

    found = status(data)

    assert (found["lag"], found["head"] - found["position"]) == (1, 1)
    assert found["lagSeconds"] > 3600, "the check bears a time of the past"


def test_verify_names_differences_and_changes_nothing(data: Path) -> None:
    assert run(data, "rebuild").returncode == 0
    with closing(sqlite3.connect(data / "views" / "checks.db")) as connection, connection:
        (key,) = connection.execute("SELECT max(key) FROM last_checks").fetchone()
        connection.execute(
            "UPDATE last_checks SET record = replace(record, 'monitor_version', 'new\\nname')"
            " WHERE key = ?",
            (key,),
        )
        before = connection.execute("SELECT * FROM last_checks").fetchall()

    result = run(data, "verify")
    as_json = run(data, "verify", "checks", "--json")

    assert (result.returncode, as_json.returncode) == (10, 10)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("monitors: equal to its log at position ")
    assert lines[1].startswith("checks: 2 differences at position ")
    assert lines[2:4] == [
        f"checks: table last_checks, key {key}: monitor_version differs",
        f"checks: table last_checks, key {key}: new\\u000aname differs",
    ]
    (found,) = json.loads(as_json.stdout)
    assert [each["field"] for each in found["differences"]] == ["monitor_version", "new\nname"]
    with closing(sqlite3.connect(data / "views" / "checks.db")) as connection:
        assert connection.execute("SELECT * FROM last_checks").fetchall() == before
    assert run(data, "rebuild", "checks").returncode == 0
    assert run(data, "verify").returncode == 0


def test_a_view_of_another_version_is_told_as_such(data: Path) -> None:
    with open_store(data) as store, Views(store) as views:
        view = views.projector("checks").view
        view.invalidate(view.position())

    found = status(data)
    result = run(data, "verify", "checks")

    assert (found["state"], found["position"]) == ("not made yet by this version", 0)
    assert found["lag"] == found["head"] == CHECKS
    assert result.returncode == 3
    assert "has not made the view checks" in result.stderr
    assert "`postwatch projections run` (a part of `postwatch up`) makes it" in result.stderr
    assert run(data, "rebuild", "checks").returncode == 0
    assert status(data)["state"] == "current"
