"""Each request and each response of the five documents, replayed and compared in order."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from domain.config_secrets import mask_secrets
from tests import documented
from tests.documented import CREATE_SMTP_EN, CREATES, UPDATE_SMTP_DE, Document, Json
from tests.domain.given import TESTER, check_of

if TYPE_CHECKING:
    from domain.monitor import Monitor
    from tests.api.world import Caller, World


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DOCUMENTED_ADDITIONS = ["publicId", "allowedCheckCountryCodes"]


def assert_answers(answer: Json, expected: Json, world: World) -> None:
    """Compare key by key in order; assigned values by their form."""
    documented_keys = list(answer)[: len(expected)]
    assert documented_keys == list(expected)
    assert list(answer)[len(expected) :] == DOCUMENTED_ADDITIONS

    owner = world.owners["own"]
    assert type(answer["id"]) is int
    assert answer["id"] > 0
    assert answer["organizationId"] == owner.organization.number
    assert answer["customerId"] == owner.customer.number
    assert TIME.fullmatch(answer["createdAt"])
    assert TIME.fullmatch(answer["updatedAt"])
    assert str(UUID(answer["publicId"])) == answer["publicId"]

    # As text, so that the order of nested keys counts too.
    same = {key: answer[key] for key in documented_keys if key not in documented.ASSIGNED}
    wanted = {key: value for key, value in expected.items() if key not in documented.ASSIGNED}
    assert json.dumps(same) == json.dumps(wanted)


def with_customer(body: Json, customer: Any) -> Json:  # noqa: ANN401 - a number or a UUID
    return {**body, "customerId": customer}


def page(document: Document) -> str:
    return document.page.removeprefix("https://docs.uptimeify.io/")


@pytest.mark.parametrize("document", CREATES, ids=page)
def test_a_documented_curl_line_gets_the_documented_response(
    world: World, admin: Caller, document: Document
) -> None:
    owner = world.owners["own"].customer

    answer = admin.post(document.path, with_customer(document.curl, str(owner.id)))

    assert answer.status_code == 201
    assert_answers(answer.json, document.response, world)


@pytest.mark.parametrize("document", CREATES, ids=page)
def test_a_documented_request_body_comes_back_with_its_config_as_sent(
    world: World, admin: Caller, document: Document
) -> None:
    owner = world.owners["own"].customer
    config = next(key for key in document.body if key.endswith("Config"))
    expected = {**document.response, "config": document.body[config]}
    expected[config] = document.body[config]

    answer = admin.post(document.path, with_customer(document.body, str(owner.id)))

    assert answer.status_code == 201
    assert_answers(answer.json, expected, world)


@pytest.mark.parametrize("document", CREATES, ids=page)
def test_the_customer_may_be_named_by_its_number(
    world: World, admin: Caller, document: Document
) -> None:
    owner = world.owners["own"].customer

    answer = admin.post(document.path, with_customer(document.curl, owner.number))

    assert answer.status_code == 201
    assert_answers(answer.json, document.response, world)


@pytest.mark.parametrize("document", CREATES, ids=page)
def test_the_documented_customer_itself_is_unknown_here(admin: Caller, document: Document) -> None:
    answer = admin.post(document.path, document.curl)

    assert (answer.status_code, answer.json["message"]) == (404, "Customer not found")


def test_the_documented_update_gets_the_documented_response(world: World, admin: Caller) -> None:
    # The cURL line carries no secret, so here its answer shows the mask; the page echoes it.
    config = mask_secrets(UPDATE_SMTP_DE.response["config"])
    masked = {**UPDATE_SMTP_DE.response, "config": config, "smtpConfig": config}
    owner = world.owners["own"].customer
    created = admin.post(CREATE_SMTP_EN.path, with_customer(CREATE_SMTP_EN.curl, owner.number))
    public_id = created.json["publicId"]
    monitor: Monitor = world.store.monitoring.repository.get(UUID(public_id))
    world.store.checks.record([check_of(monitor)], location="local", actor=TESTER)
    world.views.projector("checks").catch_up()
    path = UPDATE_SMTP_DE.path.replace(":smtpMonitorPublicId", public_id)

    by_body = admin.patch(path, UPDATE_SMTP_DE.body)
    by_curl = admin.patch(path, UPDATE_SMTP_DE.curl)

    for answer, expected in ((by_body, UPDATE_SMTP_DE.response), (by_curl, masked)):
        assert answer.status_code == 200
        assert_answers(answer.json, expected, world)
        assert answer.json["allowedCheckCountryCodes"] == ["DE", "US"]
        assert answer.json["createdAt"] == created.json["createdAt"]
        assert answer.json["updatedAt"] >= answer.json["createdAt"]
    assert by_body.json | {"config": config, "smtpConfig": config} == by_curl.json


def test_reading_masks_what_writing_echoes(world: World, admin: Caller) -> None:
    owner = world.owners["own"].customer
    created = admin.post(CREATE_SMTP_EN.path, with_customer(CREATE_SMTP_EN.curl, owner.number))

    read = admin.get(created.headers["location"]).json

    assert created.json["config"]["auth"] == {"user": "username", "pass": "password"}
    assert read["config"]["auth"] == {"user": "username", "pass": "********"}
    assert read["smtpConfig"] == read["config"]
