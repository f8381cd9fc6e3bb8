"""When a monitor was checked last at a time: exact, in a few steps for any number of checks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from domain.errors import ArchiveError
from store.archiving import Archiver
from store.last_checks import LastChecks
from tests.domain.given import NOON, TESTER
from tests.domain.realistic import LOCATION as REALISTIC_PLACE
from tests.domain.realistic import Fleet
from tests.domain.realistic import record as record_realistic
from tests.intruder import intruder_of

if TYPE_CHECKING:
    from datetime import datetime

    from domain.check import CheckPerformed
    from store.store import Store


PLACE = "de-nbg"
EVEN = 1000
RELAXED = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def last_check_at(store: Store, monitor_id: UUID, location: str, time: str) -> str | None:
    checks = LastChecks(store.checks, store.archive)
    return checks.at([monitor_id], [location], time)[monitor_id]


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

    found = last_check_at(store, monitor_id, PLACE, iso_milliseconds(at))

    assert found == max((each for each in ended if each <= iso_milliseconds(at)), default=None)


def test_without_checks_there_is_none(store: Store) -> None:
    assert last_check_at(store, uuid4(), PLACE, "2099-01-01T00:00:00.000Z") is None
    checked = record(store, [NOON])
    assert last_check_at(store, checked, "fi-hel", "2099-01-01T00:00:00.000Z") is None


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
        found = last_check_at(store, monitor_id, PLACE, iso_milliseconds(each))
        assert found == iso_milliseconds(each)

    assert max(looks) <= most, looks


@pytest.fixture(params=[0, 30, 75, 100])
def archived(request: pytest.FixtureRequest, store: Store) -> tuple[Store, list[CheckPerformed]]:
    """A store that has put some of a hundred parts of its checks away, and all its checks."""
    fleet = Fleet(12)
    record_realistic(store, fleet.checks(400))
    events = [each.event for each in store.reader("checks").after(0, 1000)]
    young = events[-1].timestamp - events[400 * request.param // 100 - 1].timestamp
    run = Archiver(
        store, TESTER, clock=lambda: events[-1].timestamp + timedelta(seconds=1), most_events=64
    )
    if request.param:
        run.run(young + timedelta(seconds=1), 400)
    return store, events


@pytest.mark.quick_cases(1)
def test_archived_checks_are_found_as_if_they_still_stood_in_the_log(
    archived: tuple[Store, list[CheckPerformed]],
) -> None:
    store, events = archived
    monitors = {UUID(each.monitor_id) for each in events}
    last_checks = LastChecks(store.checks, store.archive)
    for moment in [
        events[0].timestamp - timedelta(hours=1),
        *(each.timestamp for each in events[::7]),
    ]:
        time = iso_milliseconds(moment)
        ended = {
            monitor_id: [
                iso_milliseconds(each.timestamp)
                for each in events
                if each.monitor_id == str(monitor_id) and iso_milliseconds(each.timestamp) <= time
            ]
            for monitor_id in monitors
        }

        found = last_checks.at(monitors, [REALISTIC_PLACE, "elsewhere"], time)

        assert found == {each: max(times, default=None) for each, times in ended.items()}


def test_a_damaged_segment_is_said_and_no_time_is_made_up(store: Store) -> None:
    record_realistic(store, Fleet(3).checks(60))
    events = [each.event for each in store.reader("checks").after(0, 100)]
    clock = events[-1].timestamp + timedelta(days=2)
    Archiver(store, TESTER, clock=lambda: clock).run(timedelta(days=1), 60)
    (segment,) = store.archive.segments()
    behind = intruder_of(store)
    data = behind.segment(segment.first, segment.last)
    behind.put_segment(segment.first, segment.last, data[:-1] + b"x")

    with pytest.raises(ArchiveError):
        LastChecks(store.checks, store.archive).at(
            [UUID(events[0].monitor_id)], [REALISTIC_PLACE], iso_milliseconds(events[9].timestamp)
        )
