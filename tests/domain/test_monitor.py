"""The monitor, given events, when a command comes: which events follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from domain.fields import MONITOR_FIELDS
from domain.monitor import Monitor
from tests.domain.given import CREATE_SMTP, MONITOR_ID, NOON, TESTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.commands import CreateMonitor


LATER = NOON + timedelta(minutes=1)


def created(command: CreateMonitor = CREATE_SMTP) -> list[Any]:
    """Return the events of a monitor that was just created."""
    monitor = Monitor.create(
        7, command, monitor_id=MONITOR_ID, config=command.config, actor=TESTER, now=NOON
    )
    return list(monitor.collect_events())


def given(events: Sequence[Any]) -> Monitor:
    """Return the monitor that events make."""
    monitor: Monitor | None = None
    for event in events:
        monitor = event.mutate(monitor)
    assert monitor is not None
    return monitor


def test_creating_records_every_field_once() -> None:
    (event,) = created()

    assert type(event) is Monitor.Created
    assert event.originator_id == MONITOR_ID
    assert event.timestamp == NOON
    assert (event.number, event.kind, event.actor) == (7, "smtp", TESTER)
    assert {name: getattr(event, name) for name in MONITOR_FIELDS} == {
        name: getattr(CREATE_SMTP, name) for name in MONITOR_FIELDS
    }


def test_events_make_the_monitor_that_they_came_from() -> None:
    monitor = given(created())

    assert (monitor.id, monitor.version, monitor.number) == (MONITOR_ID, 1, 7)
    assert monitor.hostname == "smtp.example.com"
    assert monitor.created_on == NOON
    assert not monitor.deleted


def test_an_update_records_what_differs_and_nothing_else() -> None:
    monitor = given(created())

    changed = monitor.update(
        {"name": "New", "port": 587, "notification_email": None}, actor=TESTER, now=LATER
    )

    (event,) = monitor.collect_events()
    assert changed
    assert type(event) is Monitor.Updated
    assert event.changes == {"name": "New"}
    assert (event.originator_version, event.timestamp) == (2, LATER)
    assert monitor.name == "New"
    assert monitor.port == 587


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "Outbound SMTP"},
        {"check_interval": 60.0},
        {"config": {"list": [1, {"x": None}], "secure": False}},
    ],
)
def test_an_update_without_a_difference_records_nothing(changes: dict[str, Any]) -> None:
    config = {"secure": False, "list": [1, {"x": None}]}
    monitor = given(created(replace(CREATE_SMTP, config=config)))

    assert not monitor.update(changes, actor=TESTER, now=LATER)
    assert monitor.collect_events() == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"x": 1}, {"x": True}),
        ({"x": 0}, {"x": False}),
        ({"x": [1]}, {"x": [True]}),
        ({"x": {"y": 1}}, {"x": {"y": True}}),
        ({"x": None}, {}),
        ({"x": 1}, {"x": "1"}),
        ({"x": [1, 2]}, {"x": [2, 1]}),
        ({"x": [1]}, {"x": [1, 1]}),
        ({"x": None}, {"x": False}),
    ],
)
def test_configs_differ_where_json_differs(before: dict[str, Any], after: dict[str, Any]) -> None:
    monitor = given(created(replace(CREATE_SMTP, config=before)))

    assert monitor.update({"config": after}, actor=TESTER, now=LATER)


def test_null_clears_a_field() -> None:
    monitor = given(created())

    monitor.update({"port": None}, actor=TESTER, now=LATER)

    assert monitor.port is None


def test_a_deletion_is_recorded_and_the_fields_stay_known() -> None:
    monitor = given(created())

    monitor.delete(actor=TESTER, now=LATER)

    (event,) = monitor.collect_events()
    assert type(event) is Monitor.Deleted
    assert monitor.deleted
    assert monitor.name == "Outbound SMTP"
