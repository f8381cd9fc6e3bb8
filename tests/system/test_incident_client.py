"""A client of the documented pages, from a channel and a package to an outage and its end."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.mailservers.scripted import scripted
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.mailservers.scripted import Peer
    from tests.system.service import Client, Service


pytestmark = [pytest.mark.system]

OUTAGE_SECONDS = 60
"""Far more than a check of every six seconds and its decision take, on a busy machine."""


class MailServer:
    """The script of an SMTP server that can be broken."""

    def __init__(self) -> None:
        self.is_broken = threading.Event()

    def __call__(self, peer: Peer) -> None:
        """Serve one connection, or reset it."""
        if self.is_broken.is_set():
            peer.reset()
            return
        peer.send(b"220 mail.example.com ESMTP\r\n")
        peer.expect("EHLO")
        peer.send(b"250 mail.example.com\r\n")
        peer.expect("QUIT")
        peer.send(b"221 bye\r\n")


def asked(client: Client, method: str, path: str, body: object = None, status: int = 200) -> Any:  # noqa: ANN401 - any JSON
    """Send a request; return the body of the answer that is expected."""
    answer = client(method, path, body)
    assert answer.status == status, (method, path, answer.body)
    return answer.body


def wait_for(what: str, condition: Callable[[], Any]) -> Any:  # noqa: ANN401 - any JSON
    return wait_until(condition, seconds=OUTAGE_SECONDS, what=what)


def test_an_outage_is_seen_taken_care_of_and_ended(service: Service) -> None:
    client, server = service.client, MailServer()
    policy = {"alertConsecutiveChecks": 1, "alertGroupWaitSeconds": 0}
    asked(client, "PATCH", "/api/package-configs/quick", policy)
    customer = asked(
        client, "POST", "/api/customers", {"name": "Acme Corp", "packageType": "quick"}, 201
    )
    channel = asked(
        client,
        "POST",
        "/api/notification-channels",
        {"type": "email", "name": "Ops Email", "config": {"email": "ops@example.com"}},
        201,
    )
    with scripted(server) as port:
        monitor = asked(
            client,
            "POST",
            "/api/smtp-monitors",
            {
                "customerId": customer["customer"]["publicId"],
                "name": "Outbound SMTP",
                "hostname": "127.0.0.1",
                "port": port,
                "checkInterval": 0.1,
            },
            201,
        )
        path = f"/api/smtp-monitors/{monitor['publicId']}"
        tag = asked(client, "POST", "/api/tags", {"name": "Production", "color": "red"}, 201)
        tagged = {"monitorType": "smtp", "monitorId": monitor["id"], "tagId": tag["id"]}
        asked(client, "POST", "/api/monitor-tags", tagged, 201)
        now = datetime.now(UTC)
        window = {
            "name": "Next week",
            "startTime": (now + timedelta(days=7)).isoformat(),
            "endTime": (now + timedelta(days=8)).isoformat(),
            "tagIds": [tag["id"]],
        }
        window = asked(client, "POST", "/api/maintenance-windows", window, 201)
        wait_for("a good check", lambda: asked(client, "GET", path)["state"] == "up")

        server.is_broken.set()
        triggered = asked(client, "POST", f"{path}/trigger-check")
        assert triggered["smtpMonitorId"] == monitor["id"]
        (incident,) = wait_for(
            "an incident", lambda: asked(client, "GET", "/api/incidents?status=open")
        )
        assert (incident["severity"], incident["status"]) == ("downtime", "open")
        assert incident["error_message"] == "Connection reset"
        assert incident["customer"]["company"] == "Acme Corp"
        assert incident["smtpMonitorId"] == monitor["id"]
        where = f"/api/incidents/{incident['publicId']}"
        planned = wait_for(
            "a message", lambda: asked(client, "GET", f"{path}/alert-history")["alerts"]
        )
        assert (planned[0]["channelName"], planned[0]["type"]) == (channel["name"], "email")
        assert (planned[0]["incidentId"], planned[0]["status"]) == (incident["id"], "planned")

        shown = asked(client, "GET", where)
        assert shown["timeline"]["failedChecksTotal"] == 1
        assert shown["timeline"]["outageStartedCheck"]["status"] == "failure"
        assert shown["evidenceCheck"]["diagnostics"]["category"] == "connection_reset"
        assert shown["timeline"]["alertEvents"][0]["id"] == planned[0]["id"]
        asked(client, "POST", f"{where}/acknowledge", {"note": "on my way"})
        details = wait_for("the state", lambda: down_details(client, path))
        assert details["monitor"]["openIncidentId"] == incident["publicId"]
        assert details["incidents"][0]["status"] == "active"
        assert details["alerts"] == planned
        assert details["maintenance"] == {
            "inMaintenance": False,
            "activeWindows": [],
            "allWindows": [window],
        }

        server.is_broken.clear()
        ended = wait_for("a recovery", lambda: resolved(client, where))
    assert ended["incident"]["acknowledgedBy"]
    assert ended["timeline"]["recoveryChecksTotal"] == 1
    history = asked(client, "GET", f"{path}/incident-history")
    assert (history["total"], history["incidents"][0]["status"]) == (1, "resolved")
    told = wait_for("a message about the end", lambda: recovery(client, path))
    assert told["kind"] == "recovery"
    assert asked(client, "GET", "/api/incidents?status=open") == []
    refused = client("POST", f"{where}/close", {"reason": "it is over"})
    assert refused.status == 409


def down_details(client: Client, path: str) -> dict[str, Any] | None:
    """Return the details of a monitor once its state is `down`."""
    found: dict[str, Any] = asked(client, "GET", f"{path}/details")
    return found if found["monitor"]["state"] == "down" else None


def resolved(client: Client, where: str) -> dict[str, Any] | None:
    """Return an incident once it is resolved."""
    found: dict[str, Any] = asked(client, "GET", where)
    return found if found["incident"]["status"] == "resolved" else None


def recovery(client: Client, path: str) -> dict[str, Any] | None:
    """Return the newest message once there are two."""
    found: list[dict[str, Any]] = asked(client, "GET", f"{path}/alert-history")["alerts"]
    return found[0] if len(found) > 1 else None
