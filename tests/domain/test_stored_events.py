"""Stored events are a promise: today's code reads what any earlier code wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from eventsourcing.domain import DomainEvent
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent
from eventsourcing.utils import register_topic

from domain.access_token import AccessToken
from domain.check import CheckPerformed, ChecksArchived
from domain.errors import StoreError
from domain.event_mapper import EventMapper
from domain.fields import MONITOR_FIELDS, current_values
from domain.idempotency import RequestAnswered
from domain.incident import Incident
from domain.incidents import AlertingStarted
from domain.location import MonitoringLocation
from domain.maintenance_window import MaintenanceWindow
from domain.monitor import Monitor
from domain.monitor_requests import CheckRequested, LoginRetryRequested
from domain.notification import Notification
from domain.notification_channel import NotificationChannel
from domain.numbering import Registered
from domain.organization import Customer, Organization
from domain.package_config import PackageConfig
from domain.tag import MonitorTags, Tag
from store.keys import sealing
from tests.domain.stored_events import EVENTS, MASTER_KEY, WRAPPED_KEY, Frozen

if TYPE_CHECKING:
    from store.store import Store
    from tests.domain.given import Owners


MAPPER = EventMapper()
CLASS_OF: dict[str, type[Any]] = {
    "Registered": Registered,
    "OrganizationCreated": Organization.Created,
    "CustomerCreated": Customer.Created,
    "TokenIssued": AccessToken.Created,
    "TokenRevoked": AccessToken.Revoked,
    "MonitorCreated": Monitor.Created,
    "MonitorUpdated": Monitor.Updated,
    "MonitorDeleted": Monitor.Deleted,
    "CheckPerformed": CheckPerformed,
    "CustomerUpdated": Customer.Updated,
    "TokenUsed": AccessToken.Used,
    "LocationRegistered": MonitoringLocation.Created,
    "LocationUpdated": MonitoringLocation.Updated,
    "LocationRetired": MonitoringLocation.Retired,
    "LocationRestored": MonitoringLocation.Restored,
    "RequestAnswered": RequestAnswered,
    "ChecksArchived": ChecksArchived,
    "MaintenanceWindowCreated": MaintenanceWindow.Created,
    "MaintenanceWindowUpdated": MaintenanceWindow.Updated,
    "MaintenanceWindowDeleted": MaintenanceWindow.Deleted,
    "NotificationChannelCreated": NotificationChannel.Created,
    "NotificationChannelUpdated": NotificationChannel.Updated,
    "NotificationChannelDeleted": NotificationChannel.Deleted,
    "TagCreated": Tag.Created,
    "TagUpdated": Tag.Updated,
    "TagDeleted": Tag.Deleted,
    "PackageConfigCreated": PackageConfig.Created,
    "PackageConfigUpdated": PackageConfig.Updated,
    "PackageConfigDeleted": PackageConfig.Deleted,
    "MonitorFirstTagged": MonitorTags.Created,
    "MonitorTagged": MonitorTags.Assigned,
    "MonitorUntagged": MonitorTags.Removed,
    "CheckRequested": CheckRequested,
    "LoginRetryRequested": LoginRetryRequested,
    "AlertingStarted": AlertingStarted,
    "IncidentOpened": Incident.Created,
    "IncidentReopened": Incident.Reopened,
    "IncidentResolved": Incident.Resolved,
    "IncidentClosed": Incident.Closed,
    "IncidentAcknowledged": Incident.Acknowledged,
    "IncidentUnstable": Incident.Unstable,
    "IncidentSteady": Incident.Steady,
    "LocationReleased": Incident.Released,
    "AlertPlanned": Notification.Created,
    "AlertSkipped": Notification.Skipped,
}
SORTS = ("organization", "customer", "access_token", "smtp", "imap_pop", "location")
"""In the order of the registrations of version 1."""

DECODE_ALL = """
import sys
import store.store
from eventsourcing.utils import resolve_topic

for topic in sys.argv[1:]:
    print(topic, resolve_topic(topic).__qualname__)
"""
LIST_EVENTS = """
import store.store
from eventsourcing.domain import CanMutateAggregate, DomainEvent

def below(base):
    for each in base.__subclasses__():
        yield each
        yield from below(each)

for each in {*below(CanMutateAggregate), *below(DomainEvent)}:
    if each.__module__.startswith("domain."):
        print(each.__qualname__, each.__dict__.get("TOPIC", "-"))
"""


def name_of(frozen: Frozen) -> str:
    return f"{frozen.topic}-{frozen.originator_version}"


def decode(frozen: Frozen) -> Any:  # noqa: ANN401 - any event
    stored = StoredEvent(
        UUID(frozen.originator_id), frozen.originator_version, frozen.topic, frozen.state
    )
    return MAPPER.to_domain_event(stored)


def fresh_interpreter(program: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("frozen", EVENTS, ids=name_of)
def test_old_bytes_decode_to_the_same_event(frozen: Frozen) -> None:
    event = decode(frozen)

    assert type(event) is CLASS_OF[frozen.topic]
    assert event.originator_id == UUID(frozen.originator_id)
    assert event.originator_version == frozen.originator_version
    state = json.loads(frozen.state)
    state.pop("class_version", None)
    assert event.timestamp == datetime.fromisoformat(state.pop("timestamp"))
    assert {key: event.__dict__[key] for key in state} == state


@pytest.mark.parametrize("frozen", EVENTS, ids=name_of)
def test_decoding_and_encoding_again_loses_nothing(frozen: Frozen) -> None:
    event = decode(frozen)

    again = MAPPER.to_stored_event(event)

    assert (again.topic, again.originator_version) == (frozen.topic, frozen.originator_version)
    values = dict(event.__dict__)
    stream, version = values.pop("originator_id"), values.pop("originator_version")
    assert MAPPER.row(type(event), stream, version, values) == (
        again.originator_id.hex,  # type: ignore[union-attr] # an id, here
        again.originator_version,
        again.topic,
        again.state,
    )
    written, old = json.loads(again.state), json.loads(frozen.state)
    assert written.pop("class_version", 1) >= old.pop("class_version", 1)
    assert {key: written[key] for key in old} == old


def test_a_registration_of_version_1_learns_its_sort_from_its_stream() -> None:
    registered = [(each, decode(each)) for each in EVENTS if each.topic == "Registered"]

    first = [event for frozen, event in registered if b"class_version" not in frozen.state]
    second = [event for frozen, event in registered if b'"class_version":2' in frozen.state]

    assert [event.sort for event in first] == [*SORTS]
    assert [event.sort for event in second] == ["smtp"]
    assert not any("class_version" in event.__dict__ for _, event in registered)


def test_what_is_written_today_says_its_version(store: Store, owners: Owners) -> None:
    (row,) = store.monitoring.recorder.select_notifications(1, 1)
    assert json.loads(row.state)["class_version"] == Registered.class_version == 2
    assert json.loads(row.state)["sort"] == "organization"
    assert (
        decode(Frozen("", row.topic, str(row.originator_id), 1, row.state)).sort == "organization"
    )
    assert owners.organization.number == 1


class Renamed(DomainEvent):
    """An event that has come a long way."""

    TOPIC = "TestRenamed"
    class_version = 3

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Give the field its second name."""
        state["second"] = state.pop("first")

    @staticmethod
    def upcast_v2_v3(state: dict[str, Any]) -> None:
        """Give the field its third name."""
        state["third"] = state.pop("second")


register_topic(Renamed.TOPIC, Renamed)


def renamed(**state: Any) -> Any:  # noqa: ANN401 - any field
    """Return such an event from its stored state."""
    written = json.dumps({"timestamp": "2026-01-01T00:00:00+00:00", **state}).encode()
    return decode(Frozen("", "TestRenamed", "00000000-0000-4000-8000-000000000001", 1, written))


def test_each_version_takes_every_step_that_it_lacks() -> None:
    assert renamed(first="a").third == "a"
    assert renamed(class_version=2, second="b").third == "b"
    assert renamed(class_version=3, third="c").third == "c"


def test_fields_alone_take_the_same_steps_and_are_refused_alike() -> None:
    mapper = EventMapper()
    old = b'{"timestamp":"2026-01-01T00:00:00+00:00","first":"a"}'

    assert mapper.values("TestRenamed", old) == {
        "timestamp": "2026-01-01T00:00:00+00:00",
        "third": "a",
    }
    with pytest.raises(StoreError, match="does not know"):
        mapper.values("TestRenamed", b'{"class_version":4}')
    for damaged in (b"", b"[]", b'"secret"'):
        with pytest.raises(MapperDeserialisationError, match="'TestRenamed' is damaged") as caught:
            mapper.values("TestRenamed", damaged)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("topic", "state"),
    [
        ("Registered", {"class_version": 3}),
        ("TokenUsed", {"class_version": 2}),
        ("SomethingOfTomorrow", {}),
    ],
)
def test_what_a_newer_version_wrote_is_refused_in_words(topic: str, state: dict[str, int]) -> None:
    written = json.dumps({"timestamp": "2026-01-01T00:00:00+00:00", **state}).encode()
    with pytest.raises(StoreError, match=f"{topic}.* does not know; install the version"):
        decode(Frozen("", topic, "00000000-0000-4000-8000-000000000001", 1, written))


@pytest.mark.parametrize(
    "state", [b"", b"[]", b'{"a":', b'{"registered_id":"secret"}', b'{"timestamp":"secret"}']
)
def test_damaged_bytes_are_refused_without_repeating_them(state: bytes) -> None:
    with pytest.raises(MapperDeserialisationError) as caught:
        decode(Frozen("", "Registered", "7fae8229-fb31-5a17-a42e-3a28e3fb3c08", 7, state))
    assert "event 7 of 7fae8229-fb31-5a17-a42e-3a28e3fb3c08 (Registered)" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_registration_in_no_known_stream_is_damaged() -> None:
    state = b'{"timestamp":"2026-01-01T00:00:00+00:00","registered_id":"x","actor":{}}'
    with pytest.raises(MapperDeserialisationError, match="version 1 is damaged: KeyError"):
        decode(Frozen("", "Registered", "00000000-0000-4000-8000-000000000001", 1, state))


def test_old_events_still_make_the_same_monitor() -> None:
    events = [decode(frozen) for frozen in EVENTS]
    created = next(each for each in events if getattr(each, "kind", "") == "smtp")
    stream = [each for each in events if each.originator_id == created.originator_id]

    monitor: Any = None
    for event in stream:
        monitor = event.mutate(monitor)

    fields = current_values(monitor, MONITOR_FIELDS)
    config = fields.pop("config")
    assert fields == {
        "name": "Münster 🔑",
        "hostname": "smtp.example.com",
        "port": None,
        "status": "maintenance",
        "check_interval": 0.5,
        "timeout_seconds": 30,
        "notification_email": None,
        "notification_phone_number": None,
        "allowed_check_country_codes": None,
    }
    assert config["x"] == {"_type_": "x", "_data_": "y"}
    assert (monitor.kind, monitor.number, monitor.version) == ("smtp", 1, 2)


def test_an_old_sealed_secret_still_opens_with_its_old_keys() -> None:
    created = next(
        event
        for event in (decode(frozen) for frozen in EVENTS)
        if isinstance(event, Monitor.Created) and event.kind == "smtp"
    )
    owner = str(created.originator_id)

    data_key = sealing.unwrap_key(MASTER_KEY, b64decode(WRAPPED_KEY), owner)

    assert sealing.unseal(data_key, created.config["auth"]["pass"], owner) == "password"


def test_every_topic_is_known_to_a_process_that_imports_the_store_alone() -> None:
    found = fresh_interpreter(DECODE_ALL, *CLASS_OF)

    assert found == [f"{topic} {each.__qualname__}" for topic, each in CLASS_OF.items()]


def test_every_event_class_has_a_topic_of_its_own_and_frozen_bytes() -> None:
    found = [line.split() for line in fresh_interpreter(LIST_EVENTS)]

    topics = [topic for _, topic in found]
    assert "-" not in topics, f"an event class without a topic of its own: {found}"
    assert len(set(topics)) == len(topics), f"two event classes with one topic: {found}"
    bases = (".Event", "Resource.Created", "Resource.Updated", "Resource.Deleted")
    stored = {topic for name, topic in found if not name.endswith(bases)}
    frozen = {each.topic for each in EVENTS}
    assert stored == frozen, "add the bytes of a new event to stored_events.py, for ever"
