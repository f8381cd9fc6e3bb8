"""What commands print: JSON in camelCase, and tables that cut nothing on a narrow terminal."""

from __future__ import annotations

import json
import logging
import re
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.terminal import output
from cli.terminal.output import camel_case, print_json, print_line, print_rows
from domain.access_token import new_token
from service.errors import CommandError, ExitCode, exit_on_failure
from service.logging import TextFormatter
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from store.store import Store
    from tests.places import Place


PUBLIC_ID = "01935c5e-7a4b-7c39-9d2f-0123456789ab"
ROW = {"number": 1, "public_id": PUBLIC_ID, "name": "A name of some length", "email": None}
COLUMNS = {"number": "Number", "public_id": "Public id", "name": "Name", "email": "Email"}
PRINTS = re.compile(r"^\s*((?:print|click\.echo)\(\s*\w+)", re.MULTILINE)
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
    monkeypatch.setenv("LINES", "25")
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


HOSTILE = "a\x1b]0;title\x07b\x9bc\u202ed\ne\x7f"
SHOWN = r"a\u001b]0;title\u0007b\u009bc\u202ed\u000ae\u007f"


@pytest.mark.parametrize("width", [200, 20])
def test_a_table_shows_what_controls_a_terminal_as_escapes(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "25")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    print_rows([{"name": HOSTILE}], {"name": "Name"}, as_json=False)

    shown = capsys.readouterr().out
    assert SHOWN in shown.replace("\n", "").replace(" ", "")
    assert not set(shown) & set(HOSTILE.replace("\n", "")) - set(string.printable[:95])


def test_brackets_in_a_name_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"name": "[red]x[/red] [link=http://x]y[/link]"}], {"name": "Name"}, as_json=False)

    assert "[red]x[/red] [link=http://x]y[/link]" in capsys.readouterr().out


def test_json_escapes_the_same_characters_and_keeps_the_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_json({"name": HOSTILE})

    shown = capsys.readouterr().out
    assert set(shown) <= set(string.printable)
    assert json.loads(shown) == {"name": HOSTILE}


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(f"customer 1 {HOSTILE}")
    print_line(f"customer 2 {HOSTILE}", error=True)

    printed = capsys.readouterr()
    assert printed.out == f"customer 1 {SHOWN}\n"
    assert printed.err == f"customer 2 {SHOWN}\n"


def test_only_one_place_of_the_command_line_prints() -> None:
    """Every `print` elsewhere is of text that is ours alone."""
    ours = {
        "cli/demo/command.py": ["print(next_steps"],
        "cli/demo/server_process.py": ["print(orjson"],
        "cli/inspect/log.py": ["print(key"],
        "cli/run/up.py": ["print(\n        f"],
    }
    folder = Path(output.__file__).parents[1]
    found = {
        f"cli/{path.relative_to(folder)}": printed
        for path in sorted(folder.rglob("*.py"))
        if path.name != "output.py" and (printed := PRINTS.findall(path.read_text()))
    }
    assert found == ours


def test_the_text_of_log_lines_and_of_failures_controls_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = logging.LogRecord("postwatch", logging.INFO, "", 0, "name %s", (HOSTILE,), None)
    assert TextFormatter("%(message)s").format(record) == f"name {SHOWN}"

    with pytest.raises(SystemExit), exit_on_failure():
        raise CommandError(ExitCode.FAILED, HOSTILE)
    assert capsys.readouterr().err == f"postwatch: {SHOWN}\n"
