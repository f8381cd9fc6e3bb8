"""Times and points in the history of a log, as people and programs write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from domain.clock import iso_milliseconds, parse_point, parse_time, utc_now
from domain.errors import InvalidValueError
from tests.domain.given import NOON


def test_now_is_in_utc() -> None:
    assert utc_now().tzinfo is UTC


def test_a_time_of_another_zone_is_shown_in_utc_with_milliseconds() -> None:
    moment = datetime(2026, 1, 1, 14, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))

    assert iso_milliseconds(moment) == "2026-01-01T12:00:00.123Z"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31t12:00z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00.123456789+02:00", "2026-01-31T10:00:00.123Z"),
    ],
)
def test_a_time_has_one_normal_form(text: str, normal: str) -> None:
    assert parse_time(text) == normal


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "0001-01-01T00:00:00+01:00", "noon", "", 5],
)
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        parse_time(text)

    assert refusal.value.code == "time"


@pytest.mark.parametrize(
    ("text", "point"),
    [("0", 0), ("7", 7), (7, 7), ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00.000Z")],
)
def test_a_point_is_a_position_up_to_the_head_or_a_time_up_to_now(
    text: object, point: int | str
) -> None:
    assert parse_point(text, head=7, now=NOON) == point


@pytest.mark.parametrize(
    ("text", "code"),
    [("8", "range"), ("9" * 40, "range"), ("2026-01-01T12:00:00.001Z", "range"), ("-1", "time")],
)
def test_a_point_that_is_not_recorded_yet_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        parse_point(text, head=7, now=NOON)

    assert refusal.value.code == code
