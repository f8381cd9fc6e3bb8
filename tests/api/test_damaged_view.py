"""A damaged file of a view is named by commands and logs, and answered with 503."""

from __future__ import annotations

import logging
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
    from collections.abc import Callable
    from pathlib import Path

    from tests.api.world import World
    from tests.places import Place

pytestmark = on_sqlite


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


@pytest.mark.parametrize("how", [garbage, cut])
@pytest.mark.parametrize("name", ["monitors", "checks", "history", "roll_ups"])
def test_a_command_names_the_damaged_file(
    fresh_world: World, place: Place, name: str, how: Callable[[Path], None]
) -> None:
    fresh_world.monitor()
    fresh_world.views.close()
    path = DataFolder(place.root).views / f"{name}.db"
    damage(path, how)

    with pytest.raises(ViewDamagedError) as raised, Views(fresh_world.store):
        pass
    assert raised.value.path == path

    done = CliRunner().invoke(main, ["projections", "status"], env=place.environment)
    assert done.exit_code == ExitCode.STORE_UNUSABLE
    assert f"{path} is damaged" in done.output + done.stderr


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


def test_a_deleted_file_is_made_again(fresh_world: World, place: Place) -> None:
    monitor = fresh_world.monitor()
    fresh_world.views.close()
    path = DataFolder(place.root).views / "monitors.db"
    damage(path, garbage)
    path.unlink()

    with Views(fresh_world.store) as views:
        views.projector("monitors").catch_up()
        assert views.reader.monitor(monitor.kind, str(monitor.id))
