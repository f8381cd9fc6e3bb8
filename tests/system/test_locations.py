"""The life of a location with real checkers: at work, retired, brought back, and both at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any

import pytest

from store.ports.leases import Heartbeat
from tests.places import on_postgres, on_sqlite
from tests.system.parts import Part, stopping
from tests.system.service import Service, postwatch
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from store.store import Store
    from tests.places import Place


pytestmark = [pytest.mark.system, pytest.mark.thorough]

ROUNDS = 3

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def run(place: Place) -> Run:
    """Return a function that runs `postwatch` on a store that was just made."""

    def call(*arguments: str) -> CompletedProcess[str]:
        return postwatch(*arguments, env=place.environment)

    assert call("init").returncode == 0
    return call


def checker(place: Place, folder: Path, *options: str) -> Part:
    return Part(["checker", "--location", "de-nbg", *options], place.environment, folder / "c.log")


def listed(run: Run) -> dict[str, Any]:
    """Return the one location."""
    (found,) = json.loads(run("location", "list", "--json").stdout)
    assert isinstance(found, dict)
    return found


def test_a_location_is_retired_when_its_checker_is_gone_and_comes_back_with_the_next_one(
    place: Place, run: Run, tmp_path: Path
) -> None:
    first = checker(place, tmp_path, "--name", "Nuremberg (DE)", "--country", "DE")
    with stopping([first]):
        first.start("checker ready")
        assert any(str(first.pid) in each for each in listed(run)["checkers"])
        refused = run("location", "retire", "de-nbg")
        assert (refused.returncode, str(first.pid) in refused.stderr) == (5, True)
        assert first.stop() == 0

    assert run("location", "retire", "de-nbg").returncode == 0
    assert (listed(run)["status"], listed(run)["checkers"]) == ("retired", [])
    assert json.loads(run("fleet", "--json").stdout) == []

    second = checker(place, tmp_path, "--name", "Helsinki", "--country", "FI")
    with stopping([second]):
        second.start("checker ready")
        assert listed(run)["status"] == "active"
    *_, back, changed, ready = [each for each in second.messages() if "location de-nbg" in each]
    assert back == "location de-nbg was retired; this start brings it back"
    assert changed == (
        "this start changes location de-nbg: name from Nuremberg (DE) to Helsinki; country from "
        "DE to FI; the country decides which monitors are checked there"
    )
    assert ready.startswith("checker ready: location de-nbg (Helsinki, FI)")


def test_a_start_and_a_retirement_at_once_end_in_one_of_two_clear_states(
    place: Place, run: Run, tmp_path: Path
) -> None:
    part = checker(place, tmp_path)
    with stopping([part]):
        part.start("checker ready")
        part.stop()
        for _ in range(ROUNDS):
            part.start()
            assert part.process is not None
            process = part.process
            before = len(part.messages())
            asked = run("location", "retire", "de-nbg")
            assert asked.returncode in {0, 1, 5}, asked.stderr

            def is_clear(process: Any = process, before: int = before) -> bool:  # noqa: ANN401 - a process
                is_ready = any(
                    each.startswith("checker ready") for each in part.messages()[before:]
                )
                is_over = process.poll() is not None
                return (is_ready or is_over) and is_over == (listed(run)["status"] == "retired")

            wait_until(is_clear, seconds=40, what="a checker at work, or a retired location")
            part.stop()
    assert run("log", "verify").returncode == 0


@on_postgres
def test_a_checker_that_lost_its_session_finds_its_location_retired_and_ends(
    place: Place, store: Store, run: Run, tmp_path: Path
) -> None:
    part = checker(place, tmp_path)
    with stopping([part]):
        part.start("checker ready")
        (row,) = store.engine.fleet()
        part.freeze()
        assert run("location", "retire", "de-nbg").returncode == 5
        leases = store.engine.leases("de-nbg", 1)
        assert leases is not None
        with closing(leases):
            leases.look(Heartbeat("somebody"))
            assert leases.end(row.session.number)
        wait_until(lambda: not store.engine.fleet(), what="no session")
        assert run("location", "retire", "de-nbg").returncode == 0
        part.thaw()
        assert part.process is not None
        assert part.process.wait(40) == 1

    assert "location de-nbg was retired while this checker ran" in part.log.read_text()
    assert listed(run)["status"] == "retired"


@on_postgres
def test_a_checker_of_a_database_is_told_to_say_where_it_stands(place: Place, run: Run) -> None:
    refused = run("checker")

    assert refused.returncode == 7
    (line,) = refused.stderr.splitlines()
    assert "--location or POSTWATCH_LOCATION" in line
    assert json.loads(run("location", "list", "--json").stdout) == []
    assert place.database is not None


@on_postgres
def test_one_machine_with_a_database_stands_at_local(place: Place, tmp_path: Path) -> None:
    migrated = postwatch("migrate", env=place.environment)
    assert migrated.returncode == 0
    with Service(tmp_path / "up", **place.environment) as service:
        (found,) = json.loads(service.run("location", "list", "--json").stdout)
        assert (found["code"], len(found["checkers"])) == ("local", 1)
        answer = service.client("GET", "/api/monitoring-locations")
        assert [each["code"] for each in answer.body] == ["local"]
        assert service.run("location", "retire", "local").returncode == 5


@on_sqlite
def test_local_that_was_retired_is_in_use_again_only_when_it_is_named(
    place: Place, run: Run, tmp_path: Path
) -> None:
    unnamed = Part(["checker"], place.environment, tmp_path / "unnamed.log")
    with stopping([unnamed]):
        unnamed.start("checker ready")
    assert run("location", "retire", "local").returncode == 0

    again = run("checker")
    assert again.returncode == 7
    assert "location local is retired; to check from there again name it" in again.stderr
    assert listed(run)["status"] == "retired"
    named = Part(["checker", "--location", "local"], place.environment, tmp_path / "named.log")
    with stopping([named]):
        named.start("checker ready")
        assert listed(run)["status"] == "active"
