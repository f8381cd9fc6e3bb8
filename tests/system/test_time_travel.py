"""Answers of a running service, recorded, come again byte by byte when the past is asked for."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import pytest

from domain.clock import iso_milliseconds, utc_now
from tests.mailservers.processes import free_ports
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.system.service import Service

pytestmark = pytest.mark.system

SMTP, IMAP = "/api/smtp-monitors", "/api/imap-pop-monitors"
A_DAY = 1440
"""Minutes between two checks: only changes lead to a check while the test runs."""


class Moment(NamedTuple):
    """When something was recorded: the time, the position, and the answers by path."""

    time: str
    position: int
    answers: dict[str, bytes]


def raw(service: Service, path: str, accept: str = "*/*", **query: str | int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    headers = {"Authorization": f"Bearer {service.token}", "Accept": accept}
    target = path + ("&" if "?" in path else "?") + urlencode(query) if query else path
    with contextlib.closing(connection):
        connection.request("GET", target, headers=headers)
        return connection.getresponse().read()


def parsed(service: Service, path: str, **query: Any) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(raw(service, path, **query))


def wait_until_shown(service: Service, path: str, version: int) -> None:
    """Wait until the API shows the check of a version of a monitor."""
    check = service.wait_for_check(path.rpartition("/")[2], version)
    wait_until(
        lambda: parsed(service, path)["lastCheckedAt"] == check["checked_at"],
        what="the check is shown",
    )


def without_request_ids(answer: bytes) -> bytes:
    """Return an answer; of an error only what is the same each time."""
    found = json.loads(answer)
    return found["message"].encode() if "requestId" in found else answer


def test_recorded_answers_come_again_byte_by_byte(service: Service) -> None:
    (port,) = free_ports(1)
    client = service.client
    fields = {"hostname": "127.0.0.1", "port": port, "checkInterval": A_DAY}
    secret = {"auth": {"user": "u", "pass": "canary-password"}}
    checked = client.create("smtp", name="Checked", **fields, smtpConfig=secret)
    mailbox = client.create("imap-pop", name="Mailbox", **fields)
    idle = client.create("smtp", name="Idle", **fields, status="disabled")
    paths = {
        "checked": f"{SMTP}/{checked['publicId']}",
        "mailbox": f"{IMAP}/{mailbox['publicId']}",
        "idle": f"{SMTP}/{idle['publicId']}",
    }
    asked = [*paths.values(), SMTP, IMAP, f"{SMTP}?search=chec&customerId=1", f"{SMTP}?perPage=1"]
    moments: list[Moment] = []

    def record() -> None:
        answers = {path: raw(service, path) for path in asked}
        position = parsed(service, "/api/events", type="LocationUpdated")["next"]
        moments.append(Moment(iso_milliseconds(utc_now()), position, answers))

    wait_until_shown(service, paths["checked"], 1)
    wait_until_shown(service, paths["mailbox"], 1)
    record()
    for name, change, version in [
        ("checked", {"name": "Checked again", "timeoutSeconds": 7}, 2),
        ("idle", {"name": "Idle, renamed", "port": None}, 2),
        ("mailbox", {"imapPopConfig": {"protocol": "pop3"}}, 2),
    ]:
        assert client("PATCH", paths[name], change).status == 200
        if name != "idle":
            wait_until_shown(service, paths[name], version)
        record()
    assert client("PATCH", "/api/customers/1", {"name": "Somebody Else"}).status == 200
    record()
    for path in paths.values():
        assert client("DELETE", path).status == 200
        record()
    assert service.stop() == 0
    service.start()

    for moment in moments:
        for path, answer in moment.answers.items():
            again = raw(service, path, asOf=moment.time)
            assert without_request_ids(again) == without_request_ids(answer), (path, moment.time)
        at_position = raw(service, paths["idle"], asOf=moment.position)
        assert without_request_ids(at_position) == without_request_ids(
            moment.answers[paths["idle"]]
        )
    lists = {moment.answers[SMTP] for moment in moments}
    assert len(lists) >= 6
    _the_commands_tell_the_same(service, moments, checked["publicId"])
    _the_feed_over_the_wire_is_whole(service)


def _the_commands_tell_the_same(service: Service, moments: list[Moment], public_id: str) -> None:
    second = moments[1]
    replayed = service.run("replay", "--as-of", str(second.position))
    assert replayed.returncode == 0, replayed.stderr
    found = json.loads(replayed.stdout)
    assert found["position"] == second.position
    assert json.loads(service.run("replay", "--as-of", second.time).stdout) == found
    assert list(found) == [
        *("position", "time", "organizations", "customers", "smtpMonitors", "imapPopMonitors")
    ]
    for key, path in {"smtpMonitors": SMTP, "imapPopMonitors": IMAP}.items():
        shown = [
            json.loads(second.answers[f"{path}/{each['publicId']}"])
            for each in json.loads(second.answers[path])["items"]
        ]
        assert found[key] == [
            {name: value for name, value in each.items() if name != "lastCheckedAt"}
            for each in shown
        ]
    assert [each["name"] for each in found["customers"]] == ["My customer"]
    told = json.loads(service.run("history", public_id, "--json").stdout)
    assert told == parsed(service, f"{SMTP}/{public_id}/history")["items"]
    table = service.run("history", public_id).stdout
    assert "smtpConfig.auth.pass: changed" in table
    assert "name: Checked → Checked again" in table
    for output in (replayed.stdout, str(told), table):
        assert "canary" not in output
        assert "sealed:" not in output


def _the_feed_over_the_wire_is_whole(service: Service) -> None:
    pages, after = [], 0
    while True:
        page = parsed(service, "/api/events", after=after, limit=5)
        pages += page["items"]
        after = page["next"]
        if not page["hasMore"]:
            break
    lines = raw(service, "/api/events", "application/x-ndjson").splitlines()
    assert [json.loads(line) for line in lines] == pages
    assert len(pages) > 10
