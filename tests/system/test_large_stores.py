"""What docs/operations.md shows of restoring and importing, with a store that has a long log.

Its views are too long to be built when they are opened, and no process maintains them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from click.testing import CliRunner

from cli.main import main
from projections.catalog import PROJECTIONS, Views
from store.store import create_store, open_store
from tests.domain.given import TESTER, make_owners
from tests.domain.realistic import Fleet, record
from tests.places import on_postgres
from tests.system.service import CLEAN
from tests.system.stopped_rebuild import stopped_rebuild
from tests.system.test_documents import blocks_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.testing import Result

    from tests.places import Place


pytestmark = [pytest.mark.system, pytest.mark.thorough]

MONITORS = 300
CHECKS = 3000


class Large(NamedTuple):
    """A folder with the store `data` in it, and one of the monitors."""

    folder: Path
    monitor_id: str

    @property
    def key(self) -> str:
        """The file of the master key."""
        return str(self.folder / "data" / "keys" / "master.key")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Large:
    """A store with more checks and more audit events than are read in passing."""
    folder = tmp_path_factory.mktemp("large")
    with create_store(folder / "data") as store:
        owners = make_owners(store)
        store.monitoring.register_location("local", "Local", "DE", TESTER)
        made = [store.monitoring.create_monitor(owners.create(), TESTER) for _ in range(MONITORS)]
        record(store, Fleet([each.id for each in made]).checks(CHECKS))
        for projection in PROJECTIONS:
            logs = {projection.log, *projection.joined}
            assert sum(store.reader(each).head() for each in logs) > projection.batch
    return Large(folder, str(made[0].id))


def follow_the_document(large: Large, command: str) -> str:
    """Run the example of docs/operations.md that shows a command; return what it prints."""
    (block,) = [each for each in blocks_of("docs/operations.md") if command in each]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=large.folder,
        env={
            **CLEAN,
            "POSTWATCH_DATA": "./data",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the view monitors is made\n" in done.stderr
    return done.stdout


def run(*arguments: str, env: Mapping[str, str]) -> Result:
    """Run a command to its good end, in this process, which saves starting one."""
    done = CliRunner().invoke(main, arguments, env=env)
    assert done.exit_code == 0, done.output
    return done


def require_answers(env: Mapping[str, str], monitor_id: str) -> None:
    """Require that each command which reads a view answers from all that the logs hold."""

    def answer(*arguments: str) -> str:
        return run(*arguments, env=env).stdout

    (customer,) = json.loads(answer("customer", "list", "--json"))
    assert customer["name"] == "Example Customer"
    (location,) = json.loads(answer("location", "list", "--json"))
    assert location["lastCheckAt"].startswith("2026-05-01T00:")
    shown = json.loads(answer("uptime", monitor_id, "--range", "year", "--json"))
    assert shown["checks"] == CHECKS / MONITORS
    (created,) = json.loads(answer("history", monitor_id, "--json"))
    assert created["type"] == "MonitorCreated"


def test_the_example_of_restoring_works_and_so_does_what_comes_next(large: Large) -> None:
    printed = follow_the_document(large, "postwatch restore")

    assert "Example Customer" in printed
    require_answers({"POSTWATCH_DATA": str(large.folder / "restored")}, large.monitor_id)


def test_the_example_of_importing_works_and_so_does_what_comes_next(large: Large) -> None:
    printed = follow_the_document(large, "postwatch log import")

    assert "Example Customer" in printed
    require_answers({"POSTWATCH_DATA": str(large.folder / "moved")}, large.monitor_id)


@on_postgres
def test_a_database_into_which_it_was_imported_answers(
    large: Large, place: Place, tmp_path: Path
) -> None:
    file = str(tmp_path / "export")
    run("log", "export", file, env={"POSTWATCH_DATA": str(large.folder / "data")})

    done = run("log", "import", file, "--master-key-file", large.key, env=place.environment)

    assert "`postwatch projections run`" in done.stderr
    require_answers(place.environment, large.monitor_id)


def test_a_command_that_is_killed_while_it_makes_a_view_is_gone_on_with(
    large: Large, tmp_path: Path
) -> None:
    backup, root = str(tmp_path / "backup"), tmp_path / "restored"
    env = {"POSTWATCH_DATA": str(root)}
    run("backup", backup, env={"POSTWATCH_DATA": str(large.folder / "data")})
    run("restore", backup, "--master-key-file", large.key, env=env)
    with (
        stopped_rebuild(root, "location", "list"),
        open_store(root) as store,
        Views(store) as views,
    ):
        reached = views.projector("checks").view.position("shadow")
        assert 0 < reached < CHECKS

    done = run("location", "list", env=env)

    begun, ended = done.stderr.splitlines()
    assert begun.endswith(f"making it of {CHECKS} events, starting at position {reached} ...")
    assert ended == "the view checks is made"
    run("projections", "verify", "checks", env=env)
