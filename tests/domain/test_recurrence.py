"""When maintenance windows are open, across changes of the clocks (contract D-4)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.recurrence import Occurrence, Pattern, Recurrence

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
DAILY = Pattern("daily")


def utc(text: str) -> datetime:
    """Return a time of UTC such as `2027-03-28 01:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(
    local_start: str, local_end: str, pattern: Pattern | None, zone: ZoneInfo = BERLIN
) -> Recurrence:
    """Return a window whose first occurrence has these wall times in a zone."""
    start, end = (
        datetime.fromisoformat(each).replace(tzinfo=zone).astimezone(UTC)
        for each in (local_start, local_end)
    )
    return Recurrence(start, end, zone, pattern)


def spans(recurrence: Recurrence, since: str, limit: int) -> list[tuple[str, str]]:
    return [
        (f"{each.start:%m-%d %H:%M}", f"{each.end:%m-%d %H:%M}")
        for each in recurrence.occurrences(utc(since), limit)
    ]


@pytest.mark.parametrize(
    ("start", "end", "zone", "since", "expected"),
    [
        pytest.param(
            "2027-03-01 02:30",
            "2027-03-01 03:30",
            BERLIN,
            "2027-03-27 00:00",
            [
                ("03-27 01:30", "03-27 02:30"),
                ("03-28 01:30", "03-28 02:30"),
                ("03-29 00:30", "03-29 01:30"),
            ],
            id="W1-the-clocks-skip-the-start",
        ),
        pytest.param(
            "2027-03-01 01:00",
            "2027-03-01 05:00",
            BERLIN,
            "2027-03-27 23:00",
            [("03-28 00:00", "03-28 04:00")],
            id="W2-the-clocks-skip-an-hour-of-the-window",
        ),
        pytest.param(
            "2027-10-01 02:30",
            "2027-10-01 03:30",
            BERLIN,
            "2027-10-31 00:00",
            [("10-31 00:30", "10-31 02:30")],
            id="W3-the-start-comes-twice",
        ),
        pytest.param(
            "2027-10-01 01:00",
            "2027-10-01 05:00",
            BERLIN,
            "2027-10-30 12:00",
            [("10-30 23:00", "10-31 04:00")],
            id="W4-an-hour-of-the-window-comes-twice",
        ),
        pytest.param(
            "2027-03-01 01:30",
            "2027-03-01 02:30",
            UTC_ZONE,
            "2027-03-27 00:00",
            [("03-27 01:30", "03-27 02:30"), ("03-28 01:30", "03-28 02:30")],
            id="W5-nothing-moves-in-UTC",
        ),
    ],
)
def test_daily_window_when_the_clocks_change(
    start: str, end: str, zone: ZoneInfo, since: str, expected: list[tuple[str, str]]
) -> None:
    assert spans(window(start, end, DAILY, zone), since, len(expected)) == expected


def test_weekday_is_that_of_the_zone() -> None:
    start, end, monday = utc("2027-01-03 23:30"), utc("2027-01-04 00:30"), frozenset({0})
    weekly = Pattern("weekly", weekdays=monday)

    in_berlin = Recurrence(start, end, BERLIN, weekly).occurrences(start, 1)
    in_utc = Recurrence(start, end, UTC_ZONE, weekly).occurrences(start, 1)

    assert in_berlin == [Occurrence(start, end)]
    assert in_utc == [Occurrence(utc("2027-01-04 23:30"), utc("2027-01-05 00:30"))]


def test_every_second_week_counts_weeks_from_monday() -> None:
    weekly = Pattern("weekly", interval=2, weekdays=frozenset({0, 6}))
    found = window("2027-01-04 12:00", "2027-01-04 13:00", weekly).occurrences(
        utc("2027-01-01 00:00"), 4
    )

    assert [each.start.date() for each in found] == [
        date(2027, 1, 4),
        date(2027, 1, 10),
        date(2027, 1, 18),
        date(2027, 1, 24),
    ]


def test_day_that_a_month_lacks_is_left_out() -> None:
    monthly = window("2027-01-31 12:00", "2027-01-31 13:00", Pattern("monthly"))

    assert [each.start.date() for each in monthly.occurrences(utc("2027-01-01 00:00"), 3)] == [
        date(2027, 1, 31),
        date(2027, 3, 31),
        date(2027, 5, 31),
    ]


def test_last_day_is_the_last_local_day_of_a_start() -> None:
    daily = Pattern("daily", last_day=date(2027, 1, 5))
    nightly = window("2027-01-01 22:00", "2027-01-02 02:00", daily)

    assert spans(nightly, "2027-01-04 12:00", 9) == [
        ("01-04 21:00", "01-05 01:00"),
        ("01-05 21:00", "01-06 01:00"),
    ]


def test_pattern_without_any_day_ends_the_search() -> None:
    never = window("2027-02-01 12:00", "2027-02-01 13:00", Pattern("monthly", 12, month_day=31))

    assert never.occurrences(utc("2027-01-01 00:00"), 1) == []
    assert never.next_after(utc("2027-01-01 00:00")) is None


@pytest.mark.parametrize("frequency", ["daily", "weekly", "monthly"])
def test_calendar_ends_with_the_year_9999(frequency: str) -> None:
    last = window("9999-12-01 12:00", "9999-12-01 13:00", Pattern(frequency), UTC_ZONE)  # type: ignore[arg-type] # each is one

    assert last.occurrences(utc("9999-12-31 23:00"), 9) == []


def test_one_time_window_is_open_once() -> None:
    once = window("2027-01-04 12:00", "2027-01-04 13:00", None, UTC_ZONE)

    assert once.open_at(utc("2027-01-04 11:59")) is None
    assert once.open_at(utc("2027-01-04 12:00")) == Occurrence(once.start, once.end)
    assert once.open_at(utc("2027-01-04 13:00")) is None
    assert once.next_after(utc("2027-01-04 11:59")) == Occurrence(once.start, once.end)
    assert once.next_after(utc("2027-01-04 12:00")) is None
    assert once.between(utc("2027-01-04 12:30"), utc("2027-01-05 12:30")) == [
        Occurrence(once.start, once.end)
    ]
    assert once.between(utc("2027-01-04 10:00"), utc("2027-01-04 12:00")) == []


def test_of_overlapping_occurrences_the_one_that_ends_last_is_open() -> None:
    long = window("2027-01-01 12:00", "2027-01-03 18:00", DAILY, UTC_ZONE)

    found = long.open_at(utc("2027-01-03 13:00"))

    assert found == Occurrence(utc("2027-01-03 12:00"), utc("2027-01-05 18:00"))


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1))  # noqa: DTZ001 - made aware below


@given(
    start=MOMENTS,
    minutes=st.integers(1, 3 * 24 * 60),
    frequency=st.sampled_from(["daily", "weekly", "monthly"]),
    interval=st.integers(1, 5),
    moment=MOMENTS,
)
def test_open_at_agrees_with_the_list_of_occurrences(
    start: datetime, minutes: int, frequency: str, interval: int, moment: datetime
) -> None:
    begin, asked = start.replace(tzinfo=UTC), moment.replace(tzinfo=UTC)
    recurrence = Recurrence(
        begin,
        begin + timedelta(minutes=minutes),
        BERLIN,
        Pattern(frequency, interval),  # type: ignore[arg-type] # each is one
    )

    all_until_then = recurrence.between(begin, asked + timedelta(microseconds=1))
    is_open = any(each.start <= asked < each.end for each in all_until_then)

    assert (recurrence.open_at(asked) is not None) == is_open
    following = recurrence.next_after(asked)
    assert following is None or following.start > asked
