"""Archiving is killed at each of its steps once; `make soak ARGS=archive` does it for minutes."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from soak.archive_kills import MOMENTS, play_archive_kills
from soak.killed_archiver import SEGMENT
from tests.system.service import Service

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.thorough, pytest.mark.system, pytest.mark.timeout(300)]


def test_archiving_killed_at_any_step_loses_no_check(tmp_path: Path) -> None:
    with Service(tmp_path / "data", POSTWATCH_ARCHIVE_AFTER="never") as service:
        random = Random(1)  # noqa: S311 - chance, no secret
        played = play_archive_kills(service, random, lambda found: bool(found.kills))

        assert played.kills.total() + played.survived == len(MOMENTS)
        assert played.kills.total() > len(MOMENTS) / 2
        assert played.checks >= len(MOMENTS) * SEGMENT
        assert played.archived >= len(MOMENTS) * SEGMENT
        assert service.run("projections", "verify").returncode == 0
