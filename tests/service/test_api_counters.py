"""Where workers share their counts: in memory where that is safe, else in the data folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from service.api_server import make_counters_folder
from store.files.data_folder import DataFolder

if TYPE_CHECKING:
    from pathlib import Path


NAME = "PROMETHEUS_MULTIPROC_DIR"


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the system's shared memory."""
    path = tmp_path / "memory"
    path.mkdir()
    monkeypatch.setenv(NAME, "")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """An empty data folder."""
    made = DataFolder(tmp_path / "data")
    made.create()
    return made


def test_counts_lie_in_memory_and_begin_anew(memory: Path, folder: DataFolder) -> None:
    make_counters_folder(folder, memory)
    (path,) = memory.iterdir()
    assert os.environ[NAME] == str(path)
    assert path.stat().st_mode & 0o777 == 0o700
    (path / "counter_1.db").touch()

    make_counters_folder(folder, memory)

    assert os.environ[NAME] == str(path)
    assert list(path.iterdir()) == []
    assert not folder.metrics.exists()


def test_two_data_folders_share_nothing(memory: Path, folder: DataFolder, tmp_path: Path) -> None:
    make_counters_folder(folder, memory)
    make_counters_folder(DataFolder(tmp_path / "other"), memory)

    assert len(list(memory.iterdir())) == 2


def test_a_link_of_another_program_is_not_followed(
    memory: Path, folder: DataFolder, tmp_path: Path
) -> None:
    make_counters_folder(folder, memory)
    (path,) = memory.iterdir()
    path.rmdir()
    (tmp_path / "elsewhere").mkdir()
    path.symlink_to(tmp_path / "elsewhere")

    make_counters_folder(folder, memory)

    assert os.environ[NAME] == str(folder.metrics)
    assert path.is_symlink()


def test_without_shared_memory_the_data_folder_serves(memory: Path, folder: DataFolder) -> None:
    memory.rmdir()

    make_counters_folder(folder, memory)

    assert os.environ[NAME] == str(folder.metrics)
    assert folder.metrics.is_dir()
