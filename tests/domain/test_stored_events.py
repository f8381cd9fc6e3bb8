"""Stored events are a promise: today's code reads what any earlier code wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import Mapper, StoredEvent

from domain import sealing
from domain.access_token import AccessToken
from domain.archive.archived import ChecksArchived
from domain.check import CheckPerformed
from domain.location import MonitoringLocation
from domain.monitor import Monitor
from domain.numbers import Registered
from domain.organization import Customer, Organization
from domain.repeats import RequestAnswered
from domain.transcoding import OrjsonTranscoder
from tests.domain.stored_events import EVENTS, MASTER_KEY, WRAPPED_KEY, Frozen

MAPPER: Mapper[UUID] = Mapper(OrjsonTranscoder())
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
    "RequestAnswered": RequestAnswered,
    "ChecksArchived": ChecksArchived,
}
DECODE_ALL = """
import sys
import domain.store
from eventsourcing.utils import resolve_topic

for topic in sys.argv[1:]:
    print(topic, resolve_topic(topic).__qualname__)
"""
LIST_EVENTS = """
import domain.store
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
    assert event.timestamp == datetime.fromisoformat(state.pop("timestamp"))
    assert {key: event.__dict__[key] for key in state} == state


@pytest.mark.parametrize("frozen", EVENTS, ids=name_of)
def test_decoding_and_encoding_again_loses_nothing(frozen: Frozen) -> None:
    event = decode(frozen)

    again = MAPPER.to_stored_event(event)

    assert (again.topic, again.originator_version) == (frozen.topic, frozen.originator_version)
    written, old = json.loads(again.state), json.loads(frozen.state)
    assert {key: written[key] for key in old} == old


def test_old_events_still_make_the_same_monitor() -> None:
    events = [decode(frozen) for frozen in EVENTS]
    created = next(each for each in events if getattr(each, "kind", "") == "smtp")
    stream = [each for each in events if each.originator_id == created.originator_id]

    monitor: Any = None
    for event in stream:
        monitor = event.mutate(monitor)

    config = monitor.fields.pop("config")
    assert monitor.fields == {
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
    stored = {topic for name, topic in found if not name.endswith(".Event")}
    frozen = {each.topic for each in EVENTS}
    assert stored == frozen, "add the bytes of a new event to stored_events.py, for ever"
