"""Maintenance windows over the API (contract part B, 12; D-4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from domain.monitor import Monitor
    from tests.api.world import World


pytestmark = pytest.mark.any_engine
PATH = "/api/maintenance-windows"
TIMES = {"startTime": "2026-07-10T22:00:00.000Z", "endTime": "2026-07-11T01:00:00.000Z"}


def window(world: World, **keys: object) -> dict[str, Any]:
    """Return a body for a window of a customer's monitors."""
    customer = {"customerId": world.owners["own"].customer.number}
    return {"name": "Database migration", **TIMES, **customer, **keys}


def problems(answer: Any) -> dict[str, str]:  # noqa: ANN401 - any answer
    return {each["path"]: each["code"] for each in answer.json["errors"]}


def test_the_documented_example_is_planned_and_shown(world: World) -> None:
    one, other = world.monitor(), world.monitor("imap_pop")
    tag = world.admin.post("/api/tags", {"name": "Production", "color": "red"}).json
    body = {
        "name": "Weekly deployment",
        **TIMES,
        "targets": [{"type": "smtp", "id": one.number}, {"type": "imap_pop", "id": other.number}],
        "tagIds": [tag["id"]],
        "description": "Planned schema migration",
        "isRecurring": True,
        "recurrencePattern": {"frequency": "weekly", "interval": 1, "daysOfWeek": [1]},
        "isActive": True,
    }

    made = world.admin.post(PATH, body)

    assert made.status_code == 201, made.text
    assert list(made.json) == [
        "id",
        "publicId",
        "organizationId",
        "customerId",
        "name",
        "description",
        "startTime",
        "endTime",
        "isRecurring",
        "recurrencePattern",
        "isActive",
        "targets",
        "tags",
        "websiteId",
        "icmpMonitorId",
        "smtpMonitorId",
        "sshMonitorId",
        "ftpMonitorId",
        "imapPopMonitorId",
        "dnsMonitorId",
        "customerIpId",
        "customerDomainId",
        "createdAt",
        "updatedAt",
        "createdBy",
        "timeZone",
    ]
    assert made.json["targets"] == body["targets"]
    assert made.json["tags"] == [{key: tag[key] for key in ("id", "name", "color")}]
    assert made.json["recurrencePattern"] == body["recurrencePattern"]
    path = f"{PATH}/{made.json['id']}"
    assert made.headers["Location"] == path
    assert world.admin.get(path).json == made.json
    assert made.json in world.admin.get(PATH).json


def test_a_client_may_send_back_what_it_got(world: World) -> None:
    made = world.admin.post(PATH, window(world)).json
    path = f"{PATH}/{made['id']}"

    changed = world.admin.patch(path, {**made, "name": "Renamed", "createdBy": None})

    assert changed.status_code == 400
    body = {key: value for key, value in made.items() if key != "createdBy"}
    changed = world.admin.patch(path, {**body, "name": "Renamed"})
    assert changed.json == {**made, "name": "Renamed", "updatedAt": changed.json["updatedAt"]}


def test_one_monitor_is_named_as_older_clients_do(world: World) -> None:
    monitor = world.monitor("imap_pop")
    body = {"name": "One", **TIMES, "imapPopMonitorId": str(monitor.id), "websiteId": None}

    made = world.admin.post(PATH, body)

    assert made.json["imapPopMonitorId"] == monitor.number
    assert made.json["targets"] == [{"type": "imap_pop", "id": monitor.number}]


def test_a_cancelled_window_is_gone(world: World) -> None:
    made = world.admin.post(PATH, window(world)).json
    path = f"{PATH}/{made['id']}"

    assert world.admin.delete(path).json == {"success": True}
    assert world.admin.get(path).status_code == 404
    assert made["id"] not in [each["id"] for each in world.admin.get(PATH).json]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"endTime": TIMES["startTime"]}, {"endTime": "order"}),
        ({"startTime": "tomorrow"}, {"startTime": "time"}),
        ({"timeZone": "Mars/Base"}, {"timeZone": "invalid"}),
        ({"description": "x" * 2001}, {"description": "too_long"}),
        ({"description": 5}, {"description": "type"}),
        ({"isActive": 1}, {"isActive": "type"}),
        ({"isRecurring": True}, {"recurrencePattern": "required"}),
        ({"recurrencePattern": {"frequency": "hourly"}}, {"recurrencePattern": "invalid"}),
        ({"recurrencePattern": []}, {"recurrencePattern": "type"}),
        ({"targets": {}}, {"targets": "type"}),
        ({"targets": [{"type": {}, "id": 1}]}, {"targets": "invalid"}),
        ({"targets": [{"type": "website", "id": 1}]}, {"targets": "invalid"}),
        ({"targets": [{"type": "smtp", "id": 10**9}]}, {"targets": "not_found"}),
        ({"targets": [{"type": "smtp", "id": 1}] * 201}, {"targets": "too_long"}),
        ({"tagIds": 5}, {"tagIds": "type"}),
        ({"tagIds": ["x"]}, {"tagIds": "type"}),
        ({"tagIds": [10**9]}, {"tagIds": "not_found"}),
        ({"tagIds": [1] * 201}, {"tagIds": "too_long"}),
        ({"customerId": 10**9}, {"customerId": "not_found"}),
        ({"customerId": "x"}, {"customerId": "type"}),
        ({"customerId": None}, {"targets": "required"}),
        ({"websiteId": 5}, {"websiteId": "unsupported"}),
        ({"startsAt": TIMES["startTime"]}, {"startsAt": "unknown"}),
    ],
)
def test_a_wrong_field_is_named(
    world: World, keys: dict[str, object], expected: dict[str, str]
) -> None:
    before = len(world.admin.get(PATH).json)

    answer = world.admin.post(PATH, window(world, **keys))

    assert answer.status_code == 400, answer.text
    assert problems(answer) == expected
    assert len(world.admin.get(PATH).json) == before


def test_a_token_of_a_customer_plans_for_that_customer_only(world: World) -> None:
    scoped = world.caller("scoped_user")
    other = world.owners["other"].customer.number

    own = scoped.post(PATH, window(world))
    assert own.json["customerId"] == world.owners["own"].customer.number
    assert scoped.post(PATH, window(world, customerId=other)).status_code == 403
    foreign = world.admin.post(PATH, window(world, customerId=other)).json
    assert scoped.get(f"{PATH}/{foreign['id']}").status_code == 403
    assert scoped.delete(f"{PATH}/{foreign['id']}").status_code == 403
    assert foreign["id"] not in [each["id"] for each in scoped.get(PATH).json]
    listed = world.admin.get(PATH, customerId=other).json
    assert {each["customerId"] for each in listed} == {other}
    taken = scoped.patch(f"{PATH}/{own.json['id']}", {"customerId": other})
    assert taken.status_code == 403


def test_a_token_of_a_customer_sees_of_windows_of_all_what_is_its_own(world: World) -> None:
    scoped = world.caller("scoped_user")
    own, foreign = world.monitor(), world.monitor(whose="other")

    def plan(*monitors: Monitor, **keys: object) -> int:
        targets = [{"type": "smtp", "id": each.number} for each in monitors]
        body = window(world, customerId=None, targets=targets, **keys)
        planned: int = world.admin.post(PATH, body).json["id"]
        return planned

    of_both, of_other = plan(own, foreign), plan(foreign)
    tag = world.admin.post("/api/tags", {"name": "Any", "color": "red"}).json["id"]
    of_tag = plan(foreign, tagIds=[tag])

    shown = {each["id"]: each for each in scoped.get(PATH).json}
    assert shown[of_both]["targets"] == [{"type": "smtp", "id": own.number}]
    assert shown[of_tag]["targets"] == []
    assert of_other not in shown
    assert scoped.get(f"{PATH}/{of_other}").status_code == 403
    assert len(world.admin.get(f"{PATH}/{of_both}").json["targets"]) == 2


def test_a_window_of_another_organization_is_not_found(world: World) -> None:
    made = world.admin.post(PATH, window(world)).json

    assert world.caller("stranger").get(f"{PATH}/{made['id']}").status_code == 404
    assert world.caller("supporter").get(f"{PATH}/{made['id']}").status_code == 200
