"""`postwatch keys rotate` where one host or many share a store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from click.testing import CliRunner

from cli.main import main
from service.errors import ExitCode
from store.files.data_folder import DataFolder
from store.keys.sealing import fingerprint, format_master_key, new_key

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.places import Place


def rotate(place: Place, **env: str) -> Result:
    return CliRunner().invoke(main, ["keys", "rotate"], env={**place.environment, **env})


@pytest.mark.parametrize("given", [True, False])
def test_a_made_key_is_for_a_store_of_one_host(place: Place, *, given: bool) -> None:
    key = new_key()
    place.create(key if given else None).close()
    env = {"POSTWATCH_MASTER_KEY": format_master_key(key)} if given else {}

    done = rotate(place, **env)

    if place.database is None and not given:
        assert done.exit_code == 0, done.output
        return
    assert done.exit_code == ExitCode.FAILED
    assert "POSTWATCH_NEW_MASTER_KEY" in done.stderr
    if place.database is not None:
        file = str(DataFolder(place.root).master_key)
        assert (file in done.stderr) != given
        assert "every host" in done.stderr
    assert format_master_key(key) not in done.output
    place.open(key if given else None).close()


def test_a_key_that_every_host_was_told_is_changed_to(place: Place) -> None:
    old, new = new_key(), new_key()
    with place.create(old, new) as another_host:
        sealed = another_host.keys.seal(owner := uuid4(), "secret")

        done = rotate(
            place,
            POSTWATCH_MASTER_KEY=format_master_key(old),
            POSTWATCH_NEW_MASTER_KEY=format_master_key(new),
        )

        assert done.exit_code == 0, done.output
        assert fingerprint(new) in done.stdout
        assert another_host.keys.unseal(owner, sealed) == "secret"
    with place.open(new) as store:
        assert store.keys.unseal(owner, sealed) == "secret"


def test_a_key_in_the_folder_of_one_host_is_changed_to_one_that_all_are_told(place: Place) -> None:
    new = new_key()
    with place.create() as store:
        sealed = store.keys.seal(owner := uuid4(), "secret")

    done = rotate(place, POSTWATCH_NEW_MASTER_KEY=format_master_key(new))

    assert done.exit_code == 0, done.output
    assert "put it away or remove it" in done.stderr
    with place.open(new) as store:
        assert store.keys.unseal(owner, sealed) == "secret"


@pytest.mark.parametrize("command", ["init", "keys status"])
def test_a_key_that_other_hosts_lack_is_told(place: Place, command: str) -> None:
    place.create().close()

    done = CliRunner().invoke(main, command.split(), env=place.environment)

    assert done.exit_code == 0, done.output
    is_told = "on this host only" in done.stderr
    assert is_told == (place.database is not None)


def test_a_new_key_goes_through_no_file_or_link_of_a_name_that_can_be_guessed(
    tmp_path: Path,
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (tmp_path / f"new.key.{os.getpid()}").symlink_to(victim)

    done = CliRunner().invoke(main, ["keys", "new", str(tmp_path / "new.key")])

    assert done.exit_code == 0, done.output
    assert victim.read_text() == "as it was"
    assert (tmp_path / "new.key").stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 3


def test_an_export_writes_to_no_file_or_link_that_is_there(place: Place, tmp_path: Path) -> None:
    key = new_key()
    place.create(key).close()
    env = {**place.environment, "POSTWATCH_MASTER_KEY": format_master_key(key)}
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    partial = tmp_path / "out.jsonl.partial"
    partial.symlink_to(victim)
    command = ["log", "export", str(tmp_path / "out.jsonl")]

    done = CliRunner().invoke(main, command, env=env)

    assert done.exit_code == ExitCode.FAILED
    assert f"{partial} exists" in done.stderr
    assert victim.read_text() == "as it was"
    partial.unlink()
    assert CliRunner().invoke(main, command, env=env).exit_code == 0
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == 0o600


def test_the_files_of_a_store_are_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        env = {"POSTWATCH_DATA": str(tmp_path / "data")}
        done = CliRunner().invoke(main, ["init"], env=env)
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)

    assert done.exit_code == 0, done.output
    files = list((tmp_path / "data").rglob("*"))
    assert {each.suffix for each in files} >= {".db", ".key"}
    assert not [each for each in files if each.stat().st_mode & 0o077]
    (tmp_path / "data").chmod(0o755)
    warned = CliRunner().invoke(main, ["token", "list"], env=env)
    assert warned.exit_code == 0
