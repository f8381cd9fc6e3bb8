"""GET uptime: what is shown, to whom, and what a query may ask."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds, utc_now
from tests.api.world import path_of
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from domain.monitor import Monitor
    from tests.api.world import Persona, World


STATES = ("up", "down", "maintenance", "unknown", "notWatched")


@pytest.fixture
def checked(world: World) -> Monitor:
    """A monitor that was checked every five minutes of the last hour, twice in vain."""
    now = utc_now()
    world.store.monitoring.clock = lambda: now - timedelta(minutes=60)
    monitor = world.monitor(check_interval=5)
    world.store.monitoring.clock = utc_now
    checks = [
        _check(monitor, now - timedelta(minutes=minute), "down" if minute in {30, 35} else "up")
        for minute in range(60, 0, -5)
    ]
    world.store.checks.record(checks, location="local", actor=TESTER)
    return monitor


def _check(monitor: Monitor, moment: Any, verdict: str) -> PerformedCheck:  # noqa: ANN401 - a time
    outcome = {"verdict": verdict, "category": "ok", "timings": {"dns": 1.0, "total": 20.5}}
    text = iso_milliseconds(moment)
    return PerformedCheck(monitor.id, monitor.version, monitor.kind, text, text, moment, outcome)


def test_the_last_day_is_shown_by_hours(world: World, checked: Monitor) -> None:
    answer = world.admin.get(f"{path_of(checked)}/uptime")

    shown = answer.json
    assert answer.status_code == 200
    figures = ["uptimePercent", "seconds", "checks", "failed", "timings"]
    assert list(shown) == ["start", "end", "granularity", *figures, "data"]
    assert shown["granularity"] == "hour"
    assert len(shown["data"]) == 25
    assert [list(each) for each in shown["data"]] == [["start", *figures]] * 25
    assert (shown["checks"], shown["failed"]) == (12, 2)
    assert shown["seconds"]["down"] == 600
    assert shown["seconds"]["unknown"] == 0
    # From an hour ago until the answer, which may have taken its time.
    up = (utc_now() - checked.created_on).total_seconds() - 600
    assert 2999 <= shown["seconds"]["up"] <= up + 1
    assert 100 * 50 / 60 - 0.1 <= shown["uptimePercent"] <= 100 * up / (600 + up) + 0.1
    assert shown["timings"]["total"] == {"count": 12, "p50": 20.5, "p95": 20.5, "max": 20.5}
    assert sum(each["checks"] for each in shown["data"]) == 12
    assert all(tuple(each["seconds"]) == STATES for each in shown["data"])


@pytest.mark.parametrize(("span", "days"), [("week", 8), ("month", 32), ("year", 367)])
def test_longer_times_are_shown_by_days(
    world: World, checked: Monitor, span: str, days: int
) -> None:
    shown = world.admin.get(f"{path_of(checked)}/uptime", range=span).json

    assert shown["granularity"] == "day"
    assert len(shown["data"]) == days
    assert shown["checks"] == 12


def test_a_time_in_the_past_can_be_asked_for(world: World, checked: Monitor) -> None:
    query = {"endDate": "2026-01-31T12:30:00+01:00", "granularity": "day", "range": "week"}
    shown = world.admin.get(f"{path_of(checked)}/uptime", **query).json

    assert (shown["start"], shown["end"]) == (
        "2026-01-24T00:00:00.000Z",
        "2026-01-31T12:00:00.000Z",
    )
    assert shown["uptimePercent"] is None
    assert (shown["seconds"]["unknown"], shown["checks"]) == (0, 0)


def test_a_time_that_ends_within_an_hour_ends_with_it(world: World, checked: Monitor) -> None:
    for minutes in range(0, 60, 7):
        asked = iso_milliseconds(utc_now() - timedelta(minutes=minutes))
        shown = world.admin.get(f"{path_of(checked)}/uptime", endDate=asked).json

        start, end = map(datetime.fromisoformat, (shown["data"][0]["start"], shown["end"]))
        assert datetime.fromisoformat(asked) <= end
        assert sum(shown["seconds"].values()) == pytest.approx((end - start).total_seconds(), abs=3)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"range": "decade"}, "Invalid range: must be one of day, week, month, year"),
        ({"granularity": "minute"}, "Invalid granularity: must be one of hour, day"),
        ({"range": "year", "granularity": "hour"}, "Invalid granularity: a year is shown by days"),
        ({"endDate": "yesterday"}, "Invalid endDate: must be a time such as 2026-01-31T12:00:00Z"),
        ({"endDate": "2026-01-31T12:00:00"}, "Invalid endDate: must be a time such as"),
    ],
)
def test_a_wrong_query_is_refused(
    world: World, checked: Monitor, query: dict[str, str], says: str
) -> None:
    answer = world.admin.get(f"{path_of(checked)}/uptime", **query)

    assert answer.status_code == 400
    assert says in answer.json["message"]


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_the_calendar_are_no_error(world: World, checked: Monitor, end: str) -> None:
    assert world.admin.get(f"{path_of(checked)}/uptime", endDate=end).status_code == 200


@pytest.mark.parametrize(
    ("persona", "status"),
    [("readonly", 200), ("supporter", 200), ("stranger", 404), ("nobody", 401)],
)
def test_who_may_read_a_monitor_may_read_its_uptime(
    world: World, checked: Monitor, persona: Persona, status: int
) -> None:
    assert world.caller(persona).get(f"{path_of(checked)}/uptime").status_code == status


def test_a_deleted_monitor_has_no_uptime_to_show(world: World, checked: Monitor) -> None:
    path = path_of(checked)
    assert world.admin.delete(path).status_code == 200

    assert world.admin.get(f"{path}/uptime").status_code == 404
