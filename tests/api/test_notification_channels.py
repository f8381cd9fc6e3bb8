"""Notification channels over the API (contract part B, 13.1; D-5)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from domain.channel_types import CHANNEL_TYPES
from domain.notification_channel import MAX_CHANNELS, NotificationChannel
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from tests.api.world import World


pytestmark = pytest.mark.any_engine

PATH: Final = "/api/notification-channels"
DOCUMENTED: Final[dict[str, Any]] = {
    "id": 1,
    "organizationId": 1,
    "customerId": None,
    "websiteId": None,
    "type": "email",
    "category": "direct",
    "name": "Ops Email",
    "config": {"email": "ops@example.com", "to": "Ops Team"},
    "priority": 1,
    "delaySeconds": 0,
    "conditions": None,
    "isActive": True,
    "allowedPackageTypes": None,
}
"""The documented answer."""

EMAIL: Final = {
    "type": "email",
    "name": "Ops Email",
    "config": {"email": "ops@example.com", "to": "Ops Team"},
}
SECRET: Final = "canary-secret-9f1c"
WEBHOOK: Final[dict[str, Any]] = {
    "type": "webhook",
    "name": "Ticket system",
    "config": {"url": "https://hooks.example.com/x", "secret": SECRET, "timeout": 5},
}
CONDITIONS: Final = {"onlyFullService": True, "minIncidentDuration": 300}
"""The documented conditions."""


def problems(answer: Any) -> dict[str, str]:  # noqa: ANN401 - any answer
    assert answer.status_code == 400, answer.text
    return {each["path"]: each["code"] for each in answer.json["errors"]}


def test_a_channel_is_created_and_listed_in_the_documented_shape(world: World) -> None:
    made = world.admin.post(PATH, EMAIL)

    assert made.status_code == 201, made.text
    assert made.headers["Location"] == f"{PATH}/{made.json['id']}"
    assert list(made.json)[: len(DOCUMENTED)] == list(DOCUMENTED)
    own = {"id": made.json["id"], "organizationId": world.owners["own"].organization.number}
    config = {**DOCUMENTED["config"], "hasSecret": False}
    assert made.json.items() >= {**DOCUMENTED, **own, "config": config}.items()
    assert made.json["warnings"] == [
        {"code": "never_tested", "message": "No test message was sent by this channel yet"}
    ]
    assert made.json in world.admin.get(PATH).json


def test_a_config_and_conditions_may_be_a_json_text(world: World) -> None:
    body = {**EMAIL, "config": json.dumps(EMAIL["config"]), "conditions": json.dumps(CONDITIONS)}

    made = world.admin.post(PATH, body).json

    assert made["config"]["email"] == "ops@example.com"
    assert made["conditions"] == CONDITIONS


def test_the_category_follows_from_the_type(world: World) -> None:
    slack = {"type": "slack", "name": "Chat", "config": {"url": "https://hooks.example.com/t/1"}}

    made = world.admin.post(PATH, slack)

    assert (made.status_code, made.json["category"]) == (201, "integration")
    assert problems(world.admin.post(PATH, {**slack, "category": "direct"})) == {
        "category": "invalid"
    }
    assert problems(world.admin.post(PATH, {**slack, "category": "chat"})) == {
        "category": "invalid"
    }


def test_a_secret_is_never_shown_and_stays_until_another_one_is_sent(world: World) -> None:
    made = world.admin.post(PATH, WEBHOOK)
    assert made.json["config"] == {
        "url": "https://hooks.example.com/x",
        "secret": None,
        "timeout": 5,
        "hasSecret": True,
    }
    path = f"{PATH}/{made.json['id']}"

    sent_back = world.admin.patch(path, made.json)
    assert (sent_back.status_code, sent_back.json) == (200, made.json), "nothing changed"

    change = {"config": {"timeout": None, "method": "PUT"}}
    changed = world.admin.patch(path, change)
    assert changed.json["config"] == {
        "url": "https://hooks.example.com/x",
        "secret": None,
        "method": "PUT",
        "hasSecret": True,
    }
    other = world.admin.patch(path, {"config": {"secret": f"{SECRET}-2"}})
    history = world.admin.get("/api/events", thing=made.json["publicId"])
    listed = world.admin.get(PATH)
    for answer in (made, changed, other, history, listed):
        assert SECRET not in answer.text
    assert other.json["config"]["hasSecret"] is True


def test_a_change_names_what_it_changes_and_null_clears(world: World) -> None:
    customer = world.owners["own"].customer.number
    body = {
        **EMAIL,
        "customerId": customer,
        "conditions": CONDITIONS,
        "allowedPackageTypes": ["pro", "pro"],
        "priority": 5,
    }
    made = world.admin.post(PATH, body).json
    assert made["allowedPackageTypes"] == ["pro"]
    path = f"{PATH}/{made['id']}"

    changed = world.admin.patch(
        path,
        {
            "isActive": False,
            "delaySeconds": 900,
            "conditions": None,
            "allowedPackageTypes": None,
            "customerId": None,
            "category": None,
        },
    ).json

    assert changed["updatedAt"] >= made["updatedAt"]
    assert changed == {
        **made,
        "isActive": False,
        "delaySeconds": 900,
        "conditions": None,
        "allowedPackageTypes": None,
        "customerId": None,
        "updatedAt": changed["updatedAt"],
    }
    assert world.admin.patch(path, {"allowedPackageTypes": []}).json == changed


def test_the_type_of_a_channel_is_fixed(world: World) -> None:
    made = world.admin.post(PATH, EMAIL).json
    path = f"{PATH}/{made['id']}"

    assert problems(world.admin.patch(path, {"type": "sms"})) == {"type": "fixed"}
    assert world.admin.patch(path, {"type": "email"}).json == made


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"type": "pigeon"}, {"type": "invalid"}),
        (
            {"config": {"email": "nobody", "url": 1}},
            {"config.email": "invalid", "config.url": "unknown"},
        ),
        ({"config": {"to": "Ops"}}, {"config.email": "required"}),
        ({"config": None}, {"config": "type"}),
        ({"config": "{"}, {"config": "type"}),
        ({"conditions": {"sometimes": 1}}, {"conditions.sometimes": "unknown"}),
        ({"conditions": "[]"}, {"conditions": "type"}),
        ({"priority": 0, "delaySeconds": True}, {"priority": "range", "delaySeconds": "range"}),
        ({"isActive": None}, {"isActive": "type"}),
        ({"allowedPackageTypes": "pro"}, {"allowedPackageTypes": "type"}),
        ({"websiteId": 7, "sourceChannelId": None}, {"websiteId": "unsupported"}),
        ({"customerId": 999_999}, {"customerId": "not_found"}),
        ({"organizationId": 999_999}, {"organizationId": "not_found"}),
        ({"prio": 1}, {"prio": "unknown"}),
    ],
)
def test_every_wrong_field_is_named(
    world: World, change: dict[str, Any], expected: dict[str, str]
) -> None:
    assert problems(world.admin.post(PATH, {**EMAIL, **change})) == expected


def test_a_field_that_is_missing_is_named(world: World) -> None:
    assert problems(world.admin.post(PATH, {})) == dict.fromkeys(
        ("type", "name", "config"), "required"
    )
    with_null = {**EMAIL, "websiteId": None, "sourceChannelId": None, "organizationId": None}
    assert world.admin.post(PATH, with_null).status_code == 201


def test_a_required_key_of_a_config_cannot_be_cleared(world: World) -> None:
    made = world.admin.post(PATH, EMAIL).json

    answer = world.admin.patch(f"{PATH}/{made['id']}", {"config": {"email": None}})

    assert problems(answer) == {"config.email": "required"}


def test_a_list_shows_the_channels_of_a_customer(world: World) -> None:
    other = world.owners["other"].customer.number
    made = world.admin.post(PATH, {**EMAIL, "customerId": other}).json
    everyone = world.admin.post(PATH, EMAIL).json

    found = world.admin.get(PATH, customerId=other).json

    assert made in found
    assert everyone not in found
    refused = world.admin.get(PATH, websiteId=1)
    assert refused.json["errors"][0]["path"] == "websiteId"


def test_a_token_of_one_customer_manages_the_channels_of_that_customer(world: World) -> None:
    other = world.owners["other"].customer.number
    foreign = world.admin.post(PATH, {**EMAIL, "customerId": other}).json
    everyone = world.admin.post(PATH, EMAIL).json
    scoped = world.caller("scoped_user")

    made = scoped.post(PATH, EMAIL)

    assert made.json["customerId"] == world.owners["own"].customer.number
    listed = scoped.get(PATH).json
    assert made.json in listed
    assert foreign not in listed
    assert everyone not in listed, "addresses of the organization's own people"
    assert scoped.post(PATH, {**EMAIL, "customerId": other}).status_code == 403
    for channel in (foreign, everyone):
        assert scoped.patch(f"{PATH}/{channel['id']}", {"name": "Mine"}).status_code == 403
        assert scoped.delete(f"{PATH}/{channel['id']}").status_code == 403
    path = f"{PATH}/{made.json['id']}"
    assert scoped.patch(path, {"customerId": None}).status_code == 403
    assert scoped.delete(path).json == {"success": True}


def test_a_channel_of_another_organization_is_not_found(world: World) -> None:
    made = world.caller("stranger").post(PATH, EMAIL).json

    assert world.admin.patch(f"{PATH}/{made['id']}", {"name": "x"}).status_code == 404
    assert world.admin.delete(f"{PATH}/{made['publicId']}").status_code == 404
    answer = world.admin.patch(f"{PATH}/first", {"name": "x"})
    assert answer.json["message"] == "Invalid notification channel ID"


@pytest.mark.parametrize("name", [name for name, each in CHANNEL_TYPES.items() if each.needs_extra])
def test_types_that_need_an_extra_are_for_admins(world: World, name: str) -> None:
    body = {"type": name, "name": "Chat", "config": {"url": "ntfys://topic"}}

    assert world.caller("user").post(PATH, body).status_code == 403
    made = world.admin.post(PATH, body)
    assert made.status_code == 201
    path = f"{PATH}/{made.json['id']}"
    assert world.caller("user").patch(path, {"name": "Mine"}).status_code == 403
    assert world.caller("user").delete(path).status_code == 403
    assert world.admin.delete(path).json == {"success": True}


def test_an_organization_has_a_limited_number_of_channels(world: World) -> None:
    organization, resources = world.owners["own"].organization.id, world.store.monitoring.resources
    free = MAX_CHANNELS - len(world.admin.get(PATH).json)
    made = [
        resources.create(NotificationChannel, organization, dict(EMAIL), TESTER)
        for _ in range(free)
    ]
    world.views.projector("monitors").catch_up()

    answer = world.admin.post(PATH, EMAIL)

    for channel in made:
        resources.delete(NotificationChannel, organization, channel.id, TESTER)
    assert answer.status_code == 409
    assert f"has {MAX_CHANNELS} already" in answer.json["message"]


def test_the_test_of_a_channel_is_still_absent(world: World) -> None:
    answer = world.admin.post(f"{PATH}/test", {})

    assert answer.status_code == 501
    assert f"POST {PATH}/test" in answer.json["message"]
