"""A primary is killed under load, once; `make soak` does so again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from soak.failover import play_failovers
from soak.smtp_server import smtp_server
from tests.places import POSTGRES
from tests.postgres_pair import postgres_pair

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.thorough, pytest.mark.system, *POSTGRES.marks, pytest.mark.timeout(180)]


def test_a_failover_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    with postgres_pair() as pair, smtp_server() as port:
        found = play_failovers(pair, tmp_path, port, lambda so_far: bool(so_far.outages))

    assert found.judged is not None
    assert found.judged.checks > 0
    assert found.ledger.acknowledged > 40
    assert found.outages[0] < 40
