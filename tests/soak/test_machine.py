"""The machine for some seconds, always with the same deeds; `make soak` plays others."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from projections.core import projector
from projections.core import projector as rebuilding
from soak.machine import StoreMachine

pytestmark = [pytest.mark.timeout(300), pytest.mark.thorough]


def test_logs_and_views_are_what_a_plain_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "BATCH", 3)
    monkeypatch.setattr(rebuilding, "REBUILD_BATCH", 3)
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=10,
            stateful_step_count=40,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
        ),
    )
