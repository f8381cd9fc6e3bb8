"""Opening a data folder: what is made, what is refused, and what the refusal says."""

from __future__ import annotations

import shutil
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from domain.errors import MasterKeyError, StoreError
from projections.catalog import Views
from store.files.data_folder import DataFolder
from store.keys.sealing import new_key
from store.sqlite.parts import is_begun
from store.store import create_store, open_store
from tests.domain.given import TESTER, make_owners

if TYPE_CHECKING:
    from pathlib import Path

    from tests.places import Place


def test_a_store_is_made_with_a_master_key_of_its_own(tmp_path: Path) -> None:
    with create_store(tmp_path / "a" / "b") as store:
        assert store.folder.manifest.exists()
        assert store.folder.master_key.exists()
    assert not is_begun(DataFolder(tmp_path / "elsewhere"))


def test_a_store_made_with_a_given_master_key_keeps_none(place: Place) -> None:
    key = new_key()

    with place.create(key) as store:
        assert not store.folder.master_key.exists()
    with place.open(key) as store:
        assert store.folder.root == place.root


def test_opening_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no Postwatch store in"):
        open_store(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_copy_without_what_can_be_thrown_away_is_opened(tmp_path: Path) -> None:
    with create_store(tmp_path) as store:
        make_owners(store)
    for folder in (DataFolder(tmp_path).views, DataFolder(tmp_path).locks):
        shutil.rmtree(folder)

    with open_store(tmp_path) as store, Views(store) as views:
        views.projector("monitors").rebuild(lambda *_: None)
        assert [each["number"] for each in views.reader.organizations()] == [1]


def test_another_master_key_is_refused_by_create_and_open(place: Place) -> None:
    place.create().close()

    for use in (place.create, place.open):
        with pytest.raises(MasterKeyError, match="are wrapped by master key"):
            use(new_key())


def test_a_lost_master_key_is_named_and_not_made_anew(place: Place) -> None:
    place.create().close()
    key_file = DataFolder(place.root).master_key
    key_file.unlink()

    for use in (place.create, place.open):
        with pytest.raises(MasterKeyError, match="is not there and"):
            use()
    assert not key_file.exists()


@pytest.mark.parametrize("text", ["", "x", b64encode(b"short").decode()])
def test_a_damaged_master_key_file_is_refused(tmp_path: Path, text: str) -> None:
    create_store(tmp_path).close()
    DataFolder(tmp_path).master_key.write_text(text)

    with pytest.raises(MasterKeyError, match="the master key must be"):
        open_store(tmp_path)


def test_a_master_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    create_store(tmp_path).close()
    key_file = DataFolder(tmp_path).master_key
    key_file.unlink()
    key_file.mkdir()

    with pytest.raises(StoreError, match="cannot read"):
        open_store(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_store_error_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="choose another one with POSTWATCH_DATA"):
        create_store(tmp_path / "file" / "data")


def test_two_processes_may_hold_one_store(place: Place) -> None:
    with place.create() as one, place.open() as two:
        first = make_owners(one)
        second = make_owners(two)

        assert (first.organization.number, second.organization.number) == (1, 2)
        assert one.monitoring.create_monitor(second.create(), TESTER).number == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_a_master_key_that_other_accounts_can_read_or_change_is_refused(
    tmp_path: Path, mode: int
) -> None:
    create_store(tmp_path).close()
    key_file = DataFolder(tmp_path).master_key
    key_file.chmod(mode)

    with pytest.raises(StoreError, match=f"master.key has mode {mode:04o}.*chmod 600"):
        open_store(tmp_path)
    key_file.chmod(0o400)
    open_store(tmp_path).close()
