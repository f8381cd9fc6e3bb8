"""The `incidents` view: incidents, plans and names, folded from two logs in any order."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.commands import UpdateCustomer, UpdateMonitor
from domain.notification import Notification
from domain.notification_channel import NotificationChannel
from projections.readers.incidents import OF_INSTALLATION, IncidentFilter
from projections.shapes.incident import alert_shape, display_duration, message_of
from projections.views import incidents
from projections.views.time_travel import Replay
from tests.domain.given import NOON, TESTER
from tests.projections.folding import catch_up, fill, rows
from tests.store.decisions import open_incident, plan

if TYPE_CHECKING:
    from domain.incident import Incident
    from projections.catalog import Views
    from projections.core.table import Record
    from store.log_reader import LoggedEvent
    from store.store import Store
    from tests.domain.given import Owners


LOGS = ("monitoring", "incidents")
REST: dict[str, Any] = {"rests_on": [], "voters": 1, "threshold": 1, "held": True}


def known(views: Views, incident: Incident) -> Record:
    """Return what the view has of an incident, caught up."""
    catch_up(views)
    found = views.incidents.incident(str(incident.id))
    assert found is not None
    return found.incident


@pytest.mark.both_engines
def test_an_incident_is_acknowledged_resolved_opened_again_and_closed(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    incident = open_incident(store, monitor, NOON)
    store.incidents.acknowledge(incident.id, TESTER, "on my way")
    found = known(views, incident)
    assert (found["state"], found["acknowledged_by"]) == ("open", "tester")
    assert found["acknowledgement_note"] == "on my way"

    change = store.incidents.incident(incident.id)
    good = [{"location": "de-nbg", "version": 9}]
    change.resolve(good, actor=TESTER, now=NOON + timedelta(minutes=5))
    store.incidents.save(change)
    found = known(views, incident)
    assert (found["state"], found["ended_at"]) == ("resolved", "2026-01-01T12:05:00.000Z")
    assert found["recovered_by"] == good

    fields = {**REST, "outage_started_at": "2026-01-01T12:06:00.000Z"}
    change.reopen(fields=fields, actor=TESTER, now=NOON + timedelta(minutes=8))
    change.become_unstable(3, actor=TESTER, now=NOON + timedelta(minutes=8))
    store.incidents.save(change)
    found = known(views, incident)
    assert (found["state"], found["ended_at"], found["acknowledged_at"]) == ("open", None, None)
    assert (found["is_unstable"], found["is_held"], found["recovered_by"]) == (True, True, [])
    assert found["opened_at"] == "2026-01-01T12:00:00.000Z"
    assert found["reopened_at"] == ["2026-01-01T12:08:00.000Z"]

    change.become_steady(actor=TESTER, now=NOON + timedelta(minutes=40))
    store.incidents.save(change)
    assert known(views, incident)["is_unstable"] is False

    store.incidents.close_by_hand(incident.id, TESTER, "moved away")
    found = known(views, incident)
    assert (found["state"], found["close_reason"]) == ("closed", "by_hand")
    assert found["close_note"] == "moved away"


@pytest.mark.both_engines
def test_filters_find_the_newest_first_and_count(
    store: Store, owners: Owners, views: Views
) -> None:
    first, second = (store.monitoring.create_monitor(owners.create(), TESTER) for _ in range(2))
    made = [open_incident(store, each) for each in (first, second, first)]
    slow = open_incident(store, second, type="performance")
    of_location = open_incident(store)
    store.incidents.close_by_hand(made[0].id, TESTER)
    catch_up(views)

    def found(**which: Any) -> list[int]:  # noqa: ANN401 - fields of the filter
        asked = IncidentFilter(**which)
        listed = [each.incident["number"] for each in views.incidents.incidents(asked, 100)]
        assert views.incidents.count(asked) == len(listed)
        return listed

    organization, customer = str(owners.organization.id), str(owners.customer.id)
    ours = [slow.number, *(each.number for each in reversed(made))]
    assert found(organization_id=organization) == ours
    assert found(organization_id=OF_INSTALLATION) == [of_location.number]
    assert found(customer_id=customer, is_open=True) == ours[:-1]
    assert found(monitor_id=str(first.id)) == [made[2].number, made[0].number]
    assert found(monitor_id=str(first.id), is_open=False) == [made[0].number]
    assert found(organization_id=organization, incident_type="performance") == [slow.number]
    assert found(organization_id=str(first.id)) == []
    assert found() == [of_location.number, *ours]
    page = views.incidents.incidents(IncidentFilter(), 2, 1)
    assert [each.incident["number"] for each in page] == ours[:2]
    assert views.incidents.incident(slow.number) == views.incidents.incident(str(slow.id))
    assert views.incidents.incident(99) is None


@pytest.mark.both_engines
def test_names_are_those_of_now_and_stay_when_a_monitor_is_deleted(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    incident = open_incident(store, monitor)
    update = UpdateMonitor(monitor.id, {"name": "Renamed", "port": 26})
    store.monitoring.update_monitor(update, TESTER)
    update_customer = UpdateCustomer(owners.customer.id, {"email": "new@example.com"})
    store.monitoring.update_customer(update_customer, TESTER)
    store.monitoring.delete_monitor(monitor.id, TESTER)
    catch_up(views)

    found = views.incidents.incident(str(incident.id))

    assert found is not None
    assert found.monitor == {
        "kind": "smtp",
        "number": 1,
        "name": "Renamed",
        "hostname": "smtp.example.com",
        "status": "deleted",
    }
    assert found.customer is not None
    assert found.customer["email"] == "new@example.com"


@pytest.mark.both_engines
def test_a_message_is_found_by_each_incident_and_monitor_that_it_is_about(
    store: Store, owners: Owners, views: Views
) -> None:
    monitors = [store.monitoring.create_monitor(owners.create(), TESTER) for _ in range(2)]
    made = [open_incident(store, each) for each in monitors]
    together = plan(store, *made, channel_id=f"monitor:{monitors[0].id}:email")
    alone = plan(store, made[1], channel_id="of nobody", kind="reminder")
    skipped: Any = store.incidents.repository.get(alone)
    skipped.skip("late", actor=TESTER, now=NOON)
    store.incidents.save(skipped)
    catch_up(views)

    told = [alert_shape(each) for each in views.incidents.alerts_of_monitor(str(monitors[1].id), 9)]

    assert [each["publicId"] for each in told] == [str(alone), str(together)]
    assert [each["incidentId"] for each in told] == [made[1].number] * 2
    assert [(each["status"], each["errorMessage"]) for each in told] == [
        ("skipped", "late"),
        ("planned", None),
    ]
    assert (told[1]["type"], told[1]["channelName"]) == (
        "email",
        "notificationEmail of the monitor",
    )
    assert (told[0]["type"], told[0]["channelName"]) == (None, "of nobody")
    logged = store.reader("incidents").after(0, 100)
    planned = [each.position for each in logged if isinstance(each.event, Notification.Created)]
    assert [each["id"] for each in reversed(told)] == planned
    assert views.incidents.count_alerts(str(monitors[1].id)) == 2
    assert views.incidents.count_alerts(str(monitors[0].id)) == 1
    (of_incident,) = views.incidents.alerts_of_incident(str(made[0].id), 9)
    assert of_incident.alert["public_id"] == str(together)
    assert len(views.incidents.alerts_of_incident(str(made[1].id), 1)) == 1


def test_the_name_of_a_channel_is_that_of_now_and_stays_when_it_is_deleted(
    store: Store, owners: Owners, views: Views
) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    fields = {"type": "email", "name": "Ops", "config": {"email": "ops@example.com"}}
    channel = resources.create(NotificationChannel, organization, fields, TESTER)
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    plan(store, open_incident(store, monitor), channel_id=str(channel.id))
    change = {"name": "Night shift", "priority": 2}
    resources.update(NotificationChannel, organization, channel.id, change, TESTER)
    resources.delete(NotificationChannel, organization, channel.id, TESTER)
    catch_up(views)

    (planned,) = views.incidents.alerts_of_monitor(str(monitor.id), 9)

    assert planned.channel == {"type": "email", "name": "Night shift"}


@given(data=st.data())
@settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_the_order_between_the_logs_does_not_matter(
    store: Store, owners: Owners, data: st.DataObject
) -> None:
    if not store.reader("incidents").head():
        fill(store, owners)
    events = {log: list(store.reader(log).after(0, 1000)) for log in LOGS}
    turns = data.draw(st.permutations([log for log in LOGS for _ in events[log]]))
    sources = {log: iter(found) for log, found in events.items()}

    mixed = folded([next(sources[log]) for log in turns])

    assert mixed == folded([each for log in LOGS for each in events[log]])


def folded(events: list[LoggedEvent]) -> dict[str, Any]:
    """Fold events one by one in memory; return the rows by table and key."""
    replay = Replay()
    for each in events:
        incidents.PROJECTION.fold([each], replay)
    return {table.name: dict(replay.rows(table)) for table in incidents.PROJECTION.tables}


@pytest.mark.both_engines
def test_a_rebuild_gives_what_following_the_logs_gave(
    store: Store, owners: Owners, views: Views
) -> None:
    fill(store, owners)
    catch_up(views)
    projector = views.projector("incidents")
    before = rows(projector.view, incidents.PROJECTION)
    assert before["incidents"]
    assert before["alerted_incidents"]

    projector.rebuild()

    assert rows(projector.view, incidents.PROJECTION) == before


@pytest.mark.parametrize(
    ("incident_type", "category", "message"),
    [
        ("downtime", "timeout", "Timeout"),
        ("downtime", "dns_nxdomain", "DNS nxdomain"),
        ("downtime", "not_smtp", "Not SMTP"),
        ("configuration", "secret_unreadable", "Secret unreadable"),
        ("performance", "ok", "The server is slow"),
        ("ssl_expiry", None, "The certificate ends soon"),
        ("downtime", None, "Downtime"),
    ],
)
def test_what_is_wrong_is_said_in_words(
    incident_type: str, category: str | None, message: str
) -> None:
    rests_on = [] if category is None else [{"location": "a", "version": 1, "category": category}]

    assert message_of({"type": incident_type, "rests_on": rests_on}) == message


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0s"), (59, "59s"), (150, "2m 30s"), (3600, "1h"), (187_505, "2d 4h 5m 5s"), (-3, "0s")],
)
def test_a_duration_is_shown_in_its_parts(seconds: float, shown: str) -> None:
    assert display_duration(timedelta(seconds=seconds)) == shown
