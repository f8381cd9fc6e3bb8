"""The table of states: which facts make which state, since when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.monitor_state import (
    STATES,
    OpenIncident,
    StateFacts,
    Verdict,
    state_of,
    vouch_seconds,
)


def at(second: int) -> str:
    return f"2026-01-01T12:{second // 60:02}:{second % 60:02}.000Z"


GOOD = Verdict(is_up=True, monitor_version=1, since=at(10), at=at(10))
BAD = Verdict(
    is_up=False, monitor_version=1, since=at(20), at=at(30), error={"category": "timeout"}
)
OWN = replace(BAD, error={"category": "config_invalid"})
AGAIN_GOOD = replace(GOOD, since=at(60), at=at(60), has_failed=True)
DOWNTIME = OpenIncident("d", "downtime", at(20))
UNWATCHED = OpenIncident("u", "unwatched", at(40))
CERTIFICATE = OpenIncident("c", "ssl_expiry", at(1))
ACTIVE = StateFacts("active", at(0), 1, at(0), vouch_seconds(1, 30))


@pytest.mark.parametrize(
    ("facts", "state", "since", "incident"),
    [
        (ACTIVE, "pending", 0, None),
        (replace(ACTIVE, verdicts={"a": GOOD}), "up", 10, None),
        (replace(ACTIVE, verdicts={"a": GOOD, "b": BAD}), "suspicious", 20, None),
        (replace(ACTIVE, verdicts={"a": GOOD, "b": OWN}), "up", 10, None),
        (replace(ACTIVE, verdicts={"a": OWN}), "unwatched", 20, None),
        (replace(ACTIVE, verdicts={"a": BAD}, incidents=[DOWNTIME]), "down", 20, "d"),
        (replace(ACTIVE, verdicts={}, incidents=[DOWNTIME]), "down", 20, "d"),
        (replace(ACTIVE, verdicts={"a": AGAIN_GOOD}, incidents=[DOWNTIME]), "recovering", 60, "d"),
        (
            replace(ACTIVE, verdicts={"a": AGAIN_GOOD, "b": BAD}, incidents=[DOWNTIME]),
            "down",
            20,
            "d",
        ),
        (replace(ACTIVE, verdicts={"a": AGAIN_GOOD, "b": GOOD}), "up", 60, None),
        (replace(ACTIVE, verdicts={"a": AGAIN_GOOD}, recovered_at=at(70)), "up", 70, None),
        (replace(ACTIVE, verdicts={"a": GOOD}, incidents=[CERTIFICATE]), "up", 10, "c"),
        (
            replace(ACTIVE, verdicts={"a": BAD}, incidents=[CERTIFICATE, UNWATCHED, DOWNTIME]),
            "unwatched",
            40,
            "d",
        ),
        (replace(ACTIVE, status="maintenance", verdicts={"a": BAD}), "maintenance", 0, None),
        (replace(ACTIVE, status="disabled", incidents=[DOWNTIME]), "disabled", 0, "d"),
    ],
)
def test_the_first_rule_that_holds_decides(
    facts: StateFacts, state: str, since: int, incident: str | None
) -> None:
    found = state_of(facts)

    assert (found.state, found.since, found.incident_id) == (state, at(since), incident)
    assert found.state in STATES


def test_checks_of_what_was_watched_before_a_change_say_nothing() -> None:
    changed = replace(ACTIVE, checked_version=2, checked_since=at(50), verdicts={"a": BAD})

    assert state_of(changed)[:2] == ("pending", at(50))

    checked = replace(changed, verdicts={"a": replace(GOOD, monitor_version=2)})
    assert state_of(checked)[:2] == ("up", at(50))


def test_a_failing_location_that_fell_silent_while_others_went_on_says_nothing() -> None:
    later = replace(GOOD, at=at(30 + 120 + 300))
    facts = replace(ACTIVE, verdicts={"a": later, "b": BAD})

    assert state_of(facts).state == "suspicious"

    facts = replace(facts, verdicts={"a": replace(GOOD, at=at(30 + 121 + 300)), "b": BAD})
    assert state_of(facts)[:3] == ("up", at(10), None)


def test_the_newest_error_is_shown_while_a_check_fails() -> None:
    newer = replace(BAD, at=at(40), error={"category": "connect_refused"})

    assert state_of(replace(ACTIVE, verdicts={"a": newer, "b": BAD})).error == newer.error
    assert state_of(replace(ACTIVE, status="maintenance", verdicts={"a": BAD})).error == BAD.error
    assert state_of(replace(ACTIVE, status="disabled", verdicts={"a": BAD})).error is None


def test_an_open_incident_of_an_unknown_type_is_not_shown() -> None:
    incidents = [OpenIncident("x", "of a newer version", at(5))]

    assert state_of(replace(ACTIVE, incidents=incidents)).incident_id is None
