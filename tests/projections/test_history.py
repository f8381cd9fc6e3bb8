"""The entries of the audit log: which fields an event changed, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import pytest

from domain.commands import UpdateCustomer, UpdateMonitor
from domain.kinds import KINDS
from projections.views.history import FOR_EVER, SUBJECT_KINDS, record_changes
from projections.views.monitors import MONITORS, PROJECTION
from projections.views.resources import MONITOR_TAGS
from tests.domain.given import CREATE_IMAP, TESTER
from tests.projections.folding import catch_up

if TYPE_CHECKING:
    from uuid import UUID

    from projections.catalog import Views
    from store.store import Store
    from tests.domain.given import Owners


FIRST, SECOND = "canary-first", "canary-second"
SECRET = "smtpConfig.auth.pass"


def login(secret: str | None) -> dict[str, Any]:
    return {"auth": {"user": "u", "pass": secret}}


def told(views: Views, thing: UUID) -> list[dict[str, Any]]:
    """Return the entries about a thing, oldest first."""
    catch_up(views)
    found = views.history.entries_of(str(thing), FOR_EVER, 100)
    return [orjson.loads(each.body) for each in reversed(found)]


def change(field: str, was: object, now: object) -> dict[str, Any]:
    return {"field": field, "from": was, "to": now}


def secret(was: str | None, now: str | None, field: str = SECRET) -> dict[str, Any]:
    return {**change(field, was, now), "secret": "changed"}


def of_config(kind: str, before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the changes between two records that differ in their configs only."""
    rest = dict.fromkeys(
        (
            *("name", "hostname", "port", "status", "check_interval", "timeout_seconds"),
            *("notification_email", "notification_phone_number", "allowed_check_country_codes"),
        )
    )
    one, other = ({**rest, "kind": kind, "config": each} for each in (before, after))
    return list(record_changes(MONITORS, one, other))


def test_entries_of_a_monitor_show_from_what_to_what_each_field_changed(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(config=login(FIRST)), TESTER)
    for changes in (
        {"name": "New", "port": None, "check_interval": 0.5},
        {"config": login(SECOND)},
        {"config": {"secure": True}},
        {"config": login(FIRST)},
    ):
        store.monitoring.update_monitor(UpdateMonitor(monitor.id, changes), TESTER)
    store.monitoring.delete_monitor(monitor.id, TESTER)

    entries = told(views, monitor.id)

    assert [each["version"] for each in entries] == [1, 2, 3, 4, 5, 6]
    assert [each["type"] for each in entries] == [
        *("MonitorCreated", "MonitorUpdated", "MonitorUpdated"),
        *("MonitorUpdated", "MonitorUpdated", "MonitorDeleted"),
    ]
    assert entries[0]["changes"] == [
        change("name", None, "Outbound SMTP"),
        change("hostname", None, "smtp.example.com"),
        change("port", None, 587),
        change("status", None, "active"),
        change("checkInterval", None, 60),
        change("timeoutSeconds", None, 30),
        change("smtpConfig.auth.user", None, "u"),
        secret(None, "********"),
    ]
    assert entries[1]["changes"] == [
        change("name", "Outbound SMTP", "New"),
        change("port", 587, None),
        change("checkInterval", 60, 0.5),
    ]
    assert entries[2]["changes"] == [secret("********", "********")]
    assert entries[3]["changes"] == [
        change("smtpConfig.auth.user", "u", None),
        change("smtpConfig.secure", None, True),
        secret("********", None),
    ]
    assert entries[5]["changes"] == []
    assert [each["subject"]["name"] for each in entries] == ["Outbound SMTP", *["New"] * 5]
    for each in entries:
        assert list(each) == [
            *("position", "time", "type", "actor", "organizationId", "customerId"),
            *("subject", "version", "changes"),
        ]
        assert each["actor"] == {
            "type": "operator",
            "id": "tester",
            **dict.fromkeys(("name", "role", "requestId")),
        }
        assert (each["organizationId"], each["customerId"]) == (1, 1)
        assert each["time"].endswith("Z")
        assert each["subject"]["publicId"] == str(monitor.id)
    for hidden in (FIRST, SECOND, "sealed:"):
        assert hidden not in str(entries)


def test_the_password_of_a_mailbox_is_changed_and_never_shown(
    store: Store, owners: Owners, views: Views
) -> None:
    config = {"protocol": "imap", "user": "u", "password": FIRST}
    monitor = store.monitoring.create_monitor(owners.create(CREATE_IMAP, config=config), TESTER)
    store.monitoring.update_monitor(
        UpdateMonitor(monitor.id, {"config": {**config, "password": SECOND}}), TESTER
    )

    entries = told(views, monitor.id)

    assert entries[1]["changes"] == [secret("********", "********", "imapPopConfig.password")]
    assert entries[0]["subject"]["kind"] == "imapPopMonitor"
    assert "canary" not in str(entries)


def test_entries_of_owners_use_the_keys_of_their_endpoints(
    store: Store, owners: Owners, views: Views
) -> None:
    fields = {"name": "Other", "custom_fields": {"a": [1]}, "monthly_reports_enabled": False}
    store.monitoring.update_customer(UpdateCustomer(owners.customer.id, fields), TESTER)

    made, changed = told(views, owners.customer.id)
    (organization,) = told(views, owners.organization.id)

    assert change("status", None, "active") in made["changes"]
    assert changed["changes"] == [
        change("name", "Example Customer", "Other"),
        change("customFields", None, {"a": [1]}),
        change("monthlyReportsEnabled", True, False),
    ]
    assert (changed["organizationId"], changed["customerId"]) == (1, 1)
    assert organization["changes"] == [change("name", None, "Example Organization")]
    assert (organization["organizationId"], organization["customerId"]) == (1, None)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [change("smtpConfig.a.c", 2, 3)]),
        ({"a": True}, {"a": 1}, [change("smtpConfig.a", True, 1)]),
        ({"a": [{"b": 2}]}, {"a": [{"b": 3}]}, [change("smtpConfig.a", [{"b": 2}], [{"b": 3}])]),
        ({"a": {}}, {"a": {"b": 1}}, [
            change("smtpConfig.a", {}, None),
            change("smtpConfig.a.b", None, 1),
        ]),
        ({"a": None}, {}, [change("smtpConfig.a", None, None)]),
        (login("sealed:1"), login("sealed:1"), []),
        (login("sealed:1"), login("sealed:2"), [secret("********", "********")]),
        (login("sealed:1"), login(""), [secret("********", None)]),
        (login(None), login(""), [change(SECRET, None, "")]),
        ({"auth": None}, login("sealed:1"), [
            change("smtpConfig.auth", None, None),
            change("smtpConfig.auth.user", None, "u"),
            secret(None, "********"),
        ]),
    ],
)  # fmt: skip
def test_a_config_is_compared_field_by_field(
    before: dict[str, Any], after: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    assert of_config("smtp", before, after) == expected


def test_an_unknown_thing_has_no_entries(store: Store, owners: Owners, views: Views) -> None:
    assert told(views, uuid4()) == []
    assert views.history.thing(str(uuid4())) is None
    assert (store.monitoring.name, owners.customer.number) == ("monitoring", 1)


def test_the_kind_of_every_table_is_documented() -> None:
    kinds = {each.kind for each in PROJECTION.tables if each not in (MONITORS, MONITOR_TAGS)}
    resources = {each.resource for each in KINDS.values()}

    assert kinds | resources | {"archive"} == set(SUBJECT_KINDS)
