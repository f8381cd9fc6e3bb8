"""A damaged file of a view is named by commands and logs, and answered with 503."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import main
from projections.catalog import Views
from projections.storage.view_connection import ViewDamagedError
from service.errors import ExitCode
from store.files.data_folder import DataFolder
from tests.api.world import path_of
from tests.places import on_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.api.world import World
    from tests.places import Place

pytestmark = on_sqlite

NAMES = ["monitors", "checks", "history", "roll_ups"]


def garbage(path: Path) -> None:
    """Overwrite a file, as a stray program does."""
    path.write_bytes(b"not a database, " * 4096)


def cut(path: Path) -> None:
    """Cut off the end of a file."""
    path.write_bytes(path.read_bytes()[:6000])


def damage(path: Path, how: Callable[[Path], None]) -> None:
    """Damage a file, and remove what SQLite would repair it from."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    how(path)


@contextmanager
def opened_elsewhere(path: Path) -> Iterator[None]:
    """Let another process have the file open."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('SELECT * FROM sides').fetchall(); print('open', flush=True); input()"
    )
    with Popen(
        [sys.executable, "-c", program, str(path)], stdin=PIPE, stdout=PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        yield
        other.communicate("\n", timeout=30)


@pytest.mark.parametrize("how", [garbage, cut])
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_set_aside_and_made_again(
    fresh_world: World, place: Place, name: str, how: Callable[[Path], None]
) -> None:
    monitor = fresh_world.monitor()
    fresh_world.views.close()
    fresh_world.store.close()
    path = DataFolder(place.root).views / f"{name}.db"
    damage(path, how)
    damaged = path.read_bytes()

    with place.open() as store, Views(store) as views:
        for projector in views.projectors.values():
            projector.catch_up()
            assert projector.lag() == 0
        assert views.reader.monitor(monitor.kind, str(monitor.id))

    (aside,) = path.parent.glob("*.damaged-*")
    assert aside.name.startswith(f"{name}.db.damaged-")
    assert aside.read_bytes() == damaged


def test_two_damaged_files_of_a_view_are_kept(fresh_world: World, place: Place) -> None:
    fresh_world.views.close()
    path = DataFolder(place.root).views / "history.db"
    for number in range(4):
        damage(path, garbage)
        with path.open("ab") as file:
            file.write(str(number).encode())
        Views(fresh_world.store).close()

    kept = sorted(path.parent.glob("history.db.damaged-*"))
    assert [each.read_bytes()[-1:] for each in kept] == [b"2", b"3"]


def test_processes_that_start_together_set_it_aside_once(fresh_world: World, place: Place) -> None:
    fresh_world.views.close()
    path = DataFolder(place.root).views / "monitors.db"
    damage(path, garbage)
    command = [sys.executable, "-m", "cli.main", "projections", "status"]
    together = [
        Popen(command, env={**os.environ, **place.environment}, stdout=PIPE, stderr=PIPE)
        for _ in range(3)
    ]
    said = [each.communicate(timeout=60) for each in together]

    assert [each.returncode for each in together] == [ExitCode.OK] * 3, said
    assert len(list(path.parent.glob("*.damaged-*"))) == 1


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_another_process_has_open_stays_and_commands_name_it(
    fresh_world: World, place: Place, name: str
) -> None:
    fresh_world.views.close()
    path = DataFolder(place.root).views / f"{name}.db"
    with opened_elsewhere(path):
        garbage(path)
        with pytest.raises(ViewDamagedError) as raised, Views(fresh_world.store):
            pass
        assert raised.value.path == path

        done = CliRunner().invoke(main, ["projections", "status"], env=place.environment)
        assert done.exit_code == ExitCode.STORE_UNUSABLE
        assert f"{path} is damaged" in done.output + done.stderr
        assert not list(path.parent.glob("*.damaged-*"))

    with Views(fresh_world.store) as views:
        assert views.projector(name).is_current()


def test_what_is_damaged_while_the_service_runs_is_answered_with_503(
    fresh_world: World, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = fresh_world.monitor()
    url = f"{path_of(monitor)}/history"
    assert fresh_world.admin.get(url).status_code == 200
    fresh_world.views.close()
    path = DataFolder(place.root).views / "history.db"
    damage(path, garbage)

    with caplog.at_level(logging.ERROR, logger="postwatch.api"):
        answer = fresh_world.admin.get(url)

    assert answer.status_code == 503
    assert "is damaged" in answer.json["message"]
    assert str(path) not in answer.text, "no path of the host"
    assert answer.headers["retry-after"]
    assert any(f"{path} is damaged" in each for each in caplog.messages)
    assert fresh_world.admin.get(path_of(monitor)).status_code == 200, "another view"
