"""Some power cuts; `make soak` makes thousands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from soak.disk_trace import can_trace
from soak.power_cut import cut_power, record_writer

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [
    pytest.mark.thorough,
    pytest.mark.system,
    pytest.mark.tracer,
    pytest.mark.timeout(300),
]


@pytest.mark.skipif(not can_trace(), reason="system calls cannot be recorded here (strace)")
def test_what_was_acknowledged_survives_a_power_cut(tmp_path: Path) -> None:
    recorded = record_writer(tmp_path, rounds=5)

    done = cut_power(recorded, tmp_path, every=101, seed=7)

    assert done.acknowledged >= 15
    assert done.cuts >= 10
