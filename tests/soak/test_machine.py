"""The state machine for some seconds, always with the same operations; `make soak` varies them."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from projections import catalog
from soak.machine import StoreMachine
from tests.projections.folding import with_batches_of

pytestmark = [pytest.mark.timeout(300), pytest.mark.thorough]


def test_logs_and_views_are_what_a_plain_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "PROJECTIONS", with_batches_of(3))
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
