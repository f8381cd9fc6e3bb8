"""Maintenance windows as iCalendar: what is written is read again, and the rest is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import InvalidInputError
from domain.icalendar import MAX_BYTES, MAX_EVENTS, read_calendar, write_calendar
from domain.maintenance_window import recurrence_of

if TYPE_CHECKING:
    from domain.resource import Fields


WINDOW: dict[str, Any] = {
    "public_id": "5d0f3c5e-8f0e-4d5b-9d0a-1c5a6a3c0001",
    "name": "Deployment, weekly; with a \\ and a very long name that has to be folded: Größe",
    "description": "First line\nSecond line",
    "start_time": "2027-07-05T00:00:00.000Z",
    "end_time": "2027-07-05T02:00:00.000Z",
    "time_zone": "Europe/Berlin",
    "is_recurring": True,
    "recurrence_pattern": {
        "frequency": "weekly",
        "interval": 2,
        "daysOfWeek": [1, 3],
        "endRecurrenceDate": "2027-12-31",
    },
    "updated_at": "2026-12-01T12:00:00.000Z",
}
READ = (
    "name",
    "description",
    "start_time",
    "end_time",
    "time_zone",
    "is_recurring",
    "recurrence_pattern",
)


def calendar(*lines: str) -> bytes:
    body = "\r\n".join(("BEGIN:VEVENT", "SUMMARY:Deployment", *lines, "END:VEVENT"))
    return f"BEGIN:VCALENDAR\r\n{body}\r\nEND:VCALENDAR\r\n".encode()


START, END = (
    "DTSTART;TZID=Europe/Berlin:20270705T020000",
    "DTEND;TZID=Europe/Berlin:20270705T040000",
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"is_recurring": False, "recurrence_pattern": None, "description": None},
        {"time_zone": "UTC"},
        {"recurrence_pattern": {"frequency": "monthly", "dayOfMonth": 5}},
        {"recurrence_pattern": {"frequency": "daily", "interval": 3}},
    ],
)
def test_what_is_written_is_read_again(changes: Fields) -> None:
    window = {**WINDOW, **changes}

    text = write_calendar([window], "Maintenance")

    assert all(len(line) <= 75 for line in text.encode().split(b"\r\n"))
    (read,) = read_calendar(text.encode())
    assert read == {key: window[key] for key in READ}


def test_first_event_is_the_first_occurrence_and_not_the_start_of_the_window() -> None:
    pattern = {"frequency": "weekly", "daysOfWeek": [3]}

    text = write_calendar([{**WINDOW, "recurrence_pattern": pattern}], "Maintenance")

    assert "DTSTART;TZID=Europe/Berlin:20270707T020000\r\n" in text
    assert "RRULE:FREQ=WEEKLY;BYDAY=WE\r\n" in text


def test_window_without_occurrences_is_left_out() -> None:
    never = {"frequency": "daily", "endRecurrenceDate": "2020-01-01"}

    text = write_calendar([{**WINDOW, "recurrence_pattern": never}], "Maintenance")

    assert "VEVENT" not in text


def test_control_characters_are_left_out() -> None:
    text = write_calendar([{**WINDOW, "name": "a\x1b[31m\u202eb\r\nATTACH:x"}], "Maintenance")

    assert "SUMMARY:a[31mb\\nATTACH:x\r\n" in text


def test_count_becomes_the_last_day() -> None:
    (read,) = read_calendar(calendar(START, END, "RRULE:FREQ=WEEKLY;BYDAY=MO,WE;COUNT=3"))

    assert read["recurrence_pattern"]["endRecurrenceDate"] == "2027-07-12"
    assert len(recurrence_of(read).occurrences(recurrence_of(read).start, 9)) == 3


@pytest.mark.parametrize(
    ("duration", "end"),
    [
        ("PT90M", "2027-07-05T01:30:00.000Z"),
        ("P1DT1H", "2027-07-06T01:00:00.000Z"),
        ("P1W", "2027-07-12T00:00:00.000Z"),
    ],
)
def test_duration_is_read(duration: str, end: str) -> None:
    (read,) = read_calendar(calendar(START, f"DURATION:{duration}", "X-COLOR:red", "UID:1"))

    assert read["end_time"] == end


def test_until_is_read_as_the_last_local_day() -> None:
    rules = ("RRULE:FREQ=DAILY;UNTIL=20270707T220000Z", "RRULE:FREQ=DAILY;UNTIL=20270708")

    found = [read_calendar(calendar(START, END, rule))[0] for rule in rules]

    assert [each["recurrence_pattern"]["endRecurrenceDate"] for each in found] == [
        "2027-07-08",
        "2027-07-08",
    ]


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ((END,), "events[0].DTSTART"),
        ((START,), "events[0].DTEND"),
        ((START, "DURATION:PT1S"), "events[0].DTEND"),
        (("DTSTART:20270705T020000", END), "events[0].DTSTART"),
        (("DTSTART;VALUE=DATE:20270705", END), "events[0].DTSTART"),
        (("DTSTART;TZID=Mars:20270705T020000", END), "events[0].DTSTART"),
        (("DTSTART:20271305T020000Z", END), "events[0].DTSTART"),
        ((START, START, END), "events[0].DTSTART"),
        ((START, END, "SUMMARY:Twice"), "events[0].SUMMARY"),
        ((START, END, "RDATE:20270707T020000Z"), "events[0].RDATE"),
        ((START, END, "EXDATE:20270707T020000Z"), "events[0].EXDATE"),
        ((START, END, "RRULE:FREQ=SECONDLY"), "events[0].RRULE"),
        ((START, END, "RRULE:FREQ=YEARLY"), "events[0].RRULE"),
        ((START, END, "RRULE:FREQ=MONTHLY;BYDAY=1MO"), "events[0].RRULE"),
        ((START, END, "RRULE:FREQ=MONTHLY;BYDAY=MO"), "events[0].RRULE"),
        ((START, END, "RRULE:FREQ=MONTHLY;BYMONTHDAY=-1"), "events[0].RRULE"),
        ((START, END, "RRULE:FREQ=DAILY;BYHOUR=4"), "events[0].RRULE"),
        ((START, END, "RRULE:FREQ=WEEKLY;WKST=SU"), "events[0].RRULE"),
        ((START, END, "RRULE:FREQ=DAILY;INTERVAL=0"), "events[0].RRULE"),
        ((START, END, "RRULE:FREQ=DAILY;INTERVAL=x"), "events[0].RRULE"),
        ((START, END, "RRULE:FREQ=DAILY;COUNT=0"), "events[0].RRULE"),
        ((START, END, "RRULE:FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31;COUNT=2"), None),
        (
            (
                "DTSTART:20270205T020000Z",
                "DTEND:20270205T030000Z",
                "RRULE:FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31;COUNT=2",
            ),
            "events[0].RRULE",
        ),
    ],
)
def test_what_a_window_cannot_say_is_refused_by_its_name(
    lines: tuple[str, ...], path: str | None
) -> None:
    if path is None:
        assert read_calendar(calendar(*lines))
        return
    with pytest.raises(InvalidInputError) as refused:
        read_calendar(calendar(*lines))

    assert [each.path for each in refused.value.problems] == [path]


@pytest.mark.parametrize(
    "text",
    [
        b"x" * (MAX_BYTES + 1),
        b"\xff",
        b"BEGIN:VCALENDAR\nno colon\nEND:VCALENDAR",
        b"BEGIN:VCALENDAR\nEND:VEVENT",
        b"BEGIN:VCALENDAR\nBEGIN:VEVENT",
        b"END:VCALENDAR",
        b"BEGIN:VEVENT\nEND:VEVENT\n" * (MAX_EVENTS + 1),
    ],
)
def test_what_is_no_calendar_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInputError):
        read_calendar(text)


def test_an_event_without_a_name_is_refused() -> None:
    text = calendar(START, END).replace(b"SUMMARY:Deployment\r\n", b"")

    with pytest.raises(InvalidInputError) as refused:
        read_calendar(text)

    assert [each.path for each in refused.value.problems] == ["events[0].SUMMARY"]


def test_other_components_are_passed_over() -> None:
    zone = (
        b"BEGIN:VTIMEZONE\r\nBEGIN:STANDARD\r\nRRULE:FREQ=YEARLY\r\nEND:STANDARD\r\nEND:VTIMEZONE"
    )
    text = calendar(START, END).replace(b"BEGIN:VEVENT", zone + b"\r\nBEGIN:VEVENT", 1)

    assert len(read_calendar(text)) == 1
