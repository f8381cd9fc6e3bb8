"""`--help`: every command says what it does, its examples are valid, and it starts quickly."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator


_SETTING = re.compile(r"[A-Z_]+=\S*")
_EXAMPLE = re.compile(r"([A-Z_]+=\S* )*postwatch ")


def commands_of(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below a group that has no sub-commands, with its path."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from commands_of(command, *path, name)
        else:
            yield (*path, name), command


COMMANDS = dict(commands_of(main))
NAMES = [" ".join(path) for path in COMMANDS]


def examples_of(command: click.Command) -> list[list[str]]:
    """Return the words of each example: without settings before it, or what follows a pipe."""
    lines = [each.strip() for each in (command.epilog or "").splitlines()]
    found = [re.split(r" [|>] ", each)[0] for each in lines if _EXAMPLE.match(each)]
    return [[each for each in shlex.split(line) if not _SETTING.fullmatch(each)] for line in found]


@pytest.mark.parametrize("name", NAMES)
def test_a_command_says_what_it_does_and_what_each_option_means(name: str) -> None:
    command = COMMANDS[tuple(name.split())]

    shown = CliRunner().invoke(main, [*name.split(), "--help"])

    assert shown.exit_code == 0
    assert (command.help or "").split("\n\n")[0].rstrip().endswith(".")
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert [each.name for each in options if not (each.help or each.hidden)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_command_with_arguments_has_an_example(name: str) -> None:
    command = COMMANDS[tuple(name.split())]
    needs_one = [each for each in command.params if each.required]

    assert examples_of(command) or not needs_one


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_a_valid_command_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("kept.ndjson").touch()
    for words in examples_of(COMMANDS[tuple(name.split())]):
        program, *line = words
        path = tuple(name.split())

        assert program == "postwatch"
        assert tuple(line[: len(path)]) == path
        COMMANDS[path].make_context(name, line[len(path) :])


def test_the_first_page_names_every_command_in_a_section() -> None:
    shown = CliRunner().invoke(main, ["--help"]).stdout

    for name in main.list_commands(click.Context(main)):
        assert re.search(rf"^  {name}  +\S.*\.$", shown, re.MULTILINE), name
    for section in ("Run", "Inspect", "Manage", "Keep"):
        assert f"\n{section}:\n" in shown


def imported_by(code: str) -> set[str]:
    """Return the top-level modules of a fresh interpreter that ran some code."""
    code += "\nimport sys; print(*{each.partition('.')[0] for each in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("code", "unneeded"),
    [
        ("from cli.main import main; main(['--help'], standalone_mode=False)", "domain store rich"),
        ("import cli.manage.locations", "trio rich falcon gunicorn psycopg"),
        ("import cli.manage.keys, cli.inspect.log", "trio rich falcon gunicorn psycopg"),
        ("import cli.run.api, cli.run.checker", "trio rich falcon gunicorn dns psycopg"),
        ("import cli.run.projections", "trio rich falcon gunicorn psycopg"),
        ("import cli.run.up", "rich falcon gunicorn psycopg http dns"),
    ],
)
def test_a_command_starts_without_what_it_does_not_need(code: str, unneeded: str) -> None:
    assert imported_by(code) & set(unneeded.split()) == set()
