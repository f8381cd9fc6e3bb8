"""Frozen events fold into these records; records make these shapes."""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING, Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from domain.commands import CreateCustomer, UpdateCustomer, UpdateMonitor
from projections.catalog import PROJECTIONS
from projections.readers.monitors import MonitorRecords
from projections.shapes.monitor import monitor_shape
from projections.views import monitors, records
from projections.views.last_checks import LAST_CHECKS
from store.log_reader import LoggedEvent
from tests.domain.given import TESTER, check_of
from tests.domain.stored_events import EVENTS
from tests.projections.folding import catch_up

if TYPE_CHECKING:
    from projections.catalog import Views
    from projections.core.table import Record
    from store.store import Store
    from tests.domain.given import Owners


def fold_frozen(store: Store, views: Views) -> None:
    """Fold the frozen events into the views."""
    for projection in PROJECTIONS:
        application = store.monitoring if projection.log == "monitoring" else store.checks
        stored = [
            StoredEvent(UUID(each.originator_id), each.originator_version, each.topic, each.state)
            for each in EVENTS
            if each.log == projection.log
        ]
        events = map(application.mapper.to_domain_event, stored)
        with views.projector(projection.name).view.transaction() as transaction:
            projection.fold(starmap(LoggedEvent, enumerate(events, 1)), transaction)


def only(views: Views, name: str, table: Any) -> Record:  # noqa: ANN401 - a table
    ((_, record),) = list(views.projector(name).view.rows(table))
    return record


def test_the_frozen_log_makes_one_monitor(store: Store, views: Views) -> None:
    fold_frozen(store, views)

    record = only(views, "monitors", monitors.MONITORS)

    assert {**record, "config": None, "public_id": None} == {
        **dict.fromkeys(("config", "public_id", "port", "allowed_check_country_codes")),
        **dict.fromkeys(("notification_email", "notification_phone_number")),
        "kind": "smtp",
        "number": 1,
        "organization_id": only(views, "monitors", monitors.ORGANIZATIONS)["public_id"],
        "customer_id": only(views, "monitors", monitors.CUSTOMERS)["public_id"],
        "name": "Münster 🔑",
        "hostname": "smtp.example.com",
        "status": "maintenance",
        "check_interval": 0.5,
        "timeout_seconds": 30,
        "version": 2,
        "created_at": "2026-01-01T12:05:00.123Z",
        "updated_at": "2026-01-01T12:07:00.123Z",
    }


def test_the_frozen_log_makes_one_revoked_token(store: Store, views: Views) -> None:
    fold_frozen(store, views)

    record = only(views, "monitors", monitors.TOKENS)

    assert record["role"] == "readonly"
    assert record["created_at"] == "2026-01-01T12:03:00.123Z"
    assert record["expires_at"] == "2027-01-01T00:00:00.000Z"
    assert record["revoked_at"] == "2026-01-01T12:04:00.000Z"


def test_the_frozen_log_makes_one_last_check(store: Store, views: Views) -> None:
    fold_frozen(store, views)

    record = only(views, "checks", LAST_CHECKS)

    assert record["monitor_id"] == only(views, "monitors", monitors.MONITORS)["public_id"]
    assert (record["location"], record["monitor_version"]) == ("de-nbg", 1)
    assert record["checked_at"] == record["due_at"] == "2026-01-01T12:00:00.000Z"
    assert record["outcome"]["verdict"] == "down"


def test_the_newest_check_at_each_location_is_kept_newest_first(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    store.checks.record(
        [check_of(monitor, 1), check_of(monitor, 2, "down")], location="de-nbg", actor=TESTER
    )
    store.checks.record([check_of(monitor, 9)], location="fi-hel", actor=TESTER)
    catch_up(views)

    last = views.reader.last_checks(str(monitor.id))

    assert [(each["location"], each["outcome"]["verdict"]) for each in last] == [
        ("fi-hel", "up"),
        ("de-nbg", "down"),
    ]


def test_the_record_of_an_aggregate_is_what_its_events_fold_to(
    store: Store, owners: Owners, views: Views
) -> None:
    monitoring, reader = store.monitoring, views.reader
    monitor = monitoring.create_monitor(owners.create(), TESTER)
    details = {"custom_fields": {"a": [1]}, "monthly_reports_enabled": False}
    customer = monitoring.create_customer(
        CreateCustomer(owners.organization.id, "Another", None, details), TESTER
    )
    for _ in range(2):
        catch_up(views)
        found = reader.monitor("smtp", str(monitor.id))
        assert found is not None
        assert records.of_monitor(monitor) == found.monitor
        assert records.of_customer(customer) == reader.customer(str(customer.id))
        monitor = monitoring.update_monitor(
            UpdateMonitor(monitor.id, {"name": "New", "port": None}), TESTER
        )
        changes = {"email": "new@example.com", "status": "inactive"}
        customer = monitoring.update_customer(UpdateCustomer(customer.id, changes), TESTER)


def test_a_shape_shows_the_config_that_it_is_given_and_nothing_of_the_stored_one(
    store: Store, owners: Owners, views: Views
) -> None:
    config = {"auth": {"user": "u", "pass": "secret"}}
    monitor = store.monitoring.create_monitor(owners.create(config=config), TESTER)
    catch_up(views)
    view = views.reader.monitor("smtp", str(monitor.id))
    assert isinstance(view, MonitorRecords)

    shape = monitor_shape(view, "read", {"given": True})

    assert shape["config"] == shape["smtpConfig"] == {"given": True}
    assert "sealed:" not in str(shape)
    assert shape["customerName"] == owners.customer.name


def test_owners_and_tokens_are_found_by_number_and_by_id(
    store: Store, owners: Owners, views: Views
) -> None:
    catch_up(views)
    reader = views.reader

    by_number = reader.customer(owners.customer.number)
    assert by_number == reader.customer(str(owners.customer.id)) == reader.customers()[0]
    organization = reader.organization(owners.organization.number)
    assert organization == reader.organization(str(owners.organization.id))
    assert organization == reader.organizations()[0]
    assert reader.customer(99) is None
    assert reader.organization("nobody") is None
    assert reader.token("hash") is None
    assert list(reader.tokens()) == []
    assert store.monitoring.name == "monitoring"
