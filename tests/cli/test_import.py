"""`postwatch log import` into a database: what it says, and with which exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import main
from service.errors import ExitCode
from store.files.data_folder import DataFolder
from tests.domain.given import make_owners
from tests.places import Place
from tests.postgres_server import find_binaries

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.places import Databases


pytestmark = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")


def run(place: Place, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env=place.environment)


@pytest.fixture
def export(tmp_path: Path) -> list[str]:
    """The words that import an export."""
    source = Place(tmp_path / "source")
    with source.create() as store:
        make_owners(store)
    file = tmp_path / "export"
    assert run(source, "log", "export", str(file)).exit_code == 0
    key = str(DataFolder(source.root).master_key)
    return ["log", "import", str(file), "--master-key-file", key]


def test_an_import_says_where_the_store_is_and_that_other_hosts_need_its_key(
    export: list[str], postgres: Databases, tmp_path: Path
) -> None:
    with postgres.migrated() as database:
        place = Place(tmp_path / "host", database)

        done = run(place, *export)
        again = run(place, *export)

        assert done.exit_code == 0, done.output
        words = f"0 checks, 0 incidents events and 1 keys into {database.place}"
        assert f"imported 4 monitoring, {words}" in done.stdout
        assert "name it there with POSTWATCH_MASTER_KEY_FILE" in done.stderr
        assert again.exit_code == ExitCode.STORE_UNUSABLE
        assert "holds a store already" in again.stderr
        listed = run(place, "customer", "list", "--json")
        assert [each["name"] for each in json.loads(listed.stdout)] == ["Example Customer"]


def test_an_import_needs_the_schema(export: list[str], postgres: Databases, tmp_path: Path) -> None:
    with postgres.empty() as database:
        done = run(Place(tmp_path / "host", database), *export)

    assert done.exit_code == ExitCode.STORE_UNUSABLE
    assert "run `postwatch migrate` once" in done.stderr
    assert not (tmp_path / "host").exists()


@pytest.mark.parametrize("command", [["log", "import", "kept"], ["restore", "kept"]])
@pytest.mark.parametrize("given", [None, "another"])
def test_a_wrong_master_key_is_told_with_the_option_that_names_the_right_one(
    command: list[str], given: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Place(tmp_path / "source")
    with source.create() as store:
        make_owners(store)
    keeping = ["backup"] if command[0] == "restore" else ["log", "export"]
    assert run(source, *keeping, "kept").exit_code == 0
    assert run(source, "keys", "new", "another").exit_code == 0
    options = ["--master-key-file", given] if given else []

    refused = run(Place(tmp_path / "target"), *command, *options)

    assert refused.exit_code == ExitCode.MASTER_KEY_WRONG
    assert "; name the file of the right one with --master-key-file\n" in refused.stderr
    assert "POSTWATCH_MASTER_KEY" not in refused.stderr
