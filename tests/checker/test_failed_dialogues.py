"""A failed check keeps its dialogue when it says something new; in virtual time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from checker.loop.failed_dialogues import MOST_LINES, FailedDialogues
from checker.loop.login_backoff import LOGIN_POSTPONED
from domain.check import Category, Finding, Outcome, Phase, Verdict
from mail.transcript import Trace
from tests.checker.monitors import UP, ids
from tests.checker.test_login_backoff import watched
from tests.checker.virtual import VirtualChecker, change, new_monitor

if TYPE_CHECKING:
    from trio.testing import MockClock

    from mail.guard import ProbeGuard
    from mail.protocols.target import ProbeTarget


REFUSED = Outcome(
    Verdict.DOWN, Category.SERVICE_UNAVAILABLE, Phase.EHLO, "refused", {"total": 1.0}, "192.0.2.1"
)
CLOSED = replace(REFUSED, category=Category.CONNECTION_CLOSED)


def said(*lines: str) -> Trace:
    trace = Trace(MOST_LINES)
    trace.begin({b"secret"})
    for each in lines:
        trace.add(1.0, "server", each.encode())
    return trace


async def test_a_dialogue_is_recorded_when_a_monitor_begins_to_fail_in_another_way(
    autojump_clock: MockClock,
) -> None:
    outcome = UP

    async def probe(target: ProbeTarget, guard: ProbeGuard, trace: Trace) -> Outcome:
        del target, guard
        trace.begin(set())
        trace.add(1.0, "server", outcome.message.encode())
        return outcome

    monitor = new_monitor(check_interval=1)
    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(autojump_clock, probe)
        checker.feed()
        await nursery.start(checker.run)
        checker.feed(monitor)
        for each in (UP, REFUSED, CLOSED, UP, REFUSED):
            outcome = each
            await trio.sleep(300)
        checker.feed(change(monitor, checker.wall(), name="renamed"))
        await trio.sleep(300)
        nursery.cancel_scope.cancel()

    kept = [each.outcome for each in checker.results.checks if "dialogue" in each.outcome]
    assert [each["category"] for each in kept] == [
        REFUSED.category,
        CLOSED.category,
        REFUSED.category,
        REFUSED.category,  # of the changed monitor
    ]
    assert kept[0]["dialogue"] == [{"elapsed_ms": 1.0, "side": "server", "text": "refused"}]


def test_a_check_without_its_login_does_not_replace_the_dialogue_of_the_refusal() -> None:
    dialogues, monitor = FailedDialogues(), watched(ids(1)[0])
    postponed = replace(REFUSED, warnings=(Finding(LOGIN_POSTPONED, "left out"),))

    assert dialogues.lines_to_keep(monitor, REFUSED, said("no"))
    assert dialogues.lines_to_keep(monitor, postponed, said("hello")) == []
    assert dialogues.lines_to_keep(monitor, REFUSED, said("no")) == []


def test_a_long_dialogue_keeps_its_ends_and_masks_secrets() -> None:
    trace = said(*(f"line {number} secret {'x' * 200}" for number in range(100)))

    lines = FailedDialogues().lines_to_keep(watched(ids(1)[0]), REFUSED, trace)

    assert len(lines) == MOST_LINES + 1
    assert [each["text"] for each in lines if each["side"] == "note"] == ["60 lines left out"]
    assert lines[0]["text"].startswith("line 0 ***")
    assert lines[-1]["text"].startswith("line 99 ***")
    assert max(len(each["text"]) for each in lines) == 120
