"""Many monitors and many days: outages of a whole park, of one place, and a month of checks."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, Final

import pytest

from alerting.policy.facts import Channel, Check, MonitorSettings
from alerting.policy.policy import Policy
from domain.alert_policy import AlertPolicy
from domain.incident import Incident
from domain.notification import Notification
from tests.alerting.timeline_runner import BASE, Channels, Windows

LOCATIONS: Final = ("a", "b", "c")
ON_A_SERVER: Final = 10
DAY: Final = 86_400
BREAKS: Final = 0.005
"""The chance of a monitor to break in half an hour."""


class Park:
    """Many monitors, ten on each server, with a channel for people and one for machines."""

    def __init__(self, monitors: int = 200, locations: tuple[str, ...] = LOCATIONS) -> None:
        channels = Channels([Channel("people"), Channel("hook", for_people=False)])
        self.policy = Policy(Windows(), channels)
        self.names = [f"m{number}" for number in range(monitors)]
        self.events: list[Any] = []
        self._versions: Counter[tuple[str, str]] = Counter()
        for number, name in enumerate(self.names):
            self.policy.note_monitor(_settings(name, number // ON_A_SERVER, locations), BASE)
        self.policy.resume(BASE)

    def check(self, name: str, location: str, at: float, category: str) -> None:
        self._versions[name, location] += 1
        version = self._versions[name, location]
        self.policy.note_check(Check(name, location, version, 1, BASE + at, category), BASE + at)
        self.events += self.policy.take()

    def check_all(self, location: str, at: float, category: str, within: float = 20) -> None:
        """Check every monitor at a location within some seconds."""
        for number, name in enumerate(self.names):
            self.check(name, location, at + within * number / len(self.names), category)

    def wait(self, until: float) -> None:
        self.policy.advance(BASE + until)
        self.events += self.policy.take()

    def opened(self, incident_type: str) -> list[Any]:
        return [
            each
            for each in self.events
            if isinstance(each, Incident.Created) and each.type == incident_type
        ]

    def plans(self, channel: str) -> list[Any]:
        return [
            each
            for each in self.events
            if isinstance(each, Notification.Created) and each.channel_id == channel
        ]


def _settings(name: str, server: int, locations: tuple[str, ...]) -> MonitorSettings:
    return MonitorSettings(
        monitor_id=name,
        organization_id="o",
        customer_id="k",
        hostname=f"s{server}",
        status="active",
        interval_seconds=300.0,
        timeout_seconds=30.0,
        since=BASE,
        locations=locations,
        policy=AlertPolicy(location_threshold="majority"),
    )


@pytest.mark.parametrize("monitors", [200, pytest.param(2000, marks=pytest.mark.thorough)])
def test_an_outage_of_all_servers_is_one_message_a_server_for_people(monitors: int) -> None:
    park = Park(monitors)
    for location in LOCATIONS:
        park.check_all(location, 0, "ok")
    for at in (300, 360, 420):
        for location in LOCATIONS:
            park.check_all(location, at, "timeout")
    park.wait(600)

    assert len(park.opened("downtime")) == monitors
    assert park.opened("location") == []
    alerts = [each for each in park.plans("people") if each.timestamp.timestamp() < BASE + 520]
    assert len(alerts) == monitors / ON_A_SERVER
    assert {len(each.incidents) for each in alerts} == {ON_A_SERVER}
    assert len(park.plans("hook")) == monitors


def test_a_place_whose_network_is_away_for_four_minutes_is_told_of_alone() -> None:
    park = Park()
    for location in LOCATIONS:
        park.check_all(location, 0, "ok")
    for at in (300, 360, 420):
        park.check_all("a", at, "timeout")
        park.check_all("b", at, "ok")
        park.check_all("c", at, "ok")
    park.check_all("a", 540, "ok")
    park.wait(1000)

    assert park.opened("downtime") == []
    (place,) = park.opened("location")
    assert place.location == "a"
    assert [each for each in park.plans("people") if each.kind == "alert"] == []


def month_of(park: Park) -> None:
    """Tell a park of checks every half an hour, in which servers break and recover."""
    chance = random.Random(2)  # noqa: S311 - a story that is the same in every run
    down_until = dict.fromkeys(park.names, 0.0)
    for at in range(0, 30 * DAY, 1800):
        for name in park.names:
            if down_until[name] <= at and chance.random() < BREAKS:
                down_until[name] = at + chance.choice((1800, 5400, 40_000))
            category = "connect_refused" if at < down_until[name] else "ok"
            for again in (0, 60, 120):
                park.check(name, "a", at + again, category)
                park.check(name, "b", at + again, category)
    park.check_all("a", 31 * DAY, "ok")
    park.check_all("b", 31 * DAY, "ok")
    park.wait(32 * DAY)


def heard_of_no_end(plans: list[Any]) -> set[str]:
    """Return the incidents of which messages tell the trouble and not the end."""
    last = {each["id"]: plan.kind for plan in plans for each in plan.incidents}
    return {incident for incident, kind in last.items() if kind != "recovery"}


@pytest.mark.thorough
def test_thirty_days_end_with_everything_told() -> None:
    park = Park(9, ("a", "b"))

    month_of(park)

    assert len(park.opened("downtime")) > 30
    for channel in ("people", "hook"):
        plans = park.plans(channel)
        assert len(plans) > 60
        assert heard_of_no_end(plans) == set()
    decided = park.policy.decided
    assert not any(decided.open_incident(each, "downtime") for each in park.names)
    assert (decided.groups, decided.by_server) == ({}, {})
