"""Packages over the API (contract part B, 8.3 to 8.5; D-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest

from api.resources.package_configs import UpdatePackageBody
from domain.package_config import MAX_PACKAGES, PACKAGE_PARSERS, PackageConfig
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from tests.api.world import World


pytestmark = pytest.mark.any_engine

PATH: Final = "/api/package-configs"
DOCUMENTED: Final[dict[str, Any]] = {
    "id": 10,
    "packageType": "pro",
    "maxUrls": 100,
    "dataRetentionMonths": 12,
    "checkIntervalMinutes": 1,
    "checkLocations": 3,
    "notificationDelayMinutes": 0,
    "reminderDelayMinutes": 10,
    "alertConsecutiveChecks": 3,
    "alertLocationThreshold": "majority",
    "alertLocationThresholdCount": 2,
    "alertReminderInterval": 60,
    "enableSslCheck": True,
    "enableHttpsCheck": True,
    "enableStatusCheck": True,
    "enableSizeCheck": True,
    "enableResponseTimeCheck": True,
    "enableKeywordCheck": False,
    "enableEmailAlerts": True,
    "enableSmsAlerts": True,
    "enableWebhookAlerts": True,
    "enableIntegrationAlerts": True,
    "enablePostRequestEscalation": False,
    "enableMaintenanceWindows": True,
    "enablePdfReports": True,
    "notes": None,
    "createdAt": "2026-02-26T12:00:00.000Z",
    "updatedAt": "2026-02-26T12:00:00.000Z",
    "usedByCustomerCount": 4,
}
"""The documented answer."""

ASSIGNED: Final = ("id", "createdAt", "updatedAt", "usedByCustomerCount")


def problems(answer: Any) -> dict[str, str]:  # noqa: ANN401 - any answer
    assert answer.status_code == 400, answer.text
    return {each["path"]: each["code"] for each in answer.json["errors"]}


def listed(world: World, key: str) -> dict[str, Any]:
    (found,) = [each for each in world.admin.get(PATH).json if each["packageType"] == key]
    return dict(found)


def test_a_documented_package_is_made_by_what_a_list_shows_of_it(world: World) -> None:
    made = world.admin.patch(f"{PATH}/pro", DOCUMENTED)

    assert made.status_code == 200, made.text
    assert list(made.json)[: len(DOCUMENTED)] == list(DOCUMENTED)
    assert {key: each for key, each in made.json.items() if key not in ASSIGNED}.items() >= {
        key: each for key, each in DOCUMENTED.items() if key not in ASSIGNED
    }.items()
    assert list(made.json)[len(DOCUMENTED) :] == [
        *("publicId", "displayName", "alertRecoveryChecks", "alertPerformanceThresholdMs"),
        *("alertCertificateDays", "alertGroupWaitSeconds"),
    ]
    assert listed(world, "pro") == made.json
    head = world.store.reader("monitoring").head()
    assert world.admin.patch(f"{PATH}/pro", made.json).json == made.json
    assert world.store.reader("monitoring").head() == head, "an unchanged package"


def test_a_new_package_has_the_defaults_and_keeps_what_is_not_sent(world: World) -> None:
    made = world.admin.patch(f"{PATH}/New%20one", {"alertConsecutiveChecks": 5}).json
    assert (made["packageType"], made["alertConsecutiveChecks"]) == ("New one", 5)
    assert made["alertCertificateDays"] == [30, 14, 7, 3, 1]

    change = {"displayName": "Newest", "alertCertificateDays": [3, 7], "maxUrls": None}
    changed = world.admin.patch(f"{PATH}/New%20one", change).json

    assert (changed["displayName"], changed["alertCertificateDays"]) == ("Newest", [7, 3])
    assert (changed["alertConsecutiveChecks"], changed["id"]) == (5, made["id"])


def test_every_key_can_be_changed() -> None:
    assert set(UpdatePackageBody.model_fields) == {*PACKAGE_PARSERS, "packageType"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"packageType": "other"}, {"packageType": "fixed"}),
        ({"alertLocationThreshold": "most"}, {"alertLocationThreshold": "invalid"}),
        (
            {"alertConsecutiveChecks": 0, "maxUrls": -1},
            {"alertConsecutiveChecks": "range", "maxUrls": "range"},
        ),
        ({"alertReminderInterval": 1}, {"alertReminderInterval": "range"}),
        ({"enableSslCheck": 1}, {"enableSslCheck": "type"}),
        ({"alertConsecutiveCheck": 2}, {"alertConsecutiveCheck": "unknown"}),
    ],
)
def test_every_wrong_field_is_named(
    world: World, change: dict[str, Any], expected: dict[str, str]
) -> None:
    assert problems(world.admin.patch(f"{PATH}/wrong", change)) == expected
    assert "wrong" not in {each["packageType"] for each in world.admin.get(PATH).json}


def test_a_key_that_is_no_name_is_refused(world: World) -> None:
    assert problems(world.admin.patch(f"{PATH}/%20", {})) == {"package_type": "required"}


def test_a_package_is_deleted_when_no_customer_has_it(world: World) -> None:
    assert world.admin.patch(f"{PATH}/gold", {}).status_code == 200
    customer = world.owners["other"].customer
    path = f"/api/customers/{customer.id}"
    assert world.admin.patch(path, {"packageType": "gold"}).status_code == 200
    assert listed(world, "gold")["usedByCustomerCount"] == 1

    refused = world.admin.delete(f"{PATH}/gold")
    assert refused.status_code == 409
    assert "used by 1 customers" in refused.json["message"]

    world.admin.patch(path, {"packageType": None})
    assert world.admin.delete(f"{PATH}/gold").json == {"success": True}
    assert world.admin.delete(f"{PATH}/gold").status_code == 404
    again = world.admin.patch(f"{PATH}/gold", {"notes": "anew"}).json
    assert (again["notes"], again["usedByCustomerCount"]) == ("anew", 0)


def test_a_customer_gets_a_package_by_its_key_or_its_label(world: World) -> None:
    package = world.admin.patch(f"{PATH}/biz", {"displayName": "Business"}).json
    unlabelled = world.admin.patch(f"{PATH}/plain", {}).json

    made = world.admin.post("/api/customers", {"name": "By label", "packageType": "Business"})
    customer = made.json["customer"]
    assert (customer["packageType"], customer["packageId"]) == ("biz", package["id"])
    path = f"/api/customers/{customer['publicId']}"
    shown = world.admin.get(path).json
    assert (shown["packageId"], shown["packageDisplayName"]) == (package["id"], "Business")
    (in_list,) = [
        each for each in world.admin.get("/api/customers").json if each["id"] == customer["id"]
    ]
    assert in_list["packageDisplayName"] == "Business"
    assert listed(world, "biz")["usedByCustomerCount"] == 1

    changed = world.admin.patch(path, {"packageType": "plain"}).json
    assert (changed["packageId"], changed["packageDisplayName"]) == (unlabelled["id"], "plain")
    other = world.admin.patch(path, {"packageType": "unheard of"}).json
    assert (other["packageId"], other["packageDisplayName"]) == (None, "unheard of")
    none = world.admin.patch(path, {"packageType": None}).json
    assert (none["packageId"], none["packageDisplayName"]) == (None, None)


def test_packages_are_of_an_organization_and_for_admins_of_all_of_it(world: World) -> None:
    assert world.caller("stranger").patch(f"{PATH}/theirs", {}).status_code == 200

    assert "theirs" not in {each["packageType"] for each in world.admin.get(PATH).json}
    assert world.admin.delete(f"{PATH}/theirs").status_code == 404
    for persona in ("user", "readonly", "supporter", "scoped_admin"):
        assert world.caller(persona).patch(f"{PATH}/mine", {}).status_code == 403
    foreign = world.owners["foreign"].organization.number
    shown = world.caller("supporter").get(PATH, organizationId=foreign).json
    assert [each["packageType"] for each in shown] == ["theirs"]
    assert world.admin.get(PATH, organizationId=foreign).status_code == 403


def test_an_organization_has_a_limited_number_of_packages(world: World) -> None:
    resources, organization = world.store.monitoring.resources, world.owners["own"].organization.id
    world.admin.patch(f"{PATH}/kept", {})
    free = MAX_PACKAGES - len(world.admin.get(PATH).json)
    made = [
        resources.set_package(organization, f"filler {number}", {}, TESTER)
        for number in range(free)
    ]
    world.views.projector("monitors").catch_up()

    refused = world.admin.patch(f"{PATH}/one-more", {})
    changed = world.admin.patch(f"{PATH}/kept", {"notes": "still changed"})

    for each in made:
        resources.delete(PackageConfig, organization, UUID(str(each.id)), TESTER)
    world.views.projector("monitors").catch_up()
    assert refused.status_code == 409
    assert f"has {MAX_PACKAGES} packages already" in refused.json["message"]
    assert changed.status_code == 200
