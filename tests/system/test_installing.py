"""The wheel: what is in it, and that it runs where only it is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.system.service import ROOT

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.system

PIP: Final = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def packages(project: dict[str, Any]) -> list[str]:
    """The packages that the configuration of the wheel lists."""
    found: list[str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    built = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*built, "--wheel-dir", folder, ROOT], check=True, capture_output=True)
    (file,) = folder.glob("postwatch-*.whl")
    return file


def test_the_wheel_holds_every_room_and_the_documents(wheel: Path, packages: list[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert set(packages) == rooms - {"tests", "soak", "benchmarks"}
    for name in packages:
        assert {f"{name}/__init__.py", f"{name}/py.typed"} <= set(names)
    for document in (ROOT / "docs").glob("*.md"):
        assert any(name.endswith(f"/share/doc/postwatch/docs/{document.name}") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "soak/", "benchmarks/"))]


@pytest.mark.parametrize("command", [["-m", "postwatch"], ["-m", "cli.main"]], ids=" ".join)
def test_the_wheel_runs_where_nothing_else_of_postwatch_is(
    wheel: Path, tmp_path: Path, project: dict[str, Any], command: list[str]
) -> None:
    target = tmp_path / "installed"
    subprocess.run(
        [*PIP, "install", "--no-deps", "--no-index", "--target", target, wheel], check=True
    )
    path = f"{target}{os.pathsep}{sysconfig.get_path('purelib')}"

    # -S leaves out the .pth file of an editable installation.
    done = subprocess.run(
        [sys.executable, "-S", *command, "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout == f"postwatch, version {project['project']['version']}\n"
    assert (target / "share/doc/postwatch/docs/operations.md").is_file()


def test_the_readme_and_the_metadata_name_the_same_pythons(project: dict[str, Any]) -> None:
    prefix = "Programming Language :: Python :: 3."
    named = [each for each in project["project"]["classifiers"] if each.startswith(prefix)]
    sentence = re.search(
        r"machine with Python ([^a-z]*(?:or [\d.]+)?)", (ROOT / "README.md").read_text()
    )

    assert len(named) >= 3
    assert sentence is not None
    assert [f"3.{each.removeprefix(prefix)}" for each in named] == re.findall(
        r"3\.\d+", sentence[1]
    )
