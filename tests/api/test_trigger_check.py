"""POST trigger-check: a check at once (contract part B, 4.10 and 5.9; D-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.monitor_requests import CheckRequested, requests_id
from tests.api.world import path_of
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from tests.api.world import World


pytestmark = pytest.mark.any_engine


@pytest.mark.parametrize(
    ("kind", "number_key", "queue"),
    [
        ("smtp", "smtpMonitorId", "smtp-monitor-checks-de-trigger"),
        ("imap_pop", "imapPopMonitorId", "imap-pop-monitor-checks-de-trigger"),
    ],
)
def test_a_check_is_asked_for_once(world: World, kind: str, number_key: str, queue: str) -> None:
    world.store.monitoring.register_location("de-trigger", "Here", "DE", TESTER)
    monitor = world.monitor(kind)
    path = f"{path_of(monitor)}/trigger-check"

    answer, again = world.admin.post(path, {}), world.admin.post(path, {})

    assert answer.status_code == 200, answer.text
    assert list(answer.json) == [
        "success",
        "message",
        number_key,
        "locationCodes",
        "queueNames",
    ]
    assert answer.json[number_key] == monitor.number
    assert "de-trigger" in answer.json["locationCodes"]
    assert queue in answer.json["queueNames"]
    assert again.json == answer.json
    stream = requests_id(monitor.id, CheckRequested)
    assert len(list(world.store.monitoring.events.get(stream))) == 1


def test_without_a_location_that_may_check_nothing_is_recorded(world: World) -> None:
    monitor = world.monitor(allowed_check_country_codes=["NZ"])

    answer = world.admin.post(f"{path_of(monitor)}/trigger-check", {})

    assert answer.status_code == 409
    assert answer.json["message"] == "No active monitoring locations available"
    stream = requests_id(monitor.id, CheckRequested)
    assert not list(world.store.monitoring.events.get(stream))
