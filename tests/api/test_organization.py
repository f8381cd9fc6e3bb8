"""The organization, the locations, and the history of a monitor's checks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from domain.actor import operator
from domain.clock import iso_milliseconds
from tests.api.world import PATHS, SMTP, path_of
from tests.domain.given import NOON, TESTER, check_of

if TYPE_CHECKING:
    from domain.monitor import Monitor
    from tests.api.world import World


LOCATIONS = "/api/monitoring-locations"
TIMINGS = {"dns": 1.0, "connect": 2.5, "total": 123.4}


def outcome(verdict: str = "up", **fields: object) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "category": "ok" if verdict == "up" else "timeout",
        "phase": "done" if verdict == "up" else "connect",
        "message": "SMTP connection successful" if verdict == "up" else "no answer in time",
        "server_reply": None,
        "address": "192.0.2.7",
        "port": 25,
        "timings": TIMINGS,
        "tls": None,
        "warnings": [],
        **fields,
    }


def record(
    world: World,
    monitor: Monitor,
    minute: int,
    *,
    location: str = "de-nbg",
    at: datetime = NOON,
    **fields: Any,  # noqa: ANN401 - any outcome
) -> None:
    check = replace(
        check_of(monitor),
        finished_at=at + timedelta(minutes=minute),
        outcome=outcome(**fields),
    )
    world.store.checks.record([check], location=location, actor=operator("checker"))


def register(world: World, code: str, name: str, country: str | None) -> None:
    world.store.monitoring.register_location(code, name, country, TESTER)
    for projector in world.views.projectors.values():
        projector.catch_up()


def test_the_organization_has_the_documented_keys_in_order(world: World) -> None:
    organization = world.owners["own"].organization

    answer = world.admin.get("/api/organization")

    assert list(answer.json) == [
        *("id", "name", "companyName", "street", "postalCode", "city", "country", "vatId"),
        *("billingEmail", "createdAt", "publicId"),
    ]
    assert (answer.json["id"], answer.json["name"]) == (organization.number, organization.name)
    assert answer.json["publicId"] == str(organization.id)
    assert answer.json["companyName"] is None


def test_a_place_is_active_while_it_checks(fresh_world: World) -> None:
    assert fresh_world.admin.get(LOCATIONS).json == []
    monitor = fresh_world.monitor()
    now = datetime.now(tz=UTC)
    register(fresh_world, "de-nbg", "Nuremberg (DE)", "DE")
    register(fresh_world, "local", "Local", None)
    register(fresh_world, "fi-hel", "Helsinki", "FI")
    record(fresh_world, monitor, 0, at=now - timedelta(hours=1))
    record(fresh_world, monitor, 0, at=now - timedelta(days=3), location="fi-hel")
    fresh_world.views.projector("checks").catch_up()

    listed = fresh_world.admin.get(LOCATIONS).json

    assert [list(each) for each in listed] == [
        ["id", "code", "name", "countryCode", "isActive", "lastCheckAt"]
    ] * 3
    assert [(each["id"], each["code"], each["countryCode"]) for each in listed] == [
        (1, "de-nbg", "DE"),
        (2, "local", None),
        (3, "fi-hel", "FI"),
    ]
    assert [each["isActive"] for each in listed] == [True, True, False]
    assert listed[0]["lastCheckAt"] == iso_milliseconds(now - timedelta(hours=1))
    assert listed[1]["lastCheckAt"] is None


def test_a_retired_place_is_not_listed_and_its_checks_keep_its_name(fresh_world: World) -> None:
    monitor = fresh_world.monitor()
    register(fresh_world, "de-nbg", "Nuremberg (DE)", "DE")
    register(fresh_world, "fi-hel", "Helsinki", "FI")
    record(fresh_world, monitor, 0)
    record(fresh_world, monitor, 1, location="fi-hel")
    before = fresh_world.admin.get(f"{path_of(monitor)}/check-history").json

    fresh_world.store.monitoring.retire_location("de-nbg", TESTER)
    fresh_world.views.projector("monitors").catch_up()

    assert [each["code"] for each in fresh_world.admin.get(LOCATIONS).json] == ["fi-hel"]
    shown = fresh_world.admin.get(f"{path_of(monitor)}/check-history").json
    assert shown == before
    assert [each["locationName"] for each in shown["data"]] == ["Helsinki", "Nuremberg (DE)"]
    register(fresh_world, "de-nbg", "Nuremberg (DE)", "DE")
    listed = fresh_world.admin.get(LOCATIONS).json
    assert [(each["id"], each["code"]) for each in listed] == [(1, "de-nbg"), (2, "fi-hel")]


def test_a_past_answer_counts_the_checks_of_a_retired_place(fresh_world: World) -> None:
    monitor = fresh_world.monitor()
    register(fresh_world, "de-nbg", "Nuremberg (DE)", "DE")
    record(fresh_world, monitor, 0, at=datetime.now(tz=UTC))
    then = fresh_world.views.projector("monitors").log.head()
    fresh_world.store.monitoring.retire_location("de-nbg", TESTER)
    now = iso_milliseconds(datetime.now(tz=UTC))

    before = fresh_world.admin.get(path_of(monitor), asOf=then).json
    after = fresh_world.admin.get(path_of(monitor), asOf=now).json

    assert after["lastCheckedAt"] is not None
    assert before == {**after, "lastCheckedAt": before["lastCheckedAt"]}


@pytest.mark.parametrize(
    ("kind", "timing"), [("smtp", "timingSmtp"), ("imap_pop", "timingImapPop")]
)
def test_a_check_has_the_documented_keys_in_order(world: World, kind: str, timing: str) -> None:
    register(world, "de-nbg", "Nuremberg (DE)", "DE")
    monitor = world.monitor(kind)
    record(world, monitor, 0)

    answer = world.admin.get(f"{path_of(monitor)}/check-history")

    assert list(answer.json) == ["data"]
    (check,) = answer.json["data"]
    assert list(check) == [
        *("id", "status", "errorMessage", "warningMessage", timing, "diagnostics"),
        *("checkedAt", "locationId", "locationName", "locationCode"),
    ]
    assert (check["status"], check["errorMessage"]) == ("success", None)
    assert check[timing] == 123
    assert check["checkedAt"] == "2026-01-01T12:00:00.000Z"
    assert check["locationName"] == "Nuremberg (DE)"
    assert check["locationCode"] == "de-nbg"
    assert check["diagnostics"]["message"] == "SMTP connection successful"
    assert check["diagnostics"]["timings"] == TIMINGS
    assert world.admin.get(f"{path_of(monitor)}/check-history").json == answer.json, "a stable id"


def test_a_failed_check_says_why_and_a_warning_stands_beside_success(world: World) -> None:
    register(world, "de-nbg", "Nuremberg (DE)", "DE")
    monitor = world.monitor()
    warnings = [{"code": "a", "message": "first"}, {"code": "b", "message": "second"}]
    record(world, monitor, 0, warnings=warnings)
    record(world, monitor, 1, verdict="down", timings={})

    down, warned = world.admin.get(f"{path_of(monitor)}/check-history").json["data"]

    assert (down["status"], down["errorMessage"]) == ("failure", "no answer in time")
    assert down["timingSmtp"] == 0
    assert (warned["status"], warned["errorMessage"]) == ("success", None)
    assert warned["warningMessage"] == "first; second"


def test_checks_of_all_places_come_newest_first(world: World) -> None:
    register(world, "de-nbg", "Nuremberg (DE)", "DE")
    register(world, "fi-hel", "Helsinki", "FI")
    monitor, bystander = world.monitor(), world.monitor()
    for minute, location in enumerate(["de-nbg", "fi-hel", "fi-hel", "de-nbg"]):
        record(world, monitor, minute, location=location)
    record(world, bystander, 9)

    data = world.admin.get(f"{path_of(monitor)}/check-history").json["data"]

    assert [each["checkedAt"][14:16] for each in data] == ["03", "02", "01", "00"]
    assert [each["locationCode"] for each in data] == ["de-nbg", "fi-hel", "fi-hel", "de-nbg"]
    limited = world.admin.get(f"{path_of(monitor)}/check-history", limit=3).json["data"]
    assert limited == data[:3]


@pytest.mark.parametrize(("limit", "length"), [(None, 50), (1, 1), (200, 200), (201, 200)])
def test_the_limit_is_50_and_at_most_200(world: World, limit: int | None, length: int) -> None:
    register(world, "de-nbg", "Nuremberg (DE)", "DE")
    monitor = world.monitor()
    checks = [replace(check_of(monitor, minute), outcome=outcome()) for minute in range(205)]
    world.store.checks.record(checks, location="de-nbg", actor=TESTER)

    query = {} if limit is None else {"limit": limit}
    data = world.admin.get(f"{path_of(monitor)}/check-history", **query).json["data"]

    assert len(data) == length
    assert data[0]["checkedAt"] == iso_milliseconds(NOON + timedelta(minutes=204))


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "", "1" * 30])
def test_a_wrong_limit_is_400(world: World, limit: str) -> None:
    answer = world.admin.get(f"{path_of(world.monitor())}/check-history?limit={limit}")

    assert answer.status_code == 400


@pytest.mark.parametrize("kind", ["smtp", "imap_pop"])
def test_a_monitor_without_checks_has_an_empty_history(world: World, kind: str) -> None:
    answer = world.admin.get(f"{path_of(world.monitor(kind))}/check-history")

    assert answer.json == {"data": []}


def test_the_history_of_no_monitor_is_404_and_of_a_malformed_id_400(world: World) -> None:
    for path in PATHS.values():
        assert world.admin.get(f"{path}/{uuid4()}/check-history").status_code == 404
        assert world.admin.get(f"{path}/x/check-history").status_code == 400
    deleted = world.monitor()
    world.admin.delete(path_of(deleted))
    assert world.admin.get(f"{SMTP}/{deleted.id}/check-history").status_code == 404
