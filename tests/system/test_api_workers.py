"""The API under real workers: concurrent clients, shared counts, a worker that dies."""

from __future__ import annotations

import http.client
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families

from domain.monitor import Monitor
from projections.core.joined_log import readers_of
from tests.system.service import Client, Service
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = [pytest.mark.system]

CLIENTS = 16
EACH = 5
REQUESTS = 60
CANARY = "canary-8f3b-secret"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with two workers, shared by the tests of this module."""
    folder = tmp_path_factory.mktemp("workers")
    with Service(folder / "data", POSTWATCH_WORKERS="2") as service:
        yield service


def workers(service: Service) -> list[int]:
    """Return the process ids of the API's workers."""
    master = service.part("api")
    return [
        int(each) for each in Path(f"/proc/{master}/task/{master}/children").read_text().split()
    ]


@cache
def metrics_token(service: Service) -> str:
    return service.token_of("metrics")


def metrics(service: Service) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    try:
        connection.request(
            "GET", "/metrics", headers={"Authorization": f"Bearer {metrics_token(service)}"}
        )
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def counted(service: Service, route: str, status: str) -> float:
    """Return how many requests all workers have answered so."""
    wanted = {"method": "GET", "route": route, "status": status}
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics(service))
        for sample in family.samples
        if sample.name == "postwatch_http_requests_total" and sample.labels == wanted
    )


@pytest.mark.thorough
def test_every_acknowledged_change_of_16_clients_is_in_the_history_in_order(
    running: Service,
) -> None:
    client = running.client
    made = client.create("smtp", name="Contested", hostname="192.0.2.7", status="disabled")
    path = f"/api/smtp-monitors/{made['publicId']}"

    def change(number: int) -> list[str]:
        mine = Client(running.port, running.token)
        names = [f"client {number} change {each}" for each in range(EACH)]
        for name in names:
            answer = mine("PATCH", path, {"name": name})
            assert answer.status == 200, answer
        return names

    with ThreadPoolExecutor(CLIENTS) as pool:
        acknowledged = list(pool.map(change, range(CLIENTS)))

    with running.views() as views:
        (log,) = readers_of(views.projector("monitors").log)
        events = [
            each.event
            for each in log.after(0, 100_000)
            if isinstance(each.event, Monitor.Updated)
            and each.event.originator_id == UUID(made["publicId"])
        ]
    recorded = [each.changes["name"] for each in events]
    assert sorted(recorded) == sorted(name for names in acknowledged for name in names)
    assert [each.originator_version for each in events] == list(range(2, CLIENTS * EACH + 2))
    for number, names in enumerate(acknowledged):
        assert [each for each in recorded if each.startswith(f"client {number} ")] == names
    assert client("GET", path).body["name"] == recorded[-1]


def test_numbers_made_by_16_clients_are_unique_and_without_gaps(running: Service) -> None:
    first = running.client.create("imap-pop", name="First", hostname="192.0.2.7")["id"]

    def create(number: int) -> list[int]:
        mine = Client(running.port, running.token)
        return [
            mine.create("imap-pop", name=f"Box {number}", hostname="192.0.2.7", status="disabled")[
                "id"
            ]
            for _ in range(EACH)
        ]

    with ThreadPoolExecutor(CLIENTS) as pool:
        numbers = [each for made in pool.map(create, range(CLIENTS)) for each in made]

    assert sorted(numbers) == list(range(first + 1, first + 1 + CLIENTS * EACH))
    listed = running.client("GET", "/api/imap-pop-monitors?perPage=200").body
    assert [each["id"] for each in listed["items"]] == list(range(1, first + 1 + CLIENTS * EACH))
    assert listed["total"] == first + CLIENTS * EACH


def test_counts_are_those_of_all_workers_also_after_one_was_killed(running: Service) -> None:
    route = "/api/organization"
    before = counted(running, route, "200")

    def ask(_: int) -> int:
        return Client(running.port, running.token)("GET", route).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(REQUESTS))) == {200}
    assert {counted(running, route, "200") for _ in range(10)} == {before + REQUESTS}

    old = workers(running)
    assert len(old) == 2
    os.kill(old[0], signal.SIGKILL)
    wait_until(lambda: len(set(workers(running)) - {old[0]}) == 2, what="a new worker")

    def answered() -> bool:
        # A connection that the dead worker had accepted is refused or reset.
        try:
            return ask(0) == 200
        except (OSError, http.client.HTTPException):
            return False

    wait_until(answered, what="an answer")
    after = wait_until(lambda: counted(running, route, "200"), what="counts")
    assert after >= before + REQUESTS + 1, "what the dead worker counted still counts"
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(REQUESTS))) == {200}
    assert {counted(running, route, "200") for _ in range(10)} == {after + REQUESTS}


def test_each_request_is_one_json_line_without_secrets(running: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    body = {"customerId": 1, "name": "Box", "hostname": "192.0.2.7", "status": "disabled"}
    config = {"auth": {"user": "robot", "pass": CANARY}}
    headers = {
        "Authorization": f"Bearer {running.token}",
        "Content-Type": "application/json",
        "X-Request-Id": "system-trace-1",
        "Idempotency-Key": CANARY,
    }
    try:
        query = {"Authorization": headers["Authorization"], "X-Request-Id": "system-trace-0"}
        connection.request("GET", f"/api/smtp-monitors?search={CANARY}", headers=query)
        assert connection.getresponse().read()
        connection.request(
            "POST", "/api/smtp-monitors", json.dumps({**body, "smtpConfig": config}), headers
        )
        answer = connection.getresponse()
        assert CANARY in answer.read().decode()
    finally:
        connection.close()
    assert answer.status == 201

    def lines() -> list[dict[str, object]]:
        found = [json.loads(each) for each in running.log.read_text().splitlines()]
        return [each for each in found if each.get("request_id") == "system-trace-1"]

    (line,) = wait_until(lines, what="the log line")
    assert (line["method"], line["route"], line["status"]) == ("POST", "/api/smtp-monitors", 201)
    assert {"time", "level", "message", "duration_ms", "token_id"} <= line.keys()
    text = running.log.read_text()
    assert CANARY not in text
    assert running.token not in text


def test_a_revoked_token_is_refused_at_once_by_every_worker(running: Service) -> None:
    made = running.client("POST", "/api/organization/tokens", {"name": "Short-lived"}).body

    def ask(_: int) -> int:
        return Client(running.port, made["token"])("GET", "/api/organization").status

    def statuses() -> set[int]:
        # Many at once, so that every thread of every worker knows the token.
        with ThreadPoolExecutor(CLIENTS) as pool:
            return set(pool.map(ask, range(CLIENTS * EACH)))

    assert statuses() == {200}

    revoked = running.client("DELETE", f"/api/organization/tokens/{made['id']}")

    assert revoked.status == 200
    assert statuses() == {401}


def test_the_rate_limit_is_one_for_all_workers(tmp_path: Path) -> None:
    limit = 30
    with Service(tmp_path / "data", POSTWATCH_RATE_LIMIT=str(limit)) as service:
        client = service.client

        def ask(_: int) -> tuple[int, int]:
            answer = client("GET", "/api/organization")
            return answer.status, int(answer.headers["x-ratelimit-remaining"])

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(3 * limit)))

    accepted = [remaining for status, remaining in answers if status == 200]
    # The minute may end in between: then a second count begins, and no third.
    assert len(accepted) in range(limit, 2 * limit + 1)
    assert {status for status, _ in answers} == {200, 429}
    assert all(accepted.count(remaining) <= 2 for remaining in accepted)
