"""Incidents over the API (contract part B, 11.2, 11.3, 4.7, 4.8, 5.7; D-1, D-2)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from domain.kinds import KINDS
from domain.notification_channel import NotificationChannel
from tests.api.test_organization import record, register
from tests.api.world import path_of
from tests.domain.given import TESTER
from tests.store.decisions import open_incident, plan

if TYPE_CHECKING:
    from domain.incident import Incident
    from domain.monitor import Monitor
    from tests.api.world import Persona, World


pytestmark = pytest.mark.both_engines

LISTED: Final = {
    "id": 123,
    "websiteId": None,
    "status": "open",
    "severity": "downtime",
    "started_at": "2026-02-26T12:10:00.000Z",
    "resolved_at": None,
    "last_notified_at": None,
    "error_message": "Timeout",
    "status_code": None,
    "response_time_ms": None,
    "website": None,
    "customer": {"id": 12, "email": "ops@example.com", "company": "Acme Corp"},
}
"""The documented answer, without the website that a mail server is not."""

DETAILS: Final = {
    "incident": {
        "id": 123,
        "websiteId": None,
        "type": "downtime",
        "status": "open",
        "startedAt": "2026-02-26T12:10:00.000Z",
        "resolvedAt": None,
        "statusCode": None,
        "errorMessage": "Timeout",
        "responseTimeMs": None,
    },
    "timeline": {
        "outageStartedAt": "2026-02-26T12:08:00.000Z",
        "outageStartedCheck": {
            "id": "chk_01H...",
            "checkedAt": "2026-02-26T12:08:00.000Z",
            "status": "failure",
            "statusCode": None,
            "errorMessage": "Timeout",
            "responseTimeMs": None,
            "location": {"id": 1, "code": "fra", "name": "Frankfurt"},
        },
        "confirmationAt": "2026-02-26T12:10:00.000Z",
        "failedChecks": [],
        "failedChecksTotal": 2,
        "alertEvents": [
            {
                "id": 987,
                "sentAt": None,
                "type": "email",
                "status": "planned",
                "channelName": "Ops Email",
                "errorMessage": None,
            }
        ],
        "recoveryChecks": [],
        "recoveryChecksTotal": 0,
    },
    "evidenceCheck": {
        "id": "chk_01H...",
        "checkedAt": "2026-02-26T12:10:00.000Z",
        "diagnostics": None,
        "hasScreenshot": False,
        "screenshotUrl": None,
    },
}
ALERT: Final = {
    "id": 987,
    "incidentId": 123,
    "type": "email",
    "status": "planned",
    "channelName": "Ops Email",
    "sentAt": None,
    "errorMessage": None,
}
HISTORY: Final = {
    "id": 123,
    "type": "downtime",
    "status": "resolved",
    "startedAt": "Feb 26, 2026, 12:10:00",
    "endedAt": "Feb 26, 2026, 12:12:30",
    "duration": "2m 30s",
}
CONFIRMED: Final = datetime(2026, 2, 26, 12, 10, tzinfo=UTC)
BEGUN: Final = CONFIRMED - timedelta(minutes=2)


def catch_up(world: World) -> None:
    """Show what was recorded behind the API's back."""
    for projector in world.views.projectors.values():
        projector.catch_up()


def outage(world: World, monitor: Monitor) -> Incident:
    """Let a monitor be down as the documented page tells it: two failing checks, one message."""
    register(world, "fra", "Frankfurt", None)
    record(world, monitor, 0, location="fra", at=BEGUN - timedelta(minutes=2))
    failed = {"verdict": "down", "category": "timeout", "message": "Timeout", "location": "fra"}
    for at in (BEGUN, CONFIRMED):
        record(world, monitor, 0, at=at, **failed)
    incident = open_incident(
        world.store,
        monitor,
        CONFIRMED,
        outage_started_at="2026-02-26T12:08:00.000Z",
        rests_on=[{"location": "fra", "version": 3, "category": "timeout"}],
    )
    fields = {"type": "email", "name": "Ops Email", "config": {"email": "ops@example.com"}}
    channel = world.store.monitoring.resources.create(
        NotificationChannel, world.owners["own"].organization.id, fields, TESTER
    )
    plan(world.store, incident, channel_id=str(channel.id))
    catch_up(world)
    return incident


def recover(world: World, monitor: Monitor, incident: Incident) -> None:
    """Let the monitor recover two and a half minutes after the confirmation."""
    end = CONFIRMED + timedelta(seconds=150)
    record(world, monitor, 0, location="fra", at=end)
    good = [{"location": "fra", "version": 4}]
    change = world.store.incidents.incident(incident.id)
    change.resolve(good, actor=TESTER, now=end)
    world.store.incidents.save(change)
    catch_up(world)


def assert_like(found: Any, documented: Any) -> None:  # noqa: ANN401 - any JSON
    """Compare the keys that are documented, in order, and the values that no store assigns."""
    assert list(found)[: len(documented)] == list(documented)
    for key, expected in documented.items():
        if isinstance(expected, dict):
            assert_like(found[key], expected)
        elif isinstance(expected, list):
            for one, other in zip(found[key], expected, strict=False):
                assert_like(one, other)
        elif key not in ("id", "incidentId", "diagnostics", "responseTimeMs", "email", "company"):
            assert found[key] == expected, key


def test_the_list_has_the_documented_shape(world: World) -> None:
    monitor = world.monitor()
    incident = outage(world, monitor)

    found = world.admin.get("/api/incidents").json[0]

    assert_like(found, LISTED)
    customer = world.owners["own"].customer
    assert found["customer"]["company"] == customer.name
    assert list(found)[len(LISTED) :][:7] == [
        *("publicId", "monitorType", "smtpMonitorId", "imapPopMonitorId", "mailFlowMonitorId"),
        *("mailDomainMonitorId", "monitor"),
    ]
    assert (found["publicId"], found["smtpMonitorId"]) == (str(incident.id), monitor.number)
    assert found["imapPopMonitorId"] is None
    assert found["monitor"] == {
        "id": monitor.number,
        "publicId": str(monitor.id),
        "name": monitor.name,
        "hostname": monitor.hostname,
        "status": "active",
    }


def test_the_details_have_the_documented_shape_and_the_checks_that_confirmed_it(
    world: World,
) -> None:
    monitor = world.monitor()
    incident = outage(world, monitor)
    path = f"/api/incidents/{incident.id}"

    found = world.admin.get(path).json

    assert_like(found, DETAILS)
    failed = found["timeline"]["failedChecks"]
    assert [each["checkedAt"] for each in failed] == [
        "2026-02-26T12:08:00.000Z",
        "2026-02-26T12:10:00.000Z",
    ]
    assert found["timeline"]["outageStartedCheck"] == failed[0]
    assert found["evidenceCheck"]["id"] == failed[1]["id"]
    assert found["evidenceCheck"]["diagnostics"]["category"] == "timeout"
    checks = world.admin.get(f"{path_of(monitor)}/check-history").json["data"]
    assert failed[1]["id"] == checks[0]["id"]

    recover(world, monitor, incident)
    found = world.admin.get(path).json
    assert (found["incident"]["status"], found["incident"]["resolvedAt"]) == (
        "resolved",
        "2026-02-26T12:12:30.000Z",
    )
    (recovery,) = found["timeline"]["recoveryChecks"]
    assert (recovery["status"], recovery["errorMessage"]) == ("success", None)
    assert found["timeline"]["failedChecksTotal"] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_histories_of_a_monitor_have_the_documented_shape(world: World, kind: str) -> None:
    monitor = world.monitor(kind)
    incident = outage(world, monitor)
    path = path_of(monitor)

    ongoing = world.admin.get(f"{path}/incident-history").json
    assert ongoing["total"] == 1
    assert [ongoing["incidents"][0][key] for key in ("status", "endedAt", "isOngoing")] == [
        "active",
        None,
        True,
    ]
    recover(world, monitor, incident)
    ended = world.admin.get(f"{path}/incident-history").json

    assert_like(ended["incidents"][0], HISTORY)
    assert ended["incidents"][0]["startedAtIso"] == "2026-02-26T12:10:00.000Z"
    assert ended["incidents"][0]["durationMs"] == 150_000
    alerts = world.admin.get(f"{path}/alert-history").json
    assert alerts["total"] == 1
    assert_like(alerts["alerts"][0], ALERT)
    listed = next(
        each
        for each in world.admin.get("/api/incidents").json
        if each["publicId"] == str(incident.id)
    )
    assert alerts["alerts"][0]["incidentId"] == listed["id"] == ended["incidents"][0]["id"]


def test_the_list_is_filtered_paged_and_counted(world: World) -> None:
    first, second = world.monitor(), world.monitor("imap_pop", "other")
    made = [open_incident(world.store, each) for each in (first, second, first)]
    world.store.incidents.close_by_hand(made[0].id, TESTER)
    catch_up(world)

    def found(**query: str | int) -> list[str]:
        answer = world.admin.get("/api/incidents", **query)
        assert answer.status_code == 200, answer.text
        return [each["publicId"] for each in answer.json]

    everything = found()
    assert everything[:3] == [str(each.id) for each in reversed(made)]
    of_first = [str(made[2].id), str(made[0].id)]
    assert found(monitorId=str(first.id)) == of_first
    assert found(monitorId=str(first.id), status="open") == of_first[:1]
    assert found(monitorId=str(first.id), status="resolved") == of_first[1:]
    assert found(monitorId=str(first.id), type="performance") == []
    other = world.owners["other"].customer.number
    assert found(customerId=other, limit=1) == [str(made[1].id)]
    assert found(limit=1, offset=1) == everything[1:2]
    page = world.admin.get("/api/incidents", limit=1, offset=1, includeTotal="true").json
    assert [each["publicId"] for each in page.pop("incidents")] == everything[1:2]
    assert page == {"total": len(everything), "limit": 1, "offset": 1}
    assert world.admin.get("/api/incidents", limit=1000, includeTotal=1).json["limit"] == 500
    organization = world.owners["own"].organization.number
    assert found(organizationId=organization) == everything


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("status", "closed", "open, resolved"),
        ("type", "down", "downtime"),
        ("monitorId", "7", "publicId"),
        ("limit", "0", "from 1"),
        ("offset", "-1", "from 0"),
        ("includeTotal", "yes", "1, true"),
    ],
)
def test_a_wrong_parameter_is_named(world: World, name: str, value: str, words: str) -> None:
    answer = world.admin.get("/api/incidents", **{name: value})

    assert answer.status_code == 400
    (error,) = answer.json["errors"]
    assert error["path"] == name
    assert words in error["message"]


def test_an_incident_is_acknowledged_once_and_closed_once(world: World) -> None:
    monitor = world.monitor()
    incident = open_incident(world.store, monitor)
    catch_up(world)
    path = f"/api/incidents/{incident.id}"

    first = world.admin.post(f"{path}/acknowledge", {"note": "on my way"})
    again = world.caller("user").post(f"{path}/acknowledge", {})

    assert (first.status_code, again.json) == (200, first.json)
    shown = first.json["incident"]
    assert (shown["acknowledgedBy"], shown["acknowledgementNote"]) == ("admin", "on my way")
    assert world.admin.get(path).json["incident"] == shown

    closed = world.admin.post(f"{path}/close", {"reason": "moved away"})
    assert closed.status_code == 200
    shown = closed.json["incident"]
    assert (shown["status"], shown["closeReason"], shown["closeNote"]) == (
        "resolved",
        "by_hand",
        "moved away",
    )
    assert world.admin.get(path).json["incident"] == shown
    (known,) = [
        each
        for each in world.admin.get("/api/monitors", perPage=200).json["items"]
        if each["publicId"] == str(monitor.id)
    ]
    assert known["openIncidentId"] is None
    for action, body in (("acknowledge", {}), ("close", {"reason": "again"})):
        refused = world.admin.post(f"{path}/{action}", body)
        assert refused.status_code == 409
        assert "over already" in refused.json["message"]


@pytest.mark.parametrize(
    ("action", "body", "path"),
    [
        ("close", {}, "reason"),
        ("close", {"reason": "  "}, "reason"),
        ("close", {"reason": "x" * 2001}, "reason"),
        ("acknowledge", {"note": 5}, "note"),
        ("acknowledge", {"comment": "x"}, "comment"),
    ],
)
def test_a_wrong_body_is_named(world: World, action: str, body: dict[str, Any], path: str) -> None:
    incident = open_incident(world.store, world.monitor())

    answer = world.admin.post(f"/api/incidents/{incident.id}/{action}", body)

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json["errors"]] == [path]
    assert world.store.incidents.incident(incident.id).is_open


@pytest.mark.parametrize("action", ["", "/acknowledge", "/close"])
def test_an_incident_is_for_those_who_may_read_its_monitor(world: World, action: str) -> None:
    own = open_incident(world.store, world.monitor())
    other = open_incident(world.store, world.monitor(whose="other"))

    def status(persona: Persona, identifier: object) -> int:
        path, caller = f"/api/incidents/{identifier}{action}", world.caller(persona)
        answer = caller.post(path, {"reason": "x"}) if action else caller.get(path)
        found: int = answer.status_code
        return found

    assert status("stranger", own.id) == status("metrics", own.id) == 404
    assert status("scoped_user", other.id) == 403
    assert status("admin", "7") == 400
    assert status("admin", world.monitor().id) == 404
    assert world.admin.get("/api/incidents/7").json["message"] == (
        "Incident public ID (UUID) required"
    )
    listed = world.caller("scoped_user").get("/api/incidents", limit=500).json
    assert str(other.id) not in json.dumps(listed)
    assert str(own.id) in json.dumps(listed)


def test_incidents_of_locations_are_for_operators(world: World) -> None:
    evidence = [{"location": "de-nbg", "failing": 6, "watched": 6}]
    incident = open_incident(world.store, rests_on=evidence)
    catch_up(world)
    path = f"/api/incidents/{incident.id}"

    assert world.admin.get(path).status_code == 404
    assert world.caller("supporter").get(path).status_code == 404
    assert world.admin.get("/api/incidents", type="location").json == []
    assert str(incident.id) not in world.operator.get("/api/incidents").text
    assert str(incident.id) in world.operator.get("/api/incidents", type="location").text
    found = world.operator.get(path).json
    assert (found["incident"]["locationCode"], found["incident"]["monitor"]) == ("de-nbg", None)
    assert (found["evidenceCheck"], found["timeline"]["failedChecks"]) == (None, [])


def test_an_address_that_is_not_allowed_is_hidden_in_details(world: World) -> None:
    register(world, "fra", "Frankfurt", None)
    monitor = world.monitor()
    blocked: dict[str, Any] = {"category": "address_blocked", "message": "10.1.2.3 is private"}
    record(world, monitor, 0, verdict="down", location="fra", address="10.1.2.3", **blocked)
    incident = open_incident(
        world.store,
        monitor,
        type="configuration",
        outage_started_at="2026-01-01T12:00:00.000Z",
        rests_on=[{"location": "fra", "version": 1, "category": "address_blocked"}],
    )
    catch_up(world)
    path = f"/api/incidents/{incident.id}"

    shown = world.admin.get(path)
    assert shown.json["timeline"]["failedChecksTotal"] == 1
    assert "10.1.2.3" not in shown.text
    assert "10.1.2.3" in json.dumps(world.operator.get(path).json["evidenceCheck"])
