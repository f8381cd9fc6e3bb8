"""`postwatch backup` and `restore` of a store that is not in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import main
from service.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path


URL = "postgresql://watch:canary@db.example.com:5433/mail"


@pytest.mark.parametrize(("command", "tool"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_a_database_is_left_to_its_own_tools(tmp_path: Path, command: str, tool: str) -> None:
    env = {"POSTWATCH_DATA": str(tmp_path / "data"), "POSTWATCH_DATABASE_URL": URL}

    done = CliRunner().invoke(main, [command, str(tmp_path / "copy")], env=env)

    assert done.exit_code == ExitCode.USAGE
    (line,) = done.stderr.splitlines()
    assert "db.example.com:5433/mail" in line
    assert tool in line
    assert "docs/postgresql.md" in line
    assert "canary" not in line
    assert list(tmp_path.iterdir()) == []
