"""Running commands: one at a time, and again after a lost race."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest
from eventsourcing.persistence import IntegrityError

from domain.application import ATTEMPTS, CommandRunner
from domain.errors import ConflictError, LostEventsError

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_each_attempt_has_a_turn_of_its_own() -> None:
    done: list[str] = []

    @contextmanager
    def turn() -> Iterator[None]:
        done.append("turn")
        yield
        done.append("end")

    def attempt() -> int:
        done.append("attempt")
        if done.count("attempt") == 1:
            raise IntegrityError
        return 7

    assert CommandRunner(turn, lambda: None).run(attempt) == 7
    assert done == ["turn", "attempt", "turn", "attempt", "end"]


def test_aggregates_are_read_again_after_a_server_lost_events() -> None:
    forgotten: list[bool] = []

    def attempt() -> bool:
        if not forgotten:
            raise LostEventsError
        return True

    assert CommandRunner(nullcontext, lambda: forgotten.append(True)).run(attempt)
    assert forgotten == [True]


def test_a_command_that_loses_every_race_is_a_conflict_without_event_data() -> None:
    tried = 0

    def lose() -> None:
        nonlocal tried
        tried += 1
        raise IntegrityError("stored event with its data")

    with pytest.raises(ConflictError, match="too many changes at the same time") as conflict:
        CommandRunner(nullcontext, lambda: None).run(lose)

    assert tried == ATTEMPTS
    assert "stored event" not in str(conflict.value)
