"""Liveness, readiness and the numbers for Prometheus."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.app import Options
from domain.clock import utc_now
from domain.commands import UpdateMonitor
from store.archiving import Archiver
from tests.api.world import SMTP, another_worker
from tests.domain.given import TESTER, check_of
from tests.intruder import intruder_of

if TYPE_CHECKING:
    from tests.api.world import Caller, World


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(world: World) -> Samples:
    caller = world.caller("metrics")
    answer = caller.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


def test_a_worker_that_answers_is_alive(world: World) -> None:
    answer = world.caller("nobody").get("/healthz")

    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_a_fit_service_is_ready_and_says_so_of_each_part(world: World) -> None:
    world.views.projector("monitors").catch_up()

    answer = world.caller("nobody").get("/readyz")

    assert answer.status_code == 200
    assert answer.json == {
        "status": "ok",
        "parts": {
            "log": {"ok": True},
            "view monitors": {"ok": True, "lag": 0},
            "view checks": {"ok": True, "lag": 0},
        },
    }


def test_it_is_not_ready_while_another_writer_holds_the_log(fresh_world: World) -> None:
    with intruder_of(fresh_world.store).writing("monitoring"):
        started = time.monotonic()
        answer = fresh_world.caller("nobody").get("/readyz")
        seconds = time.monotonic() - started

    assert answer.status_code == 503
    assert answer.json["status"] == "unfit"
    assert answer.json["parts"]["log"]["error"] in {"OperationalError", "accepts no writes now"}
    assert not answer.json["parts"]["log"]["ok"]
    assert answer.json["parts"]["view monitors"]["ok"]
    assert seconds < 5, "a probe must not wait as long as a command"
    assert fresh_world.caller("nobody").get("/readyz").status_code == 200


@pytest.mark.parametrize("name", ["monitors", "checks"])
def test_it_is_not_ready_while_a_view_is_far_behind(fresh_world: World, name: str) -> None:
    monitor = fresh_world.monitor()
    for number in range(1, 5):
        if name == "monitors":
            update = UpdateMonitor(monitor.id, {"port": number})
            fresh_world.store.monitoring.update_monitor(update, TESTER)
        else:
            check = check_of(monitor, number)
            fresh_world.store.checks.record([check], location="local", actor=TESTER)

    with another_worker(fresh_world, Options(max_view_lag=2)) as worker:
        answer = worker.caller("nobody").get("/readyz")
        worker.views.projector(name).catch_up()
        after = worker.caller("nobody").get("/readyz")

    assert answer.status_code == 503
    assert answer.json["parts"][f"view {name}"] == {"ok": False, "lag": 4}
    assert [part["ok"] for part in answer.json["parts"].values()].count(False) == 1
    assert after.status_code == 200


def test_requests_count_by_method_route_and_status(world: World, admin: Caller) -> None:
    path = f"{SMTP}/{world.monitor().id}"
    before = samples(world)

    for _ in range(3):
        admin.get(path)
    admin.get(f"{SMTP}/x")
    admin.get("/api/nothing")
    after = samples(world)

    def counted(**labels: str) -> float:
        name = "postwatch_http_requests_total"
        return value(after, name, **labels) - value(before, name, **labels)

    route = f"{SMTP}/{{public_id}}"
    assert counted(method="GET", route=route, status="200") == 3
    assert counted(method="GET", route=route, status="400") == 1
    assert counted(method="GET", route="none", status="404") == 1
    assert not any(str(world.owners["own"].customer.id) in str(each) for each in after)
    duration = "postwatch_http_request_duration_seconds"
    timed = {"method": "GET", "route": route}
    assert value(after, f"{duration}_count", **timed) - value(
        before, f"{duration}_count", **timed
    ) == pytest.approx(4)
    assert value(after, f"{duration}_bucket", **timed, le="+Inf") == value(
        after, f"{duration}_count", **timed
    )


def test_commands_count_by_what_they_recorded(world: World, admin: Caller) -> None:
    before = samples(world)

    made = admin.post(SMTP, world.body()).headers["location"]
    admin.patch(made, {"port": 2525})
    admin.patch(made, {"port": 2525})
    admin.delete(made)
    after = samples(world)

    name = "postwatch_events_recorded_total"
    recorded = {
        event: value(after, name, event=event) - value(before, name, event=event)
        for event in ("MonitorCreated", "MonitorUpdated", "MonitorDeleted", "Registered")
    }
    assert recorded == {
        "MonitorCreated": 1,
        "MonitorUpdated": 1,
        "MonitorDeleted": 1,
        "Registered": 1,
    }


def test_positions_and_lags_are_those_of_the_store(fresh_world: World) -> None:
    monitor = fresh_world.monitor()
    fresh_world.admin.get(SMTP)
    fresh_world.views.projector("monitors").catch_up()
    fresh_world.store.checks.record([check_of(monitor)], location="local", actor=TESTER)

    found = samples(fresh_world)

    head = fresh_world.store.monitoring.recorder.max_notification_id()
    assert value(found, "postwatch_log_position", log="monitoring") == head
    assert value(found, "postwatch_log_position", log="checks") == 1
    assert value(found, "postwatch_view_lag_events", view="monitors") == 0
    assert value(found, "postwatch_view_lag_events", view="checks") == 1
    assert value(found, "postwatch_archived_checks") == 0


def test_the_archive_is_counted(fresh_world: World) -> None:
    store, monitor = fresh_world.store, fresh_world.monitor()
    store.checks.record([check_of(monitor, n) for n in range(5)], location="local", actor=TESTER)
    moved = Archiver(store, TESTER).run(timedelta(days=1), through=4)

    found = samples(fresh_world)

    assert value(found, "postwatch_archived_checks") == 4
    assert value(found, "postwatch_archive_position") == 4
    assert value(found, "postwatch_archive_bytes") == moved.size
    assert value(found, "postwatch_log_bytes", log="checks") > 1000
    assert ("postwatch_archive_lag_seconds", frozenset()) not in found


@pytest.mark.parametrize(
    ("days", "lag", "ok"), [(0.5, 0, True), (1.5, 0.5, True), (2.9, 1.9, True), (3.1, 2.1, False)]
)
def test_how_late_archiving_is_does_not_make_the_service_unfit(
    fresh_world: World, days: float, lag: float, *, ok: bool
) -> None:
    store, monitor = fresh_world.store, fresh_world.monitor()
    for each in (days + 90, days, 0):
        check = replace(check_of(monitor), finished_at=utc_now() - timedelta(days=each))
        store.checks.record([check], location="local", actor=TESTER)
    fresh_world.views.projector("monitors").catch_up()
    fresh_world.views.projector("checks").catch_up()
    Archiver(store, TESTER).run(timedelta(days=90), through=1)

    with another_worker(fresh_world, Options(archive_after=timedelta(days=1))) as worker:
        answer = worker.caller("nobody").get("/readyz")
        found = samples(worker)

    assert (answer.status_code, answer.json["status"]) == (200, "ok")
    part = answer.json["parts"]["archive"]
    assert part["ok"] == ok
    assert part["lagSeconds"] == pytest.approx(lag * 86400, abs=120)
    assert value(found, "postwatch_archive_lag_seconds") == pytest.approx(lag * 86400, abs=120)


def test_a_damaged_check_has_no_age(fresh_world: World) -> None:
    store, monitor = fresh_world.store, fresh_world.monitor()
    store.checks.record([check_of(monitor)], location="local", actor=TESTER)
    intruder_of(store).sql("checks", "UPDATE {events} SET state = '{{}}'")

    with another_worker(fresh_world, Options(archive_after=timedelta(days=1))) as worker:
        answer = worker.caller("nobody").get("/readyz")
        found = samples(worker)

    assert answer.json["parts"]["archive"] == {"ok": False, "error": "damaged"}
    assert ("postwatch_archive_lag_seconds", frozenset()) not in found
    assert value(found, "postwatch_store_away") == 0
