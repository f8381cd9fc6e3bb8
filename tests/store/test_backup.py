"""A backup is of one moment, and what is restored from it is that store, or nothing."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
import pytest

from domain.errors import MasterKeyError, StoreError, TransferError
from store.files.data_folder import DataFolder
from store.files.manifest import described
from store.files.staging_folder import INCOMING
from store.keys import sealing
from store.keys.master_keys import read_key_file
from store.keys.rotation import rotate
from store.ports.engine import LOGS, PARTS
from store.sqlite.tiles import SqliteTiles
from store.store import create_store, open_store
from store.transfer.backup import MANIFEST, make_backup, restore_backup
from store.transfer.restore_log import ImportKey
from tests.domain.given import TESTER, as_created, make_owners
from tests.places import Place
from tests.store.rich_store import SECRET, Rich, fill, rows, shown
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


KEY = bytes(range(32))
GIVEN = ImportKey(KEY, is_kept=True)


@pytest.fixture
def rich(tmp_path: Path) -> Rich:
    """A store under `KEY` in tmp_path/data, with a backup of it in tmp_path/backup."""
    made = fill(Place(tmp_path / "data"), KEY)
    with open_store(tmp_path / "data", KEY) as store:
        make_backup(store, tmp_path / "backup")
    return made


def test_a_restored_store_is_the_one_that_was_copied(rich: Rich, tmp_path: Path) -> None:
    restore_backup(tmp_path / "backup", tmp_path / "again", GIVEN)

    assert rows(Place(tmp_path / "again")) == rows(Place(tmp_path / "data"))
    assert read_key_file(DataFolder(tmp_path / "again").master_key) == KEY
    with open_store(tmp_path / "data", KEY) as one, open_store(tmp_path / "again") as two:
        assert shown(one) == shown(two)
        created = as_created(two.monitoring, rich.kept)
        opened = two.monitoring.unsealed(rich.kept, "smtp", created.config)
        assert opened["auth"]["pass"] == SECRET
        assert make_owners(two).organization.number == 3


def test_a_backup_holds_no_master_key_and_no_views_unless_it_was_asked_for(
    rich: Rich, tmp_path: Path
) -> None:
    del rich
    files = {str(each.relative_to(tmp_path / "backup")) for each in files_of(tmp_path / "backup")}
    logs = {f"logs/{log}.db" for log in LOGS}
    assert files == {"backup.json", "keys/keys.db", *logs}
    assert all(each.stat().st_mode & 0o077 == 0 for each in (tmp_path / "backup").iterdir())

    with open_store(tmp_path / "data", KEY) as store:
        make_backup(store, tmp_path / "whole", with_master_key=True)
    restore_backup(tmp_path / "whole", tmp_path / "again", None)

    assert read_key_file(tmp_path / "whole" / "keys" / "master.key") == KEY
    open_store(tmp_path / "again").close()


def files_of(root: Path) -> list[Path]:
    return [each for each in root.rglob("*") if each.is_file()]


def test_trees_and_signed_heads_come_along(rich: Rich, tmp_path: Path) -> None:
    del rich
    with open_store(tmp_path / "data", KEY) as store:
        SqliteTiles(store.folder.proof / "checks.db")
        (store.folder.proof / "checks.heads").write_text("a signed head\n")
        make_backup(store, tmp_path / "second")

    restore_backup(tmp_path / "second", tmp_path / "again", GIVEN)

    found = {each.name for each in (tmp_path / "again" / "proof").iterdir()}
    assert found == {"checks.db", "checks.heads"}


def test_a_backup_made_while_others_write_is_whole_and_lacks_no_key(tmp_path: Path) -> None:
    config = {"auth": {"user": "u", "pass": SECRET}}
    stop = threading.Event()
    kept: set[UUID] = set()
    deleted: set[UUID] = set()
    acknowledged: list[tuple[set[UUID], set[UUID]]] = []
    with create_store(tmp_path / "data", KEY) as store:
        owners = make_owners(store)

        def write(_: int) -> None:
            while not stop.is_set():
                made = store.monitoring.create_monitor(owners.create(config=config), TESTER)
                if made.number % 2:
                    store.monitoring.delete_monitor(made.id, TESTER)
                    deleted.add(made.id)
                else:
                    kept.add(made.id)

        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(write, number) for number in range(2)]
            try:
                for number in range(6):
                    wait_until(lambda: len(kept) > number, what="monitors")  # noqa: B023 - called at once
                    acknowledged.append((kept.copy(), deleted.copy()))
                    make_backup(store, tmp_path / f"backup{number}")
            finally:
                stop.set()
            for writer in writers:
                writer.result(60)
    for number, (made, gone) in enumerate(acknowledged):
        restored = readable_secrets(tmp_path, number)
        assert made <= restored
        assert not gone & restored


def readable_secrets(tmp_path: Path, number: int) -> set[UUID]:
    """Restore a backup and open the secret of every monitor in it; return their ids."""
    root = tmp_path / f"again{number}"
    restore_backup(tmp_path / f"backup{number}", root, GIVEN)
    with open_store(root) as store:
        views = shown(store)["monitors.monitors"]
        for public_id, record in views:
            config = store.monitoring.unsealed(UUID(public_id), "smtp", record["config"])
            assert config["auth"]["pass"] == SECRET
    return {UUID(public_id) for public_id, _ in views}


def damage_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_manifest(path: Path, **values: object) -> None:
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **values}))


@pytest.mark.parametrize("name", ["keys/keys.db", "logs/checks.db", "logs/monitoring.db"])
@pytest.mark.parametrize("how", ["a flipped bit", "cut off", "missing"])
def test_a_damaged_backup_is_refused_and_nothing_is_touched(
    rich: Rich, tmp_path: Path, name: str, how: str
) -> None:
    del rich
    path = tmp_path / "backup" / name
    if how == "missing":
        path.unlink()
    elif how == "cut off":
        os.truncate(path, path.stat().st_size - 4096)
    else:
        damage_byte(path)

    with pytest.raises(TransferError, match=name):
        restore_backup(tmp_path / "backup", tmp_path / "again", GIVEN)

    assert not (tmp_path / "again").exists()


STORE_FILES = ("keys/keys.db", "logs/monitoring.db", "logs/checks.db")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"version": 2}, "is of version 2"),
        ({"version": "x"}, "names no version"),
        ({"format": "other"}, "no whole backup"),
        ({"files": {}}, "does not name the files of a store"),
        ({"files": {"keys/keys.db": "", "logs/monitoring.db": ""}}, "does not name the files"),
        ({"files": dict.fromkeys(STORE_FILES, "")}, "it lacks logs/incidents.db"),
        ({"files": dict.fromkeys([*STORE_FILES, "../x"], ""), "store": None}, "keys.db"),
        ({"store": described(PARTS) | {"version": 2}}, "has the format 2"),
    ],
)
def test_a_backup_with_a_wrong_description_is_refused(
    rich: Rich, tmp_path: Path, values: dict[str, object], words: str
) -> None:
    del rich
    damage_manifest(tmp_path / "backup" / MANIFEST, **values)

    with pytest.raises(TransferError, match=words):
        restore_backup(tmp_path / "backup", tmp_path / "again", GIVEN)

    assert not (tmp_path / "again").exists()


def test_no_file_is_written_outside_the_folder(rich: Rich, tmp_path: Path) -> None:
    del rich
    path = tmp_path / "backup" / MANIFEST
    for name in ("../evil", "keys/../../evil", "/evil", "views/monitors.db"):
        files = {name: "", **orjson.loads(path.read_bytes())["files"]}
        damage_manifest(path, files=files)
        with pytest.raises(TransferError, match="outside the backup"):
            restore_backup(tmp_path / "backup", tmp_path / "again", GIVEN)
        damage_manifest(path, files={key: files[key] for key in files if key != name})
    restore_backup(tmp_path / "backup", tmp_path / "again", GIVEN)


def test_a_file_that_is_whole_but_no_database_is_refused(rich: Rich, tmp_path: Path) -> None:
    del rich
    path = tmp_path / "backup" / "logs" / "checks.db"
    path.write_bytes(b"not a database" * 1000)
    manifest = tmp_path / "backup" / MANIFEST
    files = orjson.loads(manifest.read_bytes())["files"]
    damage_manifest(
        manifest, files={**files, "logs/checks.db": sha256(path.read_bytes()).hexdigest()}
    )

    with pytest.raises(TransferError, match="no whole database"):
        restore_backup(tmp_path / "backup", tmp_path / "again", GIVEN)


@pytest.mark.parametrize("given", [None, ImportKey(sealing.new_key(), is_kept=True)])
def test_a_wrong_master_key_is_refused_and_nothing_is_touched(
    rich: Rich, tmp_path: Path, given: ImportKey | None
) -> None:
    del rich
    with pytest.raises(MasterKeyError, match=sealing.fingerprint(KEY)):
        restore_backup(tmp_path / "backup", tmp_path / "again", given)

    assert not (tmp_path / "again").exists()


def test_a_backup_from_before_a_change_of_the_master_key_needs_the_old_one(
    rich: Rich, tmp_path: Path
) -> None:
    del rich
    new = sealing.new_key()
    with open_store(tmp_path / "data", KEY, new) as store:
        rotate(store.keys.store, store.master_keys)
        make_backup(store, tmp_path / "later", with_master_key=True)

    with pytest.raises(MasterKeyError):
        restore_backup(tmp_path / "backup", tmp_path / "again", ImportKey(new, is_kept=True))
    restore_backup(tmp_path / "backup", tmp_path / "again", GIVEN)
    restore_backup(tmp_path / "later", tmp_path / "new", None)

    assert read_key_file(tmp_path / "new" / "keys" / "master.key") == new


def test_neither_a_store_nor_a_backup_is_overwritten(rich: Rich, tmp_path: Path) -> None:
    del rich
    before = rows(Place(tmp_path / "data"))
    with pytest.raises(StoreError, match="is not empty"):
        restore_backup(tmp_path / "backup", tmp_path / "data", GIVEN)
    with open_store(tmp_path / "data", KEY) as store, pytest.raises(StoreError, match="not empty"):
        make_backup(store, tmp_path / "backup")
    assert rows(Place(tmp_path / "data")) == before


def test_what_a_killed_backup_left_is_no_backup_and_is_thrown_away(
    rich: Rich, tmp_path: Path
) -> None:
    del rich
    (tmp_path / "backup" / MANIFEST).unlink()
    incoming = tmp_path / "backup" / INCOMING
    incoming.mkdir()
    (incoming / ".moving").touch()
    with pytest.raises(TransferError, match="no whole backup"):
        restore_backup(tmp_path / "backup", tmp_path / "again", GIVEN)

    with open_store(tmp_path / "data", KEY) as store:
        make_backup(store, tmp_path / "backup")

    restore_backup(tmp_path / "backup", tmp_path / "again", GIVEN)
    assert not incoming.exists()
