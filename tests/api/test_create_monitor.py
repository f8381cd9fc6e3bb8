"""POST: the answer, the defaults, the normal forms, the customer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.api.world import PATHS, SMTP

if TYPE_CHECKING:
    from tests.api.world import Caller, World


KINDS = ["smtp", "imap_pop"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_created_monitor_is_201_at_its_location(world: World, admin: Caller, kind: str) -> None:
    answer = admin.post(PATHS[kind], world.body(kind))

    assert answer.status == "201 Created"
    assert answer.headers["location"] == f"{PATHS[kind]}/{answer.json['publicId']}"
    assert answer.headers["content-type"] == "application/json"
    assert admin.get(answer.headers["location"]).json["id"] == answer.json["id"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_out_gets_its_default(world: World, admin: Caller, kind: str) -> None:
    answer = admin.post(PATHS[kind], world.body(kind)).json

    assert answer["port"] is None
    assert answer["status"] == "active"
    assert answer["checkInterval"] == 5
    assert answer["timeoutSeconds"] == 30
    assert answer["notificationEmail"] is None
    assert answer["notificationPhoneNumber"] is None
    assert answer["allowedCheckCountryCodes"] is None
    assert answer["config"] == {}
    assert answer["lastCheckedAt"] is None
    assert answer["createdAt"] == answer["updatedAt"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("active", "active"),
        ("maintenance", "maintenance"),
        ("disabled", "disabled"),
        ("paused", "disabled"),
        ("inactive", "disabled"),
    ],
)
def test_a_status_is_stored_as_one_of_three(
    world: World, admin: Caller, kind: str, sent: str, stored: str
) -> None:
    created = admin.post(PATHS[kind], world.body(kind, status=sent))
    changed = admin.patch(created.headers["location"], {"status": "active"})
    again = admin.patch(created.headers["location"], {"status": sent})

    assert created.json["status"] == stored
    assert changed.json["status"] == "active"
    assert again.json["status"] == stored
    assert admin.get(created.headers["location"]).json["status"] == stored


@pytest.mark.parametrize(
    ("key", "sent", "stored"),
    [
        ("name", "  Mail  ", "Mail"),
        ("name", "n" * 255, "n" * 255),
        ("hostname", "MAIL.Example.COM.", "mail.example.com"),
        ("hostname", "münchen.example", "xn--mnchen-3ya.example"),
        ("hostname", "2001:DB8:0::1", "2001:db8::1"),
        ("hostname", "192.0.2.1", "192.0.2.1"),
        ("port", 1, 1),
        ("port", 65535, 65535),
        ("port", None, None),
        ("checkInterval", 0.5, 0.5),
        ("checkInterval", 0.1, 0.1),
        ("checkInterval", 1440, 1440),
        ("timeoutSeconds", 1, 1),
        ("timeoutSeconds", 60, 60),
        ("timeoutSeconds", 2.5, 2.5),
        ("notificationEmail", "ops@example.com", "ops@example.com"),
        ("notificationEmail", None, None),
        ("notificationPhoneNumber", "+49 170 1234567", "+49 170 1234567"),
        ("allowedCheckCountryCodes", ["de", "DE", "us"], ["DE", "US"]),
        ("allowedCheckCountryCodes", [" fr "], ["FR"]),
        ("allowedCheckCountryCodes", [], None),
        ("allowedCheckCountryCodes", None, None),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_field_is_shown_in_its_normal_form(  # noqa: PLR0917 - a row of the table
    world: World, admin: Caller, kind: str, key: str, sent: object, stored: object
) -> None:
    created = admin.post(PATHS[kind], {**world.body(kind), key: sent})
    read = admin.get(created.headers["location"]).json

    assert created.json[key] == stored
    assert read[key] == stored
    assert type(read[key]) is type(stored)


def test_a_whole_interval_sent_as_a_fraction_is_shown_whole(world: World, admin: Caller) -> None:
    answer = admin.post(SMTP, world.body(checkInterval=5.0))

    assert '"checkInterval":5,' in answer.text


@pytest.mark.parametrize("alias", ["config", "smtpConfig"])
def test_a_config_may_come_under_either_name(world: World, admin: Caller, alias: str) -> None:
    answer = admin.post(SMTP, {**world.body(), alias: {"secure": True}}).json

    assert answer["config"] == answer["smtpConfig"] == {"secure": True}


@pytest.mark.parametrize("kind", KINDS)
def test_equal_configs_under_both_names_are_fine(world: World, admin: Caller, kind: str) -> None:
    own = "smtpConfig" if kind == "smtp" else "imapPopConfig"
    body = {**world.body(kind, config={"x": [1, None]}), own: {"x": [1, None]}}

    assert admin.post(PATHS[kind], body).json["config"] == {"x": [1, None]}


def test_read_only_keys_of_a_response_are_accepted_and_ignored(world: World, admin: Caller) -> None:
    read_only: dict[str, Any] = {
        "id": 4711,
        "publicId": str(uuid4()),
        "organizationId": 4711,
        "createdAt": "2001-01-01T00:00:00.000Z",
        "updatedAt": None,
        "lastCheckedAt": 5,
        "customer": {"id": 1},
        "customerName": "Somebody else",
    }

    answer = admin.post(SMTP, world.body(**read_only))

    assert answer.status_code == 201
    assert answer.json["id"] != 4711
    assert answer.json["publicId"] != read_only["publicId"]
    assert answer.json["createdAt"] > "2020"


@pytest.mark.parametrize("login", [{"user": "a@example.com"}, {"password": "a-password"}])
def test_half_a_login_is_400_and_nothing_is_recorded(
    world: World, admin: Caller, login: dict[str, str]
) -> None:
    before = world.store.monitoring.recorder.max_notification_id()

    answer = admin.post(PATHS["imap_pop"], world.body("imap_pop", config=login))

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json["errors"]] == [
        "imapPopConfig.user" if "password" in login else "imapPopConfig.password"
    ]
    assert world.store.monitoring.recorder.max_notification_id() == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "customer", [0, -1, 1.5, True, None, "", "x", "1", [1], {"id": 1}, "1" * 32]
)
def test_a_malformed_customer_is_400(
    world: World, admin: Caller, kind: str, customer: object
) -> None:
    answer = admin.post(PATHS[kind], {**world.body(kind), "customerId": customer})

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json["errors"]] == ["customerId"]
    assert "Invalid customer identifier" in answer.json["message"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("customer", ["45a51ab5-624f-493d-b142-a9dae5082caf", 4711, 2**63 - 1])
def test_an_unknown_customer_is_404(
    world: World, admin: Caller, kind: str, customer: object
) -> None:
    answer = admin.post(PATHS[kind], {**world.body(kind), "customerId": customer})

    assert (answer.status_code, answer.json["message"]) == (404, "Customer not found")


def test_another_organizations_customer_is_as_unknown_by_number(
    world: World, admin: Caller
) -> None:
    foreign = world.owners["foreign"].customer.number

    assert admin.post(SMTP, {**world.body(), "customerId": foreign}).status_code == 404


def test_16_clients_at_once_get_ids_of_their_own_and_read_what_they_wrote(
    fresh_world: World,
) -> None:
    def create(number: int) -> int:
        caller = fresh_world.admin
        created = caller.post(SMTP, fresh_world.body(name=f"Server {number}"))
        assert created.status_code == 201
        assert caller.get(created.headers["location"]).json["name"] == f"Server {number}"
        found: int = created.json["id"]
        return found

    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(create, range(16)))

    assert sorted(ids) == list(range(1, 17))
    assert fresh_world.admin.get(SMTP).json["total"] == 16
