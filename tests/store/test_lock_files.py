"""Lock files: they name their holder and end with it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from store.files.file_locks import held, holder_of
from store.ports.locks import LockHeldError, LockHolder

if TYPE_CHECKING:
    from pathlib import Path


HOLD = """
import sys
from pathlib import Path
from store.files.file_locks import held

with held(Path(sys.argv[1]), "part"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "part.lock"
    assert holder_of(path) is None
    with held(path, "part"):
        holder = holder_of(path)
        assert holder is not None
        assert holder.pid == os.getpid()
        with (
            pytest.raises(LockHeldError, match=f"held by process {os.getpid()} since 20"),
            held(path, "x"),
        ):
            pass
        assert holder_of(path) == holder
    assert holder_of(path) is None


def test_a_killed_holder_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "part.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        holder = holder_of(path)
        assert holder is not None
        assert holder.pid == process.pid
        process.kill()
    with held(path, "part"):
        pass


def test_a_waiting_process_gets_the_lock_when_the_holder_ends(tmp_path: Path) -> None:
    path = tmp_path / "part.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        process.stdin.close()
        with held(path, "part", wait_seconds=20):
            pass


def test_a_holder_that_has_not_written_its_name_yet(tmp_path: Path) -> None:
    path = tmp_path / "part.lock"
    with held(path, "part"):
        path.write_bytes(b"")
        assert holder_of(path) == LockHolder(None, None)
        with pytest.raises(LockHeldError, match="just starting"), held(path, "x"):
            pass
