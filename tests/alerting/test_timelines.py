"""The policy decides what the timelines say, also on doubled facts and after restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.alerting.timeline_runner import Run, expected_of
from tests.alerting.timelines import TIMELINES

if TYPE_CHECKING:
    from tests.alerting.timelines import Timeline


every_timeline = pytest.mark.parametrize(
    "timeline", TIMELINES, ids=[f"{each.number} {each.what}" for each in TIMELINES]
)


def test_there_are_eighty_timelines() -> None:
    assert [each.number for each in TIMELINES] == [f"{number:02}" for number in range(1, 81)]


@every_timeline
def test_the_policy_decides_what_the_timeline_says(timeline: Timeline) -> None:
    assert Run(timeline).play() == expected_of(timeline)


@every_timeline
def test_a_check_that_is_delivered_twice_changes_nothing(timeline: Timeline) -> None:
    run = Run(timeline)
    checks = [each for each in run.facts if each.check or each.what.startswith("canary")]
    if len(checks) == len(run.facts):
        assert run.play(copies=2) == expected_of(timeline)
        return
    doubled = Run(timeline)
    doubled.facts = [
        each for fact in run.facts for each in ([fact, fact] if fact.check else [fact])
    ]
    assert doubled.play() == expected_of(timeline)


@every_timeline
def test_a_restart_after_any_fact_changes_nothing(timeline: Timeline) -> None:
    for cut in range(1, len(Run(timeline).facts) + 1):
        run = Run(timeline)

        def restart(now: Run, number: int, cut: int = cut) -> None:
            if number == cut:
                now.restart(number)

        assert run.play(after_each=restart) == expected_of(timeline), f"cut after fact {cut}"


@every_timeline
def test_a_restart_after_every_fact_changes_nothing(timeline: Timeline) -> None:
    assert Run(timeline).play(after_each=Run.restart) == expected_of(timeline)
