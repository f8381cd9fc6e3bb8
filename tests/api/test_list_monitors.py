"""Lists: pages, filters, search, order, and the documented shape of an item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.world import IMAP, PATHS, SMTP, STATE_KEYS, make_world
from tests.domain.given import TESTER, check_of
from tests.places import ENGINES, place_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.world import Caller, World


KINDS = ["smtp", "imap_pop"]


def names(caller: Caller, **query: str | int) -> list[str]:
    return [item["name"] for item in caller.get(SMTP, **query).json["items"]]


def numbers(caller: Caller, **query: str | int) -> list[int]:
    return [item["id"] for item in caller.get(SMTP, **query).json["items"]]


@pytest.fixture(scope="module", params=ENGINES)
def many(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    """A caller whose list holds seven monitors."""
    with place_on(request, tmp_path_factory.mktemp("many") / "data") as place:
        made = make_world(place)
        for number in range(1, 8):
            made.monitor(name=f"Server {number}")
        yield made.admin
        made.close()


@pytest.fixture(scope="module", params=ENGINES)
def named(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    """A caller whose list holds three monitors with names worth searching."""
    with place_on(request, tmp_path_factory.mktemp("named") / "data") as place:
        made = make_world(place)
        made.monitor(name="Postfix München", hostname="a.example.com")
        made.monitor(name="100% relay", hostname="relay.example.com")
        made.monitor("smtp", "other", name="under_score", hostname="b.example.com")
        yield made.admin
        made.close()


@pytest.mark.parametrize("path", [SMTP, IMAP])
def test_an_empty_list_has_its_envelope(fresh_world: World, path: str) -> None:
    answer = fresh_world.admin.get(path)

    assert answer.status_code == 200
    assert list(answer.json.items()) == [
        ("items", []),
        ("total", 0),
        ("page", 1),
        ("perPage", 50),
    ]


def test_pages_follow_each_other_by_id_without_gap_or_repeat(many: Caller) -> None:
    pages = [numbers(many, page=page, perPage=3) for page in (1, 2, 3, 4)]

    assert pages == [[1, 2, 3], [4, 5, 6], [7], []]


def test_every_page_tells_the_total_and_what_was_asked(many: Caller) -> None:
    answer = many.get(SMTP, page=3, perPage=3).json

    assert (answer["total"], answer["page"], answer["perPage"]) == (7, 3, 3)


@pytest.mark.parametrize(("asked", "given"), [("200", 200), ("201", 200), ("1000000000", 200)])
def test_a_page_size_above_200_is_clamped(many: Caller, asked: str, given: int) -> None:
    answer = many.get(SMTP, perPage=asked)

    assert (answer.status_code, answer.json["perPage"]) == (200, given)


@pytest.mark.parametrize(
    "value", ["0", "-1", "1.5", "", "x", "1e3", "٣", "²", "+1", " 1", "9" * 11, "9" * 5000]
)
@pytest.mark.parametrize("name", ["page", "perPage"])
def test_a_page_below_1_or_no_whole_number_is_400(many: Caller, name: str, value: str) -> None:
    answer = many.get(SMTP, **{name: value})

    assert answer.status_code == 400
    assert answer.json["message"] == f"Invalid {name}: must be a whole number from 1"


def test_a_page_far_beyond_the_end_is_empty(many: Caller) -> None:
    assert numbers(many, page=10**9, perPage=200) == []


@pytest.mark.parametrize("name", ["customerId", "organizationId"])
@pytest.mark.parametrize(
    "value",
    ["0", "-1", "x", "", "1.5", "9" * 19, "9" * 20, "9" * 5000, "٣", "²", "1" * 32, "null"],
)
def test_an_owner_that_is_no_number_and_no_uuid_is_400(many: Caller, name: str, value: str) -> None:
    answer = many.get(SMTP, **{name: value})

    assert answer.status_code == 400
    assert answer.json["message"] == f"Invalid {name}: must be a number or a UUID"


@pytest.mark.parametrize("value", ["45a51ab5-624f-493d-b142-a9dae5082caf", "4711", "9" * 18])
def test_an_unknown_customer_is_404(many: Caller, value: str) -> None:
    answer = many.get(SMTP, customerId=value)

    assert (answer.status_code, answer.json["message"]) == (404, "Customer not found")


def test_a_customer_filter_takes_the_number_or_the_id(fresh_world: World) -> None:
    fresh_world.monitor(name="Own")
    fresh_world.monitor("smtp", "other", name="Other")
    customer = fresh_world.owners["other"].customer

    assert names(fresh_world.admin, customerId=customer.number) == ["Other"]
    assert names(fresh_world.admin, customerId=str(customer.id)) == ["Other"]
    assert names(fresh_world.admin, customerId=str(customer.id).upper()) == ["Other"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("postfix", ["Postfix München"]),
        ("POSTFIX", ["Postfix München"]),
        ("MÜNCHEN", ["Postfix München"]),
        ("relay.example", ["100% relay"]),
        ("100%", ["100% relay"]),
        ("%", ["100% relay"]),
        ("_", ["under_score"]),
        ("second customer", ["under_score"]),
        ("", ["Postfix München", "100% relay", "under_score"]),
        ("nothing like it", []),
        ("' OR 1=1 --", []),
        ("\x00", []),
    ],
)
def test_a_search_finds_a_part_of_name_hostname_or_customer(
    named: Caller, search: str, found: list[str]
) -> None:
    assert names(named, search=search) == found


def test_each_kind_counts_its_own_ids(fresh_world: World) -> None:
    made = [fresh_world.monitor(kind).number for kind in ("smtp", "imap_pop", "smtp", "imap_pop")]

    assert made == [1, 1, 2, 2]


def test_a_smtp_item_has_the_documented_keys_in_order(fresh_world: World) -> None:
    fresh_world.monitor("smtp")

    (item,) = fresh_world.admin.get(SMTP).json["items"]

    assert list(item) == [
        *("id", "organizationId", "customerId", "name", "hostname", "port"),
        *("status", "checkInterval", "timeoutSeconds", "customerName"),
        *("notificationEmail", "notificationPhoneNumber"),
        *("lastCheckedAt", "createdAt", "updatedAt", "config"),
        *("publicId", "allowedCheckCountryCodes", *STATE_KEYS),
    ]
    assert item["customerName"] == "Example Customer"


def test_an_imap_item_has_the_documented_keys_in_order(fresh_world: World) -> None:
    fresh_world.monitor("imap_pop")

    (item,) = fresh_world.admin.get(IMAP).json["items"]

    assert list(item) == [
        *("id", "organizationId", "customerId", "name", "hostname", "port"),
        *("checkInterval", "timeoutSeconds", "customerName", "config"),
        *("status", "notificationPhoneNumber", "notificationEmail"),
        *("lastCheckedAt", "createdAt", "updatedAt"),
        *("publicId", "allowedCheckCountryCodes", *STATE_KEYS),
    ]


def test_one_smtp_monitor_has_the_documented_keys_in_order(world: World, admin: Caller) -> None:
    monitor = world.monitor("smtp")

    answer = admin.get(f"{SMTP}/{monitor.id}").json

    assert list(answer) == [
        *("id", "organizationId", "customerId", "name", "hostname", "port"),
        *("status", "checkInterval", "timeoutSeconds", "customerName"),
        *("notificationEmail", "notificationPhoneNumber"),
        *("lastCheckedAt", "createdAt", "updatedAt", "config", "smtpConfig"),
        *("publicId", "allowedCheckCountryCodes", *STATE_KEYS),
    ]


def test_one_imap_monitor_has_the_documented_keys_in_order(world: World, admin: Caller) -> None:
    monitor = world.monitor("imap_pop")

    answer = admin.get(f"{IMAP}/{monitor.id}").json

    assert list(answer)[:-6] == [
        *("id", "organizationId", "customerId", "name", "hostname", "port"),
        *("checkInterval", "timeoutSeconds", "config", "allowedCheckCountryCodes"),
        *("status", "notificationPhoneNumber", "notificationEmail"),
        *("lastCheckedAt", "createdAt", "updatedAt", "customer"),
    ]
    assert list(answer)[-6:] == ["imapPopConfig", "publicId", *STATE_KEYS]
    assert list(answer["customer"]) == [
        *("id", "organizationId", "name", "email", "allowedCheckCountryCodes", "customFields"),
        *("alertLocationThresholdCount", "createdAt", "updatedAt", "publicId"),
    ]
    assert answer["customer"]["name"] == "Example Customer"
    assert answer["customer"]["email"] == "ops@example.com"


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_check_is_the_newest_of_all_locations(fresh_world: World, kind: str) -> None:
    monitor = fresh_world.monitor(kind)
    unchecked = fresh_world.monitor(kind)
    checks = fresh_world.store.checks
    checks.record([check_of(monitor, minute=5)], location="fi-hel", actor=TESTER)
    checks.record([check_of(monitor, minute=3)], location="de-nbg", actor=TESTER)
    fresh_world.views.projector("checks").catch_up()

    times = [item["lastCheckedAt"] for item in fresh_world.admin.get(PATHS[kind]).json["items"]]

    assert times == ["2026-01-01T12:05:00.000Z", None]
    shown = fresh_world.admin.get(f"{PATHS[kind]}/{monitor.id}").json
    assert shown["lastCheckedAt"] == "2026-01-01T12:05:00.000Z"
    assert unchecked.number == 2
