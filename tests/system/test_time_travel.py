"""Answers of a running service, recorded, come again byte by byte when the past is asked for."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import pytest

from domain.clock import iso_milliseconds, utc_now
from tests.api.world import without_state
from tests.mailservers.processes import free_ports
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.system.service import Service


pytestmark = pytest.mark.system

SMTP, IMAP = "/api/smtp-monitors", "/api/imap-pop-monitors"
A_DAY = 1440
"""Minutes between two checks: only changes lead to a check while the test runs."""

LAST_CHECKED = re.compile(rb'"lastCheckedAt":("[^"]*"|null)')


class Answer(NamedTuple):
    """What the service answered, and the position that the answer names, if it names one."""

    body: bytes
    position: str | None


class Moment(NamedTuple):
    """When something was recorded: the time, and the answers by path."""

    time: str
    answers: dict[str, Answer]

    @property
    def position(self) -> str:
        """The position that the list of this moment names."""
        position = self.answers[SMTP].position
        assert position is not None
        return position


def ask(service: Service, path: str, accept: str = "*/*", **query: str | int) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    headers = {"Authorization": f"Bearer {service.token}", "Accept": accept}
    target = path + ("&" if "?" in path else "?") + urlencode(query) if query else path
    with contextlib.closing(connection):
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.read(), answer.getheader("X-As-Of-Position"))


def parsed(service: Service, path: str, **query: Any) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(ask(service, path, **query).body)


def wait_until_shown(service: Service, path: str, version: int) -> None:
    """Wait until the API shows the check of a version of a monitor."""
    check = service.wait_for_check(path.rpartition("/")[2], version)
    wait_until(
        lambda: parsed(service, path)["lastCheckedAt"] == check["checked_at"],
        what="the check is shown",
    )


def without_request_ids(answer: bytes) -> bytes:
    """Return an answer without what is known now; of an error what is the same each time."""
    found = json.loads(answer)
    return found["message"].encode() if "requestId" in found else without_state(answer)


@pytest.mark.thorough
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
        answers = {path: ask(service, path) for path in asked}
        time = iso_milliseconds(utc_now())
        moments.append(Moment(time, answers))
        # A time means the end of its millisecond: the next change belongs to a later one.
        wait_until(lambda: iso_milliseconds(utc_now()) > time, what="the clock goes on")

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
            again = ask(service, path, asOf=moment.time)
            found, expected = (without_request_ids(each.body) for each in (again, answer))
            assert found == expected, (path, moment.time)
            _is_the_same_configuration(service, path, answer, moment.position)
    lists = {moment.answers[SMTP].body for moment in moments}
    assert len(lists) >= 6
    _the_commands_tell_the_same(service, moments, checked["publicId"])
    _the_feed_over_the_wire_is_whole(service)


def _is_the_same_configuration(service: Service, path: str, answer: Answer, position: str) -> None:
    """Ask for an answer at the position that it names; one that names none, at another."""
    again = ask(service, path, asOf=answer.position or position)
    assert again.position == answer.position, path
    found, expected = (without_request_ids(each.body) for each in (again, answer))
    assert LAST_CHECKED.sub(b"", found) == LAST_CHECKED.sub(b"", expected), path
    # It goes by the time of the event at the position: checks that ended later do not count.
    then, now = (
        [time.replace(b"null", b"") for time in LAST_CHECKED.findall(each)]
        for each in (found, expected)
    )
    assert all(one <= other for one, other in zip(then, now, strict=True)), path


def _the_commands_tell_the_same(service: Service, moments: list[Moment], public_id: str) -> None:
    second = moments[1]
    replayed = service.run("replay", "--as-of", second.position)
    assert replayed.returncode == 0, replayed.stderr
    found = json.loads(replayed.stdout)
    assert found["position"] == int(second.position)
    assert json.loads(service.run("replay", "--as-of", second.time).stdout) == found
    assert list(found) == [
        *("position", "time", "organizations", "customers", "smtpMonitors", "imapPopMonitors")
    ]
    for key, path in {"smtpMonitors": SMTP, "imapPopMonitors": IMAP}.items():
        shown = [
            json.loads(without_state(second.answers[f"{path}/{each['publicId']}"].body))
            for each in json.loads(second.answers[path].body)["items"]
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
    lines = ask(service, "/api/events", "application/x-ndjson").body.splitlines()
    assert [json.loads(line) for line in lines] == pages
    assert len(pages) > 10
