"""`postwatch keys rotate` where one host or many share a store."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from click.testing import CliRunner

from cli.main import main
from service.errors import ExitCode
from store.files.data_folder import DataFolder
from store.keys.sealing import fingerprint, format_master_key, new_key

if TYPE_CHECKING:
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
