"""Processes are killed under load, once each; `make soak` kills hundreds.

The parts of a service are killed in `tests/system/test_crashes.py`, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from soak.kills import add_old_checks, play_kills
from soak.smtp_server import smtp_server
from tests.system.service import Service

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.thorough, pytest.mark.system, pytest.mark.timeout(300)]

SORTS = ("worker", "rotate", "rebuild", "archive", "backup", "up")


def test_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    with (
        smtp_server() as port,
        Service(tmp_path / "data", POSTWATCH_ARCHIVE_AFTER="never") as service,
    ):
        add_old_checks(service, 2000)
        loop, judged = play_kills(
            service,
            port,
            tmp_path,
            rounds=lambda _, loop: () if loop.kills else SORTS,
            seed=1,
        )

    assert loop.kills == dict.fromkeys(SORTS, 1)
    assert loop.clients.ledger.acknowledged > len(SORTS)
    assert judged.checks > 2000
