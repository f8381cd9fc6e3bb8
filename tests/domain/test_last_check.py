"""When a monitor was checked last at a time: exact, with a few looks whatever the number."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from domain.last_check import last_check_at
from tests.domain.given import NOON, TESTER

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from domain.store import Store

PLACE = "de-nbg"
EVEN = 1000
RELAXED = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def record(store: Store, times: list[datetime]) -> UUID:
    """Store checks of a new monitor that ended at these times."""
    monitor_id = uuid4()
    store.checks.record(
        [PerformedCheck(monitor_id, 1, "smtp", "", "", each, {"verdict": "up"}) for each in times],
        location=PLACE,
        actor=TESTER,
    )
    return monitor_id


@given(
    gaps=st.lists(st.floats(0.0001, 90_000) | st.just(60.0), max_size=40),
    asked=st.floats(-10, 400_000) | st.integers(0, 39),
)
@RELAXED
def test_it_is_the_newest_that_had_ended(store: Store, gaps: list[float], asked: float) -> None:
    times = [NOON]
    for gap in gaps:
        times.append(times[-1] + timedelta(seconds=gap))
    at = times[min(asked, len(gaps))] if isinstance(asked, int) else NOON + timedelta(seconds=asked)
    monitor_id = record(store, times)
    ended = [iso_milliseconds(each) for each in times]

    found = last_check_at(store.checks, monitor_id, PLACE, iso_milliseconds(at))

    assert found == max((each for each in ended if each <= iso_milliseconds(at)), default=None)


def test_without_checks_there_is_none(store: Store) -> None:
    assert last_check_at(store.checks, uuid4(), PLACE, "2099-01-01T00:00:00.000Z") is None
    checked = record(store, [NOON])
    assert last_check_at(store.checks, checked, "fi-hel", "2099-01-01T00:00:00.000Z") is None


@pytest.mark.parametrize(
    ("distance_seconds", "most"), [((60.0, 60.0), 3), ((59.0, 61.0), 7), ((0.001, 3600.0), 32)]
)
def test_a_thousand_checks_take_a_few_looks(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    distance_seconds: tuple[float, float],
    most: int,
) -> None:
    times = [NOON]
    for number in range(EVEN):
        times.append(times[-1] + timedelta(seconds=distance_seconds[number % 7 == 0]))
    monitor_id = record(store, times)
    looks: list[int] = []
    get = store.checks.events.get

    def counted(*arguments: object, **options: object) -> object:
        looks[-1] += 1
        return get(*arguments, **options)  # type: ignore[arg-type] # passed on as it came

    monkeypatch.setattr(store.checks.events, "get", counted)
    for each in times[::37]:
        looks.append(0)
        found = last_check_at(store.checks, monitor_id, PLACE, iso_milliseconds(each))
        assert found == iso_milliseconds(each)

    assert max(looks) <= most, looks
