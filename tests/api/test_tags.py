"""Tags and tags on monitors over the API (contract part B, 14)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from domain.tag import MAX_TAGS, Tag
from tests.api.world import path_of
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from tests.api.world import World


pytestmark = pytest.mark.any_engine
TAG = {"name": "Production", "color": "red"}


def test_a_tag_is_created_changed_listed_and_deleted(world: World) -> None:
    made = world.admin.post("/api/tags", TAG)

    assert made.status_code == 201
    assert list(made.json) == [
        "id",
        "publicId",
        "organizationId",
        "name",
        "color",
        "createdBy",
        "createdAt",
        "updatedAt",
    ]
    assert made.headers["Location"] == f"/api/tags/{made.json['id']}"
    path = f"/api/tags/{made.json['id']}"
    changed = world.admin.patch(path, {"color": "blue"})
    assert changed.json["color"] == "blue"
    assert changed.json in world.admin.get("/api/tags").json
    assert world.admin.delete(path).json == {"success": True}
    assert changed.json not in world.admin.get("/api/tags").json
    assert world.admin.patch(path, {"color": "red"}).status_code == 404


def test_wrong_fields_are_named_at_once(world: World) -> None:
    answer = world.admin.post("/api/tags", {"name": "x" * 51, "color": "purple", "colour": "red"})

    assert answer.status_code == 400
    assert {each["path"]: each["code"] for each in answer.json["errors"]} == {
        "name": "too_long",
        "color": "invalidTagColor",
        "colour": "unknown",
    }


def test_a_tag_of_another_organization_is_not_found(world: World) -> None:
    made = world.caller("stranger").post("/api/tags", TAG)

    assert world.admin.patch(f"/api/tags/{made.json['id']}", TAG).status_code == 404
    assert made.json not in world.admin.get("/api/tags").json


def test_readonly_sees_and_changes_its_own_tags(world: World) -> None:
    world.admin.post("/api/tags", TAG)
    reader = world.caller("readonly")
    own = reader.post("/api/tags", {"name": "Mine", "color": "teal"}).json

    assert own in reader.get("/api/tags").json
    assert {each["createdBy"] for each in reader.get("/api/tags").json} == {own["createdBy"]}
    assert reader.patch(f"/api/tags/{own['id']}", {"name": "Still mine"}).status_code == 200


def test_an_admin_of_one_customer_changes_no_tag_of_others(world: World) -> None:
    tag = world.admin.post("/api/tags", TAG).json
    path = f"/api/tags/{tag['id']}"
    scoped = world.caller("scoped_admin")
    own = scoped.post("/api/tags", TAG).json

    assert scoped.patch(path, {"name": "Taken"}).status_code == 403
    assert scoped.delete(path).status_code == 403
    assert tag in world.admin.get("/api/tags").json
    assert scoped.patch(f"/api/tags/{own['id']}", {"name": "Own"}).status_code == 200


def test_a_monitor_gets_a_tag_once_and_loses_it(world: World) -> None:
    tag = world.admin.post("/api/tags", TAG).json["id"]
    monitor = world.monitor()
    body = {"monitorType": "smtp", "monitorId": monitor.number, "tagId": tag}

    first = world.admin.post("/api/monitor-tags", body)
    again = world.admin.post("/api/monitor-tags", body)

    assert (first.status_code, again.json) == (201, first.json)
    assert first.json["monitorId"] == monitor.number
    shown = world.admin.get(f"{path_of(monitor)}/history").json
    assert "MonitorFirstTagged" in json.dumps(shown)
    gone = world.admin.send("DELETE", "/api/monitor-tags", json.dumps(body))
    assert gone.status_code == 204
    assert world.admin.send("DELETE", "/api/monitor-tags", json.dumps(body)).status_code == 204


def test_an_unknown_monitor_or_tag_is_not_found(world: World) -> None:
    tag = world.admin.post("/api/tags", TAG).json["id"]
    foreign = world.monitor(whose="other")
    own = world.monitor()

    for number, tag_id in ((foreign.number + 100, tag), (own.number, tag + 100)):
        body = {"monitorType": "smtp", "monitorId": number, "tagId": tag_id}
        assert world.admin.post("/api/monitor-tags", body).status_code == 404


def test_an_organization_has_a_limited_number_of_tags(world: World) -> None:
    organization, resources = world.owners["own"].organization.id, world.store.monitoring.resources
    fields = {"name": "One of many", "color": "red"}
    free = MAX_TAGS - len(world.admin.get("/api/tags").json)
    made = [resources.create(Tag, organization, fields, TESTER) for _ in range(free)]

    world.views.projector("monitors").catch_up()
    answer = world.admin.post("/api/tags", TAG)

    for tag in made:
        resources.delete(Tag, organization, tag.id, TESTER)
    assert answer.status_code == 409
    assert f"has {MAX_TAGS} already" in answer.json["message"]
