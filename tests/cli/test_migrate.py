"""`postwatch migrate` makes the schema; everything else refuses to work with another one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from domain.errors import StoreError
from service.errors import ExitCode
from store.keys.sealing import format_master_key, new_key
from store.ports.engine import Database
from store.postgres import schema
from store.postgres.engine import PostgresEngine
from store.store import create_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.places import Databases


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """An empty database."""
    yield postgres.server.create_database("empty")
    postgres.server.drop_database("empty")


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"POSTWATCH_DATABASE_URL": url})


def test_a_schema_is_made_once_and_only_then_there_can_be_a_store(url: str, tmp_path: Path) -> None:
    refused = run(url, "migrate", "--check")
    assert refused.exit_code == ExitCode.STORE_UNUSABLE
    assert "holds no Postwatch store yet" in refused.stderr
    assert "postwatch migrate" in refused.stderr
    with pytest.raises(StoreError, match="run `postwatch migrate` once"):
        create_store(tmp_path, database=Database(url))

    made, again = run(url, "migrate"), run(url, "migrate")

    assert made.exit_code == again.exit_code == ExitCode.OK
    assert f"schema version 0 -> {schema.NEWEST}" in made.stdout
    assert "nothing to do" in again.stdout
    assert run(url, "migrate", "--check").exit_code == ExitCode.OK
    create_store(tmp_path, database=Database(url)).close()


def test_a_schema_without_a_store_asks_for_a_first_start(url: str, tmp_path: Path) -> None:
    env = {"POSTWATCH_DATABASE_URL": url, "POSTWATCH_DATA": str(tmp_path)}
    assert run(url, "migrate").exit_code == ExitCode.OK

    refused = CliRunner().invoke(main, ["token", "list"], env=env)
    made = CliRunner().invoke(main, ["init"], env=env)
    again = CliRunner().invoke(main, ["init", "--json"], env=env)

    assert refused.exit_code == ExitCode.STORE_UNUSABLE
    assert "run `postwatch init` once" in refused.stderr
    assert made.exit_code == ExitCode.OK, made.output
    assert f"store: {Database(url).place} (created)" in made.stdout
    assert json.loads(again.stdout) == {
        "data": None,
        "database": Database(url).place,
        "created": False,
        "adminToken": None,
    }
    # Nothing else of the store is on this host.
    assert [str(each.relative_to(tmp_path)) for each in sorted(tmp_path.rglob("*"))] == [
        *("keys", "keys/master.key")
    ]


def test_a_host_that_has_the_master_key_elsewhere_keeps_nothing(url: str, tmp_path: Path) -> None:
    env = {
        "POSTWATCH_DATABASE_URL": url,
        "POSTWATCH_DATA": str(tmp_path / "data"),
        "POSTWATCH_MASTER_KEY": format_master_key(new_key()),
    }
    assert run(url, "migrate").exit_code == ExitCode.OK

    assert CliRunner().invoke(main, ["init"], env=env).exit_code == ExitCode.OK

    assert not (tmp_path / "data").exists()


def test_two_that_migrate_at_once_make_one_schema(url: str) -> None:
    def migrate() -> tuple[int, int]:
        with closing(PostgresEngine(Database(url))) as engine:
            return engine.migrate()

    with ThreadPoolExecutor(2) as pool:
        found = [future.result() for future in [pool.submit(migrate) for _ in range(2)]]

    assert sorted(found) == [(0, schema.NEWEST), (schema.NEWEST, schema.NEWEST)]


def test_an_old_schema_and_a_newer_one_are_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(url, "migrate").exit_code == ExitCode.OK

    now = schema.NEWEST
    monkeypatch.setattr(schema, "NEWEST", now + 1)
    old = run(url, "token", "list")
    monkeypatch.setattr(schema, "NEWEST", 0)
    newer = [run(url, "token", "list"), run(url, "migrate")]

    assert old.exit_code == ExitCode.STORE_UNUSABLE
    words = f"has a schema of version {now}, this Postwatch works with version {now + 1}"
    assert words in old.stderr
    for each in newer:
        assert each.exit_code == ExitCode.STORE_UNUSABLE
        assert "install the version that made it, or a newer" in each.stderr


def test_a_migration_that_fails_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (*schema.MIGRATIONS[0], "SELECT 1 FROM nowhere")
    monkeypatch.setattr(schema, "MIGRATIONS", (broken,))
    assert run(url, "migrate").exit_code == ExitCode.STORE_UNUSABLE
    monkeypatch.undo()

    assert "holds no Postwatch store yet" in run(url, "migrate", "--check").stderr
    assert run(url, "migrate").exit_code == ExitCode.OK


def test_a_role_without_rights_is_told_what_to_do(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
    as_guest = url.replace("postwatch@", "guest@")

    no_schema = run(as_guest, "migrate")
    assert run(url, "migrate").exit_code == ExitCode.OK
    no_table = run(as_guest, "token", "list")

    for each in (no_schema, no_table):
        assert each.exit_code == ExitCode.STORE_UNUSABLE
        assert "permission denied" in each.stderr
        assert "postwatch migrate" in each.stderr


def test_a_server_that_is_too_old_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "OLDEST_SERVER", 990000)

    refused = run(url, "migrate")

    assert refused.exit_code == ExitCode.STORE_UNUSABLE
    assert "Postwatch needs 99 or newer" in refused.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://watch:canary@127.0.0.1:1/mail", "does not answer"),
        ("postgresql://watch:canary@127.0.0.1/mail?canary=1", "cannot be read"),
        (
            "postgresql://watch:canary@127.0.0.1/mail?sslmode=canary",
            "cannot be reached by this URL",
        ),
    ],
)
def test_a_wrong_url_is_told_without_its_password(url: str, words: str) -> None:
    refused = run(url, "migrate")

    assert refused.exit_code == ExitCode.STORE_UNUSABLE
    assert words in refused.stderr
    assert "canary" not in refused.output


def test_files_need_no_migration() -> None:
    refused = CliRunner().invoke(main, ["migrate"])

    assert refused.exit_code == ExitCode.USAGE
    assert "POSTWATCH_DATABASE_URL" in refused.stderr
