"""The operator's commands on a store, without a service running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from domain.access_token import token_hash
from store.store import open_store
from tests.system.service import CLEAN, ROOT, postwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess


pytestmark = pytest.mark.system

FULL = Path("/dev/full")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def run(data: Path) -> Callable[..., CompletedProcess[str]]:
    """Return a function that runs `postwatch` on a store that was just made."""

    def call(*arguments: str) -> CompletedProcess[str]:
        return postwatch(*arguments, env={"POSTWATCH_DATA": str(data)})

    assert call("init").returncode == 0
    return call


def test_init_shows_a_token_once(data: Path, run: Callable[..., CompletedProcess[str]]) -> None:
    again = json.loads(run("init", "--json").stdout)
    assert again == {
        "data": str(data),
        "database": None,
        "created": False,
        "adminToken": None,
    }


def test_a_token_that_the_operator_chose_is_used_and_never_printed(tmp_path: Path) -> None:
    chosen = "wsm_canary-9d41c07be6f2583a7d90e1c4b85f36a2"
    env = {"POSTWATCH_DATA": str(tmp_path / "data"), "POSTWATCH_ADMIN_TOKEN": chosen}
    result = postwatch("init", env=env)
    assert result.returncode == 0
    assert chosen not in result.stdout + result.stderr
    with open_store(tmp_path / "data") as store:
        states = [each.state for each in store.monitoring.recorder.select_notifications(0, 100)]
    assert any(token_hash(chosen).encode() in state for state in states)


def test_organizations_customers_and_tokens_are_made_and_listed(
    run: Callable[..., CompletedProcess[str]],
) -> None:
    assert json.loads(run("organization", "create", "Second", "--json").stdout)["number"] == 2
    made = run("customer", "create", "Ours", "--organization", "2", "--email", "a@b.example")
    assert made.stdout.startswith("customer 2 (")
    token = json.loads(run("token", "create", "--name", "T", "--customer", "2", "--json").stdout)
    assert token["token"].startswith("wsm_")

    customers = json.loads(run("customer", "list", "--json").stdout)
    assert [(each["number"], each["organization"]) for each in customers] == [(1, 1), (2, 2)]
    organizations = json.loads(run("organization", "list", "--json").stdout)
    assert [each["name"] for each in organizations] == ["My organization", "Second"]
    listed = json.loads(run("token", "list", "--json").stdout)[1]
    assert (listed["organization"], listed["customer"], listed["role"]) == (2, 2, "user")
    assert token["token"] not in run("token", "list").stdout


@pytest.mark.quick_cases(3)
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["customer", "create", ""], 2, "NAME must not be empty"),
        (["customer", "create", "x", "--email", "nobody"], 2, "--email must be"),
        (["organization", "create", " "], 2, "NAME must not be empty"),
        (["token", "create", "--name", ""], 2, "--name must not be empty"),
        (["token", "create", "--name", "x", "--customer", "9"], 1, "postwatch customer list"),
        (["token", "create", "--name", "x", "--organization", "9"], 1, "organization list"),
        (["token", "revoke", "9"], 1, "postwatch token list"),
        (["history", "nonsense"], 2, "not a public id"),
        (["history", "00000000-0000-4000-8000-000000000000"], 1, "no monitor"),
        (["replay"], 2, "--as-of"),
        (["replay", "--as-of", "yesterday"], 2, "--as-of must be a time in ISO 8601"),
        (["replay", "--as-of", "999999"], 2, "--as-of lies beyond the head of the log"),
        (["replay", "--as-of", "2999-01-01T00:00:00Z"], 2, "--as-of lies in the future"),
        (["nonsense"], 2, "No such command"),
        (["projections", "rebuild", "nonsense"], 2, "nonsense"),
    ],
)
def test_a_wrong_argument_is_named(
    run: Callable[..., CompletedProcess[str]], arguments: list[str], code: int, words: str
) -> None:
    result = run(*arguments)
    assert result.returncode == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_which_organization_is_asked_when_there_are_several(
    run: Callable[..., CompletedProcess[str]],
) -> None:
    run("organization", "create", "Second")
    result = run("customer", "create", "Ours")
    assert result.returncode == 1
    assert "--organization" in result.stderr


@pytest.mark.quick_cases(1)
@pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")
@pytest.mark.parametrize(
    ("arguments", "what"),
    [(("replay", "--as-of", "3"), "configuration"), (("log", "export"), "export")],
)
def test_output_that_is_cut_off_is_said_in_one_line(
    data: Path, run: Callable[..., CompletedProcess[str]], arguments: tuple[str, ...], what: str
) -> None:
    assert run("token", "list").returncode == 0
    with FULL.open("w") as output:
        result = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=ROOT,
            env={**CLEAN, "POSTWATCH_DATA": str(data)},
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    *_, line = result.stderr.splitlines()
    assert line == (
        "postwatch: cannot write to the standard output: No space left on device; "
        f"the {what} is incomplete"
    )
    assert "Traceback" not in result.stderr


def test_a_damaged_log_is_said_in_one_line(
    data: Path, run: Callable[..., CompletedProcess[str]]
) -> None:
    (data / "logs" / "monitoring.db").write_bytes(b"not a database" * 1000)
    result = run("token", "list")
    assert result.returncode == 3
    assert len(result.stderr.splitlines()) == 1
