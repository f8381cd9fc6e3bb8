"""Resources in the `monitors` view and in the history, on both engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from domain.maintenance_window import MaintenanceWindow
from domain.notification_channel import NotificationChannel
from domain.tag import Tag
from projections.readers.history import EntryFilter
from projections.views.resources import CHANNELS, MONITOR_TAGS, TABLE_OF, WINDOWS
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from projections.catalog import Views
    from store.store import Store
    from tests.domain.given import Owners


SECRET = "a-secret-of-the-webhook"
WINDOW = {
    "name": "Weekly deployment",
    "start_time": "2027-07-05T02:00:00.000Z",
    "end_time": "2027-07-05T04:00:00.000Z",
}
WEBHOOK = {
    "type": "webhook",
    "name": "Ops",
    "config": {"url": "https://hooks.example.com/mail", "secret": SECRET},
}


def catch_up(views: Views) -> None:
    for name in ("monitors", "history"):
        views.projector(name).catch_up()


def entries(views: Views) -> list[dict[str, Any]]:
    found = views.history.entries(EntryFilter(1), 0, 2**62, 100)
    return [orjson.loads(each.body) for each in found]


def test_resources_are_shown_until_they_are_deleted(
    store: Store, views: Views, owners: Owners
) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    fields = {**WINDOW, "customer_id": str(owners.customer.id)}
    window = resources.create(MaintenanceWindow, organization, fields, TESTER)
    resources.update(MaintenanceWindow, organization, window.id, {"name": "Nightly"}, TESTER)
    catch_up(views)

    (shown,) = views.reader.resources(WINDOWS, str(organization))
    assert (shown["name"], shown["version"], shown["number"]) == ("Nightly", 2, 1)
    assert shown["created_by"] == TESTER["id"]
    assert views.reader.resource(WINDOWS, 1) == shown
    assert views.reader.resource(WINDOWS, str(window.id)) == shown
    assert not views.reader.resources(CHANNELS, str(organization))
    resources.delete(MaintenanceWindow, organization, window.id, TESTER)
    catch_up(views)
    assert views.reader.resource(WINDOWS, 1) is None


def test_the_audit_log_shows_channels_without_their_secrets(
    store: Store, views: Views, owners: Owners
) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    channel = resources.create(NotificationChannel, organization, WEBHOOK, TESTER)
    change = {"config": {"secret": "another-secret"}}
    resources.update(NotificationChannel, organization, channel.id, change, TESTER)
    catch_up(views)

    created, changed = entries(views)[-2:]
    assert created["subject"]["kind"] == "notificationChannel"
    assert {"field": "name", "from": None, "to": "Ops"} in created["changes"]
    assert changed["changes"] == [{"field": "secretVersion", "from": 1, "to": 2}]
    text = repr(entries(views))
    assert "sealed" not in text
    assert SECRET not in text


def test_tags_are_entries_of_their_monitor(store: Store, views: Views, owners: Owners) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    tag = resources.create(Tag, organization, {"name": "Production", "color": "red"}, TESTER)
    resources.tag_monitor(organization, monitor.id, tag.id, TESTER)
    catch_up(views)

    assert views.reader.tags_of(str(monitor.id)) == [views.reader.resource(TABLE_OF[Tag], 1)]
    resources.untag_monitor(organization, monitor.id, tag.id, TESTER)
    catch_up(views)
    assert not views.reader.tags_of(str(monitor.id))
    tagged, untagged = entries(views)[-2:]
    assert tagged["subject"]["publicId"] == untagged["subject"]["publicId"] == str(monitor.id)
    assert tagged["changes"] == [{"field": "tags", "from": None, "to": "Production"}]
    assert untagged["changes"] == [{"field": "tags", "from": "Production", "to": None}]


def test_a_deleted_tag_is_on_no_monitor(store: Store, views: Views, owners: Owners) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    tag = resources.create(Tag, organization, {"name": "Production", "color": "red"}, TESTER)
    resources.tag_monitor(organization, monitor.id, tag.id, TESTER)
    resources.delete(Tag, organization, tag.id, TESTER)
    catch_up(views)

    assert not views.reader.tags_of(str(monitor.id))
    assert views.projector("monitors").view.count()[MONITOR_TAGS.name] == 1
