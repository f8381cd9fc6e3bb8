"""Customers: shapes key by key, validation, scope, and sending back what was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.api.world import SMTP

if TYPE_CHECKING:
    from tests.api.world import Caller, World


PATH = "/api/customers"
CREATED = (
    *("id", "publicId", "organizationId", "name", "email", "notificationPhoneNumber"),
    *("notificationEmail", "packageId", "packageType", "status", "allowedCheckCountryCodes"),
    *("cancellationDate", "cancelledAt", "customFields", "monthlyReportsEnabled"),
    *("notificationChannels", "notificationTargets", "notificationRules"),
    *("smsUsageCurrentMonth", "createdAt", "updatedAt", "alertLocationThresholdCount"),
)
READ = (
    *("id", "publicId", "organizationId", "name", "email", "notificationPhoneNumber"),
    *("notificationEmail", "packageId", "packageDisplayName", "status", "customFields"),
    *("monthlyReportsEnabled", "notificationChannels", "notificationTargets"),
    *("notificationRules", "smsUsageCurrentMonth", "updatedAt", "createdAt"),
    *("allowedCheckCountryCodes", "alertLocationThresholdCount"),
)
LISTED = (
    *("id", "organizationId", "name", "email", "packageId", "packageDisplayName", "status"),
    *("cancellationDate", "notificationEmail", "createdAt", "publicId"),
)
FULL = {
    "name": "Example Customer",
    "email": "example@test.com",
    "packageType": "essential",
    "status": "inactive",
    "notificationEmail": "alerts@example.com",
    "notificationPhoneNumber": "+491701234567",
    "monthlyReportsEnabled": False,
    "customFields": {"region": "EU", "planOwner": "Operations"},
    "allowedCheckCountryCodes": ["DE", "US"],
    "alertLocationThresholdCount": 3,
}


def create(caller: Caller, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    answer = caller.post(PATH, {"name": "Example Customer", **fields})
    assert answer.status_code == 201, answer.json
    made: dict[str, Any] = answer.json["customer"]
    return made


def path_of(customer: dict[str, Any]) -> str:
    return f"{PATH}/{customer['publicId']}"


def test_a_create_answers_with_the_documented_keys_in_order(world: World, admin: Caller) -> None:
    answer = admin.post(PATH, FULL)

    assert answer.status_code == 201
    assert list(answer.json) == ["success", "customer"]
    assert answer.json["success"] is True
    made = answer.json["customer"]
    assert tuple(made) == CREATED
    assert answer.headers["location"] == path_of(made)
    assert {key: made[key] for key in FULL} == FULL
    assert made["organizationId"] == world.owners["own"].organization.number
    assert made["createdAt"] == made["updatedAt"]


def test_the_smallest_create_has_the_documented_defaults(admin: Caller) -> None:
    made = create(admin)

    assert {key: made[key] for key in CREATED[4:-3]} == {
        "email": None,
        "notificationPhoneNumber": None,
        "notificationEmail": None,
        "packageId": None,
        "packageType": None,
        "status": "active",
        "allowedCheckCountryCodes": None,
        "cancellationDate": None,
        "cancelledAt": None,
        "customFields": None,
        "monthlyReportsEnabled": True,
        "notificationChannels": None,
        "notificationTargets": None,
        "notificationRules": None,
        "smsUsageCurrentMonth": 0,
    }
    assert made["alertLocationThresholdCount"] == 1


def test_get_one_and_list_have_their_own_keys_in_order(admin: Caller) -> None:
    made = create(admin, **FULL)

    by_id = admin.get(path_of(made))
    by_number = admin.get(f"{PATH}/{made['id']}")
    listed = admin.get(PATH).json

    assert tuple(by_id.json) == READ
    assert by_id.json == by_number.json
    assert by_id.json["packageDisplayName"] == "essential"
    assert {tuple(each) for each in listed} == {LISTED}
    numbers = [each["id"] for each in listed]
    assert numbers == sorted(numbers)
    assert listed[numbers.index(made["id"])] == {key: by_id.json.get(key) for key in LISTED}


def test_a_patch_changes_what_it_names_and_answers_like_a_get(admin: Caller) -> None:
    made = create(admin, **FULL)

    answer = admin.patch(path_of(made), {"name": "  New name ", "email": None})

    assert answer.status_code == 200
    assert tuple(answer.json) == READ
    assert answer.json == admin.get(path_of(made)).json
    before = {**FULL, "name": "New name", "email": None}
    del before["packageType"]
    assert {key: answer.json[key] for key in before} == before


@pytest.mark.parametrize("fields", [{}, FULL])
def test_sending_back_what_was_read_changes_nothing(
    world: World, admin: Caller, fields: dict[str, Any]
) -> None:
    made = create(admin, **fields)
    read = admin.get(path_of(made))

    answer = admin.patch(path_of(made), read.json)

    assert (answer.status_code, answer.json) == (200, read.json)
    assert len(world.history(made["publicId"])) == 1
    assert admin.patch(path_of(made), made).json == read.json, "the answer to the create"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (["de", " us ", "DE"], ["DE", "US"]),
        ([], None),
        (None, None),
    ],
)
def test_country_codes_take_their_normal_form(
    admin: Caller, sent: list[str] | None, shown: list[str] | None
) -> None:
    made = create(admin, allowedCheckCountryCodes=sent)
    patched = admin.patch(path_of(create(admin)), {"allowedCheckCountryCodes": sent})

    assert made["allowedCheckCountryCodes"] == shown
    assert patched.json["allowedCheckCountryCodes"] == shown


def test_a_customers_country_codes_and_threshold_are_shown_in_its_mailbox_monitors(
    admin: Caller,
) -> None:
    made = create(admin, allowedCheckCountryCodes=["at"], alertLocationThresholdCount=2)
    body = {"customerId": made["publicId"], "name": "Box", "hostname": "mail.example.com"}
    monitor = admin.post("/api/imap-pop-monitors", body).json

    shown = admin.get(f"/api/imap-pop-monitors/{monitor['publicId']}").json

    assert shown["allowedCheckCountryCodes"] is None
    assert shown["customer"]["allowedCheckCountryCodes"] == ["AT"]
    assert shown["customer"]["alertLocationThresholdCount"] == 2
    assert shown["customer"]["publicId"] == made["publicId"]


@pytest.mark.parametrize(
    ("key", "values", "code"),
    [
        ("name", ["", "  ", "x" * 256, "a\nb"], None),
        ("name", [None, 1, ["x"], {"x": 1}], None),
        ("email", ["no address", "a@b c", 1, "@", "x@" + "y" * 300], None),
        ("packageType", [1, "", ["x"]], None),
        ("status", ["paused", "ACTIVE", None, 1, {}], "invalid"),
        ("notificationEmail", ["x", 1, True], None),
        ("notificationPhoneNumber", ["abc", 4917, "1"], None),
        ("monthlyReportsEnabled", ["true", 1, None], "type"),
        ("customFields", [[], "x", 1], "type"),
        ("customFields", [{"x": "y" * 20_000}], "too_large"),
        ("allowedCheckCountryCodes", ["DE", ["XX"], ["DEU"], [1], {}], None),
        ("alertLocationThresholdCount", [True, 1.5, "2", None], "type"),
        ("alertLocationThresholdCount", [0, 101, -1], "range"),
        ("unheardOf", [1], "unknown"),
    ],
)
def test_a_wrong_field_is_named_without_its_value_and_stores_nothing(
    world: World, admin: Caller, key: str, values: list[object], code: str | None
) -> None:
    made = create(admin)
    head = world.store.monitoring.recorder.max_notification_id()

    for value in values:
        body = {"name": "Name", "notificationEmail": "not valid", key: value}
        for answer in (admin.post(PATH, body), admin.patch(path_of(made), body)):
            assert answer.status_code == 400, (key, value)
            problems = {each["path"]: each["code"] for each in answer.json["errors"]}
            assert problems.keys() == {key, "notificationEmail"}, "every problem at once"
            assert code in (None, problems[key])
            assert "not valid" not in answer.text
    assert world.store.monitoring.recorder.max_notification_id() == head


def test_a_create_needs_a_name(admin: Caller) -> None:
    answer = admin.post(PATH, {})

    assert answer.status_code == 400
    assert [(each["path"], each["code"]) for each in answer.json["errors"]] == [
        ("name", "required")
    ]


@pytest.mark.parametrize("identifier", ["x", "-1", "1.5", "00000000-0000-4000-8000-00000000000"])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_malformed_identifier_is_400(admin: Caller, method: str, identifier: str) -> None:
    answer = admin.send(method, f"{PATH}/{identifier}", "{}")

    assert (answer.status_code, answer.json["message"]) == (400, "Invalid Customer identifier")


@pytest.mark.parametrize("identifier", ["45a51ab5-624f-493d-b142-a9dae5082caf", "4711", "9" * 17])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_an_unknown_customer_is_404(admin: Caller, method: str, identifier: str) -> None:
    answer = admin.send(method, f"{PATH}/{identifier}", "{}")

    assert (answer.status_code, answer.json["message"]) == (404, "Customer not found")


def test_a_list_holds_what_is_in_scope(fresh_world: World) -> None:
    own, other, foreign = (
        fresh_world.owners[each].customer.number for each in ("own", "other", "foreign")
    )
    organization = fresh_world.owners["foreign"].organization

    def listed(persona: Any, **query: int | str) -> list[int]:  # noqa: ANN401 - any persona
        return [each["id"] for each in fresh_world.caller(persona).get(PATH, **query).json]

    assert listed("admin") == listed("readonly") == listed("supporter") == [own, other]
    assert listed("scoped_admin") == listed("scoped_readonly") == [own]
    assert listed("stranger") == [foreign]
    assert listed("supporter", organizationId=organization.number) == [foreign]
    assert listed("supporter", organizationId=str(organization.id)) == [foreign]
    for number in (organization.number, 4711):
        assert fresh_world.admin.get(PATH, organizationId=number).status_code == 403
    assert fresh_world.admin.get(PATH, organizationId="x").status_code == 400


def test_a_token_of_one_customer_makes_no_other_customers(world: World) -> None:
    answer = world.caller("scoped_admin").post(PATH, {"name": "Another"})

    assert answer.status_code == 403


def test_a_new_name_is_found_by_the_search_for_monitors(admin: Caller) -> None:
    made = create(admin, name="Before")
    body = {"customerId": made["id"], "name": "Relay", "hostname": "mail.example.com"}
    monitor = admin.post(SMTP, body).json["publicId"]

    admin.patch(path_of(made), {"name": "Sunflower Ltd"})

    assert [each["publicId"] for each in admin.get(SMTP, search="FLOWER L").json["items"]] == [
        monitor
    ]
    assert admin.get(SMTP, search="Before", customerId=made["id"]).json["total"] == 0
