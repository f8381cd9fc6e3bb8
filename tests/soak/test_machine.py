"""The machine for some seconds, always with the same deeds; `make soak` plays others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from projections import catch_up
from tests.soak.machine import StoreMachine

if TYPE_CHECKING:
    import pytest


def test_logs_and_views_are_what_a_plain_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "BATCH", 3)
    monkeypatch.setattr(catch_up, "REBUILD_BATCH", 3)
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=12,
            stateful_step_count=40,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
        ),
    )
