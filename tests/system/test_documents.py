"""What README and docs show is run here: every `sh` block, in order, in one shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from eventsourcing.utils import get_topic

from cli.main import main
from domain.check import Category
from domain.resource_commands import RESOURCES
from service.errors import ExitCode
from tests.system.service import ROOT

if TYPE_CHECKING:
    from tests.system.service import Service


DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
_CODE_PATH = re.compile(r"`([a-z_]+/[\w./-]*)`")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


ON_POSTGRES = "docs/postgresql.md"
"""Needs a server, and is followed by tests/system/test_moving.py."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def blocks_of(name: str) -> list[str]:
    """Return the shell examples of a document."""
    return _BLOCK.findall(text_of(name))


EVERY_NAME = [str(document.relative_to(ROOT)) for document in DOCUMENTS]


@pytest.mark.quick_cases(1)
@pytest.mark.system
@pytest.mark.parametrize("names", [["README.md"], EVERY_NAME], ids=["README", "all"])
def test_every_shell_example_of_the_documents_works(service: Service, names: list[str]) -> None:
    blocks = [block for name in names if name != ON_POSTGRES for block in blocks_of(name)]
    assert len(blocks) > 3
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=service.data.parent,
        env={
            **os.environ,
            **service.env,
            "API": f"http://127.0.0.1:{service.port}",
            "TOKEN": service.token,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_path_of_the_code_is_there(name: str) -> None:
    named = _CODE_PATH.findall(text_of(name))
    assert [each for each in named if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target, place in _LINK.findall(document.read_text()):
        there = document.parent / target if target else document
        assert there.exists(), target
        assert not place or place in _places(there), f"{target}#{place}"


def test_every_test_that_is_said_to_hold_a_limit_is_there() -> None:
    named = _TEST.findall(text_of("docs/security.md"))
    assert len(named) > 40
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(rf"^ *(async )?def {test}\(", text_of(file), re.MULTILINE)
    ]
    assert missing == []


def _places(document: Path) -> set[str]:
    """Return what links may name within a document: its headings, as they are shown."""
    headings = _HEADING.findall(document.read_text())
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_the_readme_names_real_make_targets() -> None:
    targets = set(
        re.findall(r"\bmake ([a-z-]+)\b", text_of("README.md") + text_of("CONTRIBUTING.md"))
    )
    defined = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    assert targets <= defined
    assert {"run", "test", "demo"} <= targets


def test_every_command_is_documented() -> None:
    documents = text_of("README.md") + text_of("docs/operations.md") + text_of("CHANGELOG.md")
    for command in main.list_commands(None):  # type: ignore[arg-type] # needs no context
        assert f"`{command}`" in documents or f"postwatch {command}" in documents, command


def test_every_exit_code_and_setting_is_documented() -> None:
    operations = text_of("docs/operations.md")
    for code in ExitCode:
        assert f"| {code.value} | " in operations
    for setting in set(re.findall(r'"(POSTWATCH_[A-Z_]+)"', text_of("service/settings.py"))):
        assert setting in operations, setting


def test_every_category_and_event_is_in_the_catalogue() -> None:
    catalogue, explained = text_of("docs/events.md"), text_of("docs/checks.md")
    for category in Category:
        assert f"`{category.value}`" in catalogue, category
        # `postwatch check` of a server that is down names this heading.
        assert category is Category.OK or f"\n### `{category.value}`\n" in explained, category
    topics = {
        topic
        for path in (ROOT / "domain").rglob("*.py")
        for topic in re.findall(r'^ +TOPIC = "(\w+)"', path.read_text(), re.MULTILINE)
    }
    aggregates = {"Organization", "Customer", "AccessToken", "Monitor", "MonitoringLocation"}
    aggregates |= {"Incident", "Notification", "MonitorTags"}
    aggregates |= {get_topic(each) for each in RESOURCES.values()}
    bases = {topic for topic in topics if topic.endswith("Event") or topic.startswith("Resource")}
    for topic in topics - bases - aggregates:
        assert f"`{topic}`" in catalogue, topic


def test_every_dependency_has_its_reason() -> None:
    reasons = text_of("docs/dependencies.md")
    listed = re.findall(r'^    "([a-z][a-z0-9-]+)[>=]', text_of("pyproject.toml"), re.MULTILINE)
    assert len(listed) > 15
    for name in listed:
        assert name.removeprefix("types-") in reasons, name


def test_lock_files_bear_hashes_and_no_address() -> None:
    for path in ROOT.glob("requirements*.lock"):
        text = path.read_text()
        assert "://" not in text
        pinned = re.findall(r"^[a-z0-9][^ ]*==", text, re.MULTILINE)
        assert len(pinned) > 15
        assert text.count("--hash=sha256:") >= len(pinned)
