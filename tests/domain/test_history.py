"""The history of a monitor in field terms, with secrets masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from domain.commands import UpdateMonitor
from domain.history import monitor_history
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from domain.store import Store
    from tests.domain.given import Owners

FIRST, SECOND = "canary-first", "canary-second"


def login(secret: str | None) -> dict[str, Any]:
    return {"auth": {"user": "u", "pass": secret}}


def test_a_history_tells_each_change_from_what_to_what(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(config=login(FIRST)), TESTER)
    for changes in (
        {"name": "New", "port": None},
        {"config": login(SECOND)},
        {"config": {"secure": True}},
        {"config": login(FIRST)},
    ):
        store.monitoring.update_monitor(UpdateMonitor(monitor.id, changes), TESTER)
    store.monitoring.delete_monitor(monitor.id, TESTER)

    entries = [each.as_json() for each in monitor_history(store.monitoring, monitor.id)]

    assert [each["version"] for each in entries] == [1, 2, 3, 4, 5, 6]
    assert [each["event"] for each in entries] == [
        *("MonitorCreated", "MonitorUpdated", "MonitorUpdated"),
        *("MonitorUpdated", "MonitorUpdated", "MonitorDeleted"),
    ]
    assert {"field": "hostname", "from": None, "to": "smtp.example.com"} in entries[0]["changes"]
    assert {"field": "config", "from": None, "to": login("********")} in entries[0]["changes"]
    assert entries[1]["changes"] == [
        {"field": "name", "from": "Outbound SMTP", "to": "New"},
        {"field": "port", "from": 587, "to": None},
    ]
    secret = {"field": "config.auth.pass", "from": "(changed)", "to": "(changed)"}
    assert entries[2]["changes"] == [secret]
    assert entries[3]["changes"] == [
        {"field": "config", "from": login("********"), "to": {"secure": True}},
        secret,
    ]
    assert entries[5]["changes"] == []
    assert all(each["actor"] == TESTER for each in entries)
    assert all(each["at"].endswith("Z") for each in entries)
    for hidden in (FIRST, SECOND, "sealed:"):
        assert hidden not in str(entries)


def test_what_is_no_monitor_has_no_history(store: Store, owners: Owners) -> None:
    assert monitor_history(store.monitoring, uuid4()) == []
    assert monitor_history(store.monitoring, owners.customer.id) == []
