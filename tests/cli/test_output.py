"""What commands print: JSON in camelCase, and tables that cut nothing on a narrow terminal."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.terminal.output import camel_case, print_rows
from domain.access_token import new_token
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from store.store import Store
    from tests.places import Place


PUBLIC_ID = "01935c5e-7a4b-7c39-9d2f-0123456789ab"
ROW = {"number": 1, "public_id": PUBLIC_ID, "name": "A name of some length", "email": None}
COLUMNS = {"number": "Number", "public_id": "Public id", "name": "Name", "email": "Email"}
CAMEL_CASE = re.compile(r"[a-z]+([A-Z][a-z]*)*")


def keys_of(value: Any) -> set[str]:  # noqa: ANN401 - any JSON
    """Return the keys of all objects within a value."""
    if isinstance(value, list):
        return {key for each in value for key in keys_of(each)}
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set()


def show(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int) -> str:
    """Return what a terminal of so many columns shows of the row, twice."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_rows([ROW, ROW], COLUMNS, as_json=False)
    return capsys.readouterr().out


def test_a_wide_terminal_shows_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heading, *rows = show(capsys, monkeypatch, 100).splitlines()

    assert heading.split("  ")[0] == "Number"
    assert [row.split()[:2] for row in rows] == [["1", PUBLIC_ID]] * 2


def test_a_narrow_terminal_shows_a_block_for_each_row_and_cuts_no_id(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = show(capsys, monkeypatch, 60)

    assert max(map(len, shown.splitlines())) <= 60
    first, second = re.split(r"\n *\n", shown.rstrip())
    for block in (first, second):
        assert [line.split()[0] for line in block.splitlines()] == [
            *("Number", "Public", "Name", "Email"),
        ]
        assert PUBLIC_ID in block


def test_a_pipe_gets_a_table_however_wide(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{**ROW, "name": "n" * 500}], COLUMNS, as_json=False)

    _, line = capsys.readouterr().out.splitlines()
    assert "n" * 500 in line


@pytest.mark.parametrize(
    ("key", "name"), [("public_id", "publicId"), ("number", "number"), ("p95", "p95")]
)
def test_keys_are_camel_case(key: str, name: str) -> None:
    assert camel_case(key) == name


@pytest.mark.parametrize(
    "command",
    [
        "customer create C --json",
        "customer list --json",
        "organization create O --json",
        "organization list --json",
        "token create --name T --organization 1 --json",
        "token list --json",
        "location list --json",
        "fleet --json",
        "keys status --json",
        "projections status --json",
        "projections verify monitors --json",
        "checks segments --json",
        "log head --now --json",
        "log verify --json",
        "log public-key --json",
        "init --json",
    ],
)
def test_every_json_of_a_command_is_camel_case(place: Place, store: Store, command: str) -> None:
    store.monitoring.set_up("Organization", "Customer", new_token())
    store.monitoring.register_location("local", "Local", "DE", TESTER)

    done = CliRunner().invoke(main, command.split(), env=place.environment)

    assert done.exit_code == 0, done.output
    keys = keys_of(json.loads(done.stdout))
    assert [key for key in keys if not CAMEL_CASE.fullmatch(key)] == []
    assert keys or command == "checks segments --json"
