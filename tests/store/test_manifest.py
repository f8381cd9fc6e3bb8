"""A store knows its parts: a lost one ends the start, a new one is added, an old store opens."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Final

import orjson
import psycopg
import pytest
from click.testing import CliRunner

from cli.main import main
from domain.errors import StoreError
from service.errors import ExitCode
from store.files.data_folder import DataFolder
from store.files.manifest import VERSION, described
from store.ports.engine import LOGS, OLD_PARTS, PARTS
from store.store import create_store, open_store
from store.transfer.backup import MANIFEST, make_backup, restore_backup
from store.transfer.restore_log import ImportKey
from tests.domain.given import make_owners
from tests.postgres_server import find_binaries

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.places import Databases


FILES: Final = {
    "keys": "keys/keys.db",
    "monitoring": "logs/monitoring.db",
    "checks": "logs/checks.db",
    "incidents": "logs/incidents.db",
}
COMMANDS: Final = (["init"], ["log", "verify"])
"""One that makes a store where there is none, and one that does not."""


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A store with an organization, that nothing holds open."""
    with create_store(tmp_path / "data") as store:
        make_owners(store)
    return DataFolder(tmp_path / "data")


def run(folder: DataFolder, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"POSTWATCH_DATA": str(folder.root)})


def files_of(folder: DataFolder) -> dict[str, int]:
    """Return the files of a store with their sizes, without what can be deleted."""
    kept = [folder.root / "logs", folder.root / "keys"]
    found = {str(each): each.stat().st_size for root in kept for each in root.rglob("*")}
    if folder.manifest.exists():
        found[str(folder.manifest)] = folder.manifest.stat().st_size
    return found


def lose(folder: DataFolder, part: str) -> None:
    path = folder.root / FILES[part]
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def assert_refused(folder: DataFolder, command: list[str], *words: str) -> None:
    before = files_of(folder)

    done = run(folder, *command)

    assert done.exit_code == ExitCode.STORE_UNUSABLE, done.output
    for each in words:
        assert each in done.stderr
    assert files_of(folder) == before


def test_every_part_has_a_file_that_tests_lose() -> None:
    assert set(FILES) == set(PARTS)


def test_a_new_store_names_its_parts(folder: DataFolder) -> None:
    assert json.loads(folder.manifest.read_bytes()) == {
        "format": "postwatch-store",
        "version": 1,
        "parts": ["checks", "incidents", "keys", "monitoring"],
    }
    assert folder.manifest.stat().st_mode & 0o077 == 0
    assert [each.name for each in folder.root.glob("manifest*")] == ["manifest.json"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("part", FILES)
def test_a_lost_part_ends_the_start(folder: DataFolder, part: str, command: list[str]) -> None:
    lose(folder, part)

    words = (f"lost its part {part}", str(folder.root / FILES[part]), "restore a backup")
    assert_refused(folder, command, *words)


@pytest.mark.parametrize("part", FILES)
def test_an_empty_file_is_a_lost_part(folder: DataFolder, part: str) -> None:
    lose(folder, part)
    (folder.root / FILES[part]).touch()

    assert_refused(folder, ["init"], f"lost its part {part}")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("part", sorted(OLD_PARTS))
def test_an_old_store_that_lost_a_part_is_refused(
    folder: DataFolder, part: str, command: list[str]
) -> None:
    make_old(folder)
    lose(folder, part)

    assert_refused(folder, command, f"lost its part {part}")


def test_keys_without_any_log_are_a_store_that_lost_its_logs(folder: DataFolder) -> None:
    make_old(folder)
    lose(folder, "monitoring")
    lose(folder, "checks")

    assert_refused(folder, ["init"], "lost its part checks")


def make_old(folder: DataFolder) -> None:
    """Take from a store what earlier versions did not make."""
    folder.manifest.unlink()
    lose(folder, "incidents")


def test_an_old_store_gets_its_new_parts_and_a_manifest(folder: DataFolder) -> None:
    make_old(folder)

    with open_store(folder.root) as store:
        assert store.incidents.tracked("checks") is None
        assert make_owners(store).organization.number == 2

    assert json.loads(folder.manifest.read_bytes()) == described(PARTS)


def test_a_part_that_the_manifest_does_not_name_is_added(folder: DataFolder) -> None:
    folder.manifest.write_bytes(orjson.dumps(described(OLD_PARTS)))
    lose(folder, "incidents")

    with open_store(folder.root) as store:
        assert store.reader("incidents").head() == 0

    assert json.loads(folder.manifest.read_bytes()) == described(PARTS)
    lose(folder, "incidents")
    assert_refused(folder, ["init"], "lost its part incidents")


@pytest.mark.parametrize(
    "made", [[], ["keys"], ["keys", "monitoring"], ["checks", "monitoring"]], ids="-".join
)
def test_a_killed_first_start_is_finished(tmp_path: Path, made: list[str]) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    folder.manifest.write_bytes(orjson.dumps(described([])))
    for part in made:
        folder.part(part).touch()
    with pytest.raises(StoreError, match="there is no Postwatch store"):
        open_store(tmp_path)

    with create_store(tmp_path) as store:
        assert make_owners(store).organization.number == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (described(PARTS) | {"version": VERSION + 1}, f"has the format {VERSION + 1}"),
        (described([*PARTS, "letters"]), "does not know: letters"),
        (described(PARTS) | {"version": True}, "is damaged"),
        (described(PARTS) | {"format": "other"}, "is damaged"),
        (described(PARTS) | {"parts": [1]}, "is damaged"),
        ([], "is damaged"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_manifest_that_is_newer_or_damaged_is_refused(
    folder: DataFolder, content: object, words: str, command: list[str]
) -> None:
    folder.manifest.write_bytes(orjson.dumps(content))

    assert_refused(folder, command, words, str(folder.manifest))


def test_a_manifest_cut_off_is_refused(folder: DataFolder) -> None:
    folder.manifest.write_bytes(folder.manifest.read_bytes()[:20])

    assert_refused(folder, ["init"], "is damaged")


def test_keys_lost_while_the_store_is_open_are_not_made_anew(folder: DataFolder) -> None:
    with open_store(folder.root) as store:
        lose(folder, "keys")
        with pytest.raises(Exception, match="unable to open"):
            store.keys.store.owners()

    assert not folder.keys.exists()


def restored(folder: DataFolder, tmp_path: Path, *, is_old: bool) -> DataFolder:
    """Restore a backup of a store, as this version or an earlier one made it."""
    backup = tmp_path / "backup"
    with open_store(folder.root) as store:
        make_backup(store, backup)
        master_key = store.master_keys.first()
    assert master_key
    if is_old:
        found = json.loads((backup / MANIFEST).read_bytes())
        del found["store"], found["files"]["logs/incidents.db"]
        (backup / MANIFEST).write_bytes(orjson.dumps(found))
        (backup / "logs" / "incidents.db").unlink()
    restore_backup(backup, tmp_path / "again", ImportKey(master_key, is_kept=True))
    return DataFolder(tmp_path / "again")


@pytest.mark.parametrize("is_old", [False, True])
def test_a_restored_backup_knows_its_parts(
    folder: DataFolder, tmp_path: Path, *, is_old: bool
) -> None:
    again = restored(folder, tmp_path, is_old=is_old)

    parts = OLD_PARTS if is_old else PARTS
    assert json.loads(again.manifest.read_bytes()) == described(parts)
    with open_store(again.root) as store:
        assert make_owners(store).organization.number == 2
    assert json.loads(again.manifest.read_bytes()) == described(PARTS)
    lose(again, "checks")
    assert_refused(again, ["init"], "lost its part checks")


def test_a_copied_folder_is_a_store_with_the_same_parts(folder: DataFolder, tmp_path: Path) -> None:
    copy = DataFolder(shutil.copytree(folder.root, tmp_path / "copy"))

    assert run(copy, "log", "verify").exit_code == 0
    lose(copy, "keys")
    assert_refused(copy, ["init"], str(copy.keys))


TABLES: Final = {log: f"postwatch_{log}.{log}_events" for log in LOGS} | {
    "keys": "postwatch.data_keys",
    "manifest": "postwatch.manifest",
}


@pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")
@pytest.mark.parametrize("part", TABLES)
def test_a_lost_table_ends_the_start(postgres: Databases, tmp_path: Path, part: str) -> None:
    env = {"POSTWATCH_DATA": str(tmp_path / "data")}
    with postgres.migrated() as database:
        env["POSTWATCH_DATABASE_URL"] = database.url
        assert CliRunner().invoke(main, ["init"], env=env).exit_code == 0
        with psycopg.connect(database.url, autocommit=True) as connection:
            named = connection.execute("SELECT part FROM postwatch.manifest").fetchall()
            connection.execute(f"DROP TABLE {TABLES[part]}".encode())
        done = [CliRunner().invoke(main, each, env=env) for each in COMMANDS]

    assert {each for (each,) in named} == set(PARTS)
    for each in done:
        assert each.exit_code == ExitCode.STORE_UNUSABLE
        assert f"lost its part {part}" in each.stderr
        assert TABLES[part] in each.stderr
        assert "restore a backup" in each.stderr
