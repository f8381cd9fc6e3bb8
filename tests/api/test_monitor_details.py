"""The details of a monitor (contract part B, 4.6 and 5.6; D-2)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from domain.clock import iso_milliseconds, utc_now
from domain.kinds import KINDS
from tests.api.test_incidents import catch_up, outage
from tests.api.test_organization import record, register
from tests.api.world import path_of
from tests.domain.given import NOON

if TYPE_CHECKING:
    from tests.api.world import World


pytestmark = pytest.mark.both_engines

KEYS: Final = (
    *("monitor", "latestCheck", "uptimeStats", "uptimeStatsMeta", "monitoringData", "incidents"),
    *("alerts", "testResultLog", "maintenance"),
)
"""The documented keys, after that of the monitor's number."""

MONITOR: Final = (
    *("id", "customerId", "name", "hostname", "port", "status", "checkInterval"),
    *("timeoutSeconds", "config"),
)
STATS: Final = ("day", "month", "year", "dayAvgResponse", "monthAvgResponse", "yearAvgResponse")


@pytest.mark.parametrize("kind", KINDS)
def test_the_details_have_the_documented_shape(world: World, kind: str) -> None:
    monitor = world.monitor(kind)
    incident = outage(world, monitor)

    answer = world.admin.get(f"{path_of(monitor)}/details")

    assert answer.status_code == 200, answer.text
    found = answer.json
    number_key = f"{KINDS[kind].resource}Id"
    assert list(found) == [number_key, *KEYS]
    assert found[number_key] == monitor.number
    assert tuple(found["monitor"])[: len(MONITOR)] == MONITOR
    assert found["monitor"]["state"] == "down"
    assert found["monitor"]["openIncidentId"] == str(incident.id)
    timing = KINDS[kind].timing_key
    assert list(found["latestCheck"]) == [
        *("status", "checkedAt", timing, "locationCode", "locationName")
    ]
    assert tuple(found["uptimeStats"]) == STATS
    checks = world.admin.get(f"{path_of(monitor)}/check-history").json["data"]
    assert found["testResultLog"] == checks
    assert found["latestCheck"]["checkedAt"] == checks[0]["checkedAt"]
    history = world.admin.get(f"{path_of(monitor)}/incident-history").json["incidents"]
    assert [each["id"] for each in found["incidents"]] == [each["id"] for each in history]
    assert found["alerts"] == world.admin.get(f"{path_of(monitor)}/alert-history").json["alerts"]
    assert found["maintenance"] == {"inMaintenance": False, "activeWindows": [], "allWindows": []}


def test_a_monitor_that_was_never_checked_has_no_figures(world: World) -> None:
    found = world.admin.get(f"{path_of(world.monitor())}/details").json

    assert (found["latestCheck"], found["testResultLog"], found["monitoringData"]) == (None, [], [])
    assert found["uptimeStats"] == dict.fromkeys(STATS)
    assert found["uptimeStatsMeta"]["day"] == {"checks": 0, "failed": 0}


def test_uptime_counts_what_is_known_to_be_up_or_down(world: World) -> None:
    register(world, "de-nbg", "Nuremberg (DE)", "DE")
    monitor = world.monitor()
    begin = utc_now() - timedelta(minutes=40)
    for minute in range(30):
        verdict = "down" if minute == 7 else "up"
        timings = {"total": 100.0 if minute % 2 else 300.0}
        record(world, monitor, minute, at=begin, verdict=verdict, timings=timings)
    catch_up(world)

    found = world.admin.get(f"{path_of(monitor)}/details").json

    assert found["uptimeStatsMeta"]["day"] == {"checks": 30, "failed": 1}
    stats = found["uptimeStats"]
    assert 0 < stats["day"] < 100
    assert stats["day"] == round(stats["day"], 1)
    assert stats["dayAvgResponse"] == pytest.approx(200, rel=0.02)
    assert sum(each["checks"] for each in found["monitoringData"]) == 30
    assert sum(each["failed"] for each in found["monitoringData"]) == 1
    assert {each["locationCode"] for each in found["monitoringData"]} == {None}


def data(world: World, path: str, **query: str) -> list[dict[str, Any]]:
    answer = world.admin.get(f"{path}/details", **query)
    assert answer.status_code == 200, answer.text
    return list(answer.json["monitoringData"])


def test_raw_data_are_the_checks_of_the_range(world: World) -> None:
    register(world, "de-nbg", "Nuremberg (DE)", "DE")
    register(world, "fi-hel", "Helsinki", "FI")
    monitor = world.monitor()
    path = path_of(monitor)
    for minute in range(0, 300, 60):
        record(world, monitor, minute)
        record(world, monitor, minute + 1, location="fi-hel", verdict="down")

    noon, later = iso_milliseconds(NOON), iso_milliseconds(NOON + timedelta(hours=2))
    found = data(world, path, startDate=noon, endDate=later, granularity="raw")

    assert [(each["locationCode"], each["status"]) for each in found] == [
        ("de-nbg", "success"),
        ("fi-hel", "failure"),
    ] * 2
    assert [each["timestamp"] for each in found][:2] == [noon, "2026-01-01T12:01:00.000Z"]
    assert found[0] == {
        "timestamp": noon,
        "status": "success",
        "responseTime": 123,
        "checks": 1,
        "failed": 0,
        "locationCode": "de-nbg",
    }
    whole_day = data(world, path, date="2026-01-01", granularity="raw")
    assert len(whole_day) == 10
    assert data(world, path, date="2025-12-31", granularity="raw") == []
    assert data(world, path, date="2026-01-02", range="week", granularity="raw") == whole_day


def test_more_checks_than_a_page_of_the_log_are_looked_through(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.resources.monitor_details._RAW_PAGE", 3)
    register(world, "de-nbg", "Nuremberg (DE)", "DE")
    monitor = world.monitor()
    for minute in range(40):
        record(world, monitor, minute)
    path = path_of(monitor)

    def minutes(first: int, last: int) -> list[int]:
        begin, end = (iso_milliseconds(NOON + timedelta(minutes=each)) for each in (first, last))
        found = data(world, path, startDate=begin, endDate=end, granularity="raw")
        return [datetime.fromisoformat(each["timestamp"]).minute for each in found]

    assert minutes(20, 31) == list(range(20, 31))
    assert minutes(0, 40) == list(range(10, 40)), "at most ten pages are read"


def test_the_data_of_long_ranges_are_by_days(world: World) -> None:
    register(world, "de-nbg", "Nuremberg (DE)", "DE")
    monitor = world.monitor()
    for minute in (0, 60):
        record(world, monitor, minute)
    catch_up(world)
    path = path_of(monitor)

    by_days = data(world, path, startDate="2026-01-01", endDate="2026-01-10")
    by_hours = data(world, path, startDate="2026-01-01", endDate="2026-01-01")

    assert [each["timestamp"] for each in by_days] == ["2026-01-01T00:00:00.000Z"]
    assert [each["timestamp"] for each in by_hours] == [
        "2026-01-01T12:00:00.000Z",
        "2026-01-01T13:00:00.000Z",
    ]
    assert [each["checks"] for each in by_days] == [2]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"range": "decade"}, "range"),
        ({"date": "yesterday"}, "date"),
        ({"endDate": "2026-13-01"}, "endDate"),
        ({"startDate": "2026-01-02", "endDate": "2026-01-01T12:00:00Z"}, "startDate"),
        ({"startDate": "2020-01-01"}, "startDate"),
        ({"date": "9999-12-31"}, "date"),
    ],
)
def test_a_wrong_time_is_named(world: World, query: dict[str, str], path: str) -> None:
    answer = world.admin.get(f"{path_of(world.monitor())}/details", **query)

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json["errors"]] == [path]


def test_windows_of_the_monitor_are_shown_and_those_that_are_open(world: World) -> None:
    monitor, other = world.monitor(), world.monitor()
    tag = world.admin.post("/api/tags", {"name": "Production", "color": "red"}).json["id"]
    tagged = {"monitorType": "smtp", "monitorId": monitor.number, "tagId": tag}
    assert world.admin.post("/api/monitor-tags", tagged).status_code == 201
    now = utc_now()

    def planned(begin: int, end: int, **target: object) -> dict[str, Any]:
        times = (iso_milliseconds(now + timedelta(hours=each)) for each in (begin, end))
        body = {"name": "Work", **dict(zip(("startTime", "endTime"), times, strict=True)), **target}
        answer = world.admin.post("/api/maintenance-windows", body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json)

    ended = planned(-3, -2, smtpMonitorId=monitor.number)
    current = planned(-1, 1, tagIds=[tag])
    inactive = planned(-1, 1, smtpMonitorId=monitor.number, isActive=False)
    planned(-1, 1, smtpMonitorId=other.number)

    found = world.admin.get(f"{path_of(monitor)}/details").json["maintenance"]

    assert found == {
        "inMaintenance": True,
        "activeWindows": [current],
        "allWindows": [ended, current, inactive],
    }


def test_secrets_are_masked_and_the_path_id_is_checked(world: World) -> None:
    config = {"auth": {"user": "u", "pass": "canary-of-details"}}
    monitor = world.monitor(config=config)

    answer = world.admin.get(f"{path_of(monitor)}/details")
    assert answer.json["monitor"]["config"]["auth"]["pass"] == "********"
    refused = world.admin.get("/api/smtp-monitors/7/details")
    assert (refused.status_code, refused.json["message"]) == (
        400,
        "Invalid SMTP monitor public ID (UUID)",
    )
    assert world.caller("stranger").get(f"{path_of(monitor)}/details").status_code == 404
