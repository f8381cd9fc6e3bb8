"""What is known between checks: pure arithmetic with times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.availability import (
    HOUR_MS,
    KnownSpan,
    Span,
    WatchSettings,
    counts_until,
    cut_maintenance,
    milliseconds,
    overlaps_ms,
    split_by_hour,
    state_of,
    subtract,
    watched_spans,
)
from domain.commands import UpdateMonitor
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from store.store import Store
    from tests.domain.given import Owners


FIVE_MINUTES = WatchSettings(300_000, 30_000, in_maintenance=False)
moments = st.integers(0, 40)


def test_a_check_vouches_for_its_interval_its_timeout_and_half_a_minute() -> None:
    assert counts_until(1000, FIVE_MINUTES) == 1000 + 300_000 + 30_000 + 30_000


@pytest.mark.parametrize(
    ("verdict", "in_maintenance", "state"),
    [
        ("up", False, "up"),
        ("down", False, "down"),
        ("up", True, "maintenance"),
        ("down", True, "maintenance"),
    ],
)
def test_a_monitor_in_maintenance_is_neither_up_nor_down(
    verdict: str, state: str, *, in_maintenance: bool
) -> None:
    assert state_of(verdict, FIVE_MINUTES._replace(in_maintenance=in_maintenance)) == state


def test_a_time_is_cut_at_full_hours() -> None:
    start, end = 2 * HOUR_MS - 5, 4 * HOUR_MS + 7

    assert list(split_by_hour(start, end)) == [(1, 5), (2, HOUR_MS), (3, HOUR_MS), (4, 7)]
    assert list(split_by_hour(end, end)) == []


@given(st.lists(st.tuples(moments, moments), max_size=4), moments, moments)
def test_planned_maintenance_takes_the_place_of_what_was_seen(
    edges: list[tuple[int, int]], start: int, end: int
) -> None:
    windows: list[Span] = []
    for first, last in sorted(edges):
        if first < last and (not windows or windows[-1].end <= first):
            windows.append(Span(first, last))
    start, end = sorted((start, end))

    found = list(cut_maintenance(KnownSpan(start, end, "down"), windows))

    covered = {each for span in windows for each in range(*span)}
    states = {at: each.state for each in found for at in range(each.start, each.end)}
    assert states == {
        each: "maintenance" if each in covered else "down" for each in range(start, end)
    }
    assert [each.start for each in found[1:]] == [each.end for each in found[:-1]]


def at(hours: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)


def test_a_monitor_is_watched_from_its_creation_but_not_while_it_is_disabled(
    store: Store, owners: Owners
) -> None:
    store.monitoring.clock = lambda: at(0)
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    changes: tuple[dict[str, Any], ...] = (
        {"status": "disabled"},
        {"name": "Other"},
        {"status": "maintenance"},
        {"status": "active", "port": 25},
        {"status": "disabled"},
        {"status": "active"},
    )
    for hours, each in enumerate(changes, start=1):
        store.monitoring.clock = partial(at, hours)
        store.monitoring.update_monitor(UpdateMonitor(monitor.id, each), TESTER)

    spans = store.monitoring.watched(monitor.id, milliseconds(at(8)))

    hour = [milliseconds(at(number)) for number in range(9)]
    assert spans == [Span(hour[0], hour[1]), Span(hour[3], hour[5]), Span(hour[6], hour[8])]
    buckets = range(hour[0] + 10, hour[4], 2 * HOUR_MS)
    assert overlaps_ms(spans, buckets, hour[4]) == [HOUR_MS - 10, HOUR_MS]
    store.monitoring.clock = lambda: at(7)
    store.monitoring.delete_monitor(monitor.id, TESTER)
    assert store.monitoring.watched(monitor.id, hour[8])[-1] == Span(hour[6], hour[7])
    assert store.monitoring.watched(uuid4(), hour[8]) == []


def test_a_location_is_retired_until_a_checker_is_back(store: Store) -> None:
    monitoring = store.monitoring
    for hours, is_retired in enumerate((False, True, False, False, True)):
        monitoring.clock = partial(at, hours)
        if is_retired:
            monitoring.retire_location("de-nbg", TESTER)
        else:
            monitoring.register_location("de-nbg", f"Name {hours}", "DE", TESTER)

    hour = [milliseconds(at(number)) for number in range(9)]
    spans = [Span(hour[1], hour[2]), Span(hour[4], hour[8])]
    assert monitoring.retirements("de-nbg", hour[8]) == spans
    assert monitoring.retirements("fi-hel", hour[8]) == []


spans_of_moments = st.lists(st.tuples(moments, moments), max_size=4).map(
    lambda edges: [Span(*sorted(each)) for each in edges]
)


@given(spans_of_moments, spans_of_moments)
def test_what_is_in_a_hole_is_taken_out_and_nothing_else(
    spans: list[Span], holes: list[Span]
) -> None:
    found = subtract(spans, holes)

    gone = {moment for hole in holes for moment in range(*hole)}
    left = sorted(moment for span in spans for moment in range(*span) if moment not in gone)
    assert sorted(moment for span in found for moment in range(*span)) == left
    assert all(each.start < each.end for each in found)


@given(spans_of_moments, st.integers(0, 20), st.integers(1, 7), st.integers(0, 20))
def test_each_bucket_has_what_of_the_spans_is_in_it(
    spans: list[Span], begin: int, step: int, length: int
) -> None:
    starts, end = range(begin, begin + length, step), begin + length

    found = overlaps_ms(spans, starts, end)

    covered = [moment for span in spans for moment in range(*span)]
    assert found == [
        sum(start <= moment < min(start + step, end) for moment in covered) for start in starts
    ]


def test_a_retirement_whose_end_was_told_by_an_earlier_clock_takes_no_time(store: Store) -> None:
    monitoring, arrive = store.monitoring, partial(store.monitoring.register_location, "de-nbg")
    for hours, is_retired in ((0, False), (5, True), (2, False)):
        monitoring.clock = partial(at, hours)
        if is_retired:
            monitoring.retire_location("de-nbg", TESTER)
        else:
            arrive("Nuremberg", "DE", TESTER)

    assert monitoring.retirements("de-nbg", int(at(8).timestamp() * 1000)) == []


def test_a_status_that_was_set_by_an_earlier_clock_takes_no_time() -> None:
    statuses = [(1, "active"), (9, "disabled"), (8, "active"), (5, "disabled"), (20, "active")]

    assert watched_spans(statuses, 30) == [Span(1, 9), Span(20, 30)]
