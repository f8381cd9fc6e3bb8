"""What every answer carries: headers, gzip, CORS, a request id and one log line."""

from __future__ import annotations

import gzip
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from falcon.testing import TestClient

from api.app import Options
from service.logging import JsonFormatter
from tests.api.world import JSON, SMTP, another_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcon.testing import Result

    from tests.api.world import World


CANARY = "canary-8f3b-secret"
ORIGIN = "https://dashboard.example.com"
SECURITY = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.fixture(scope="module")
def full(world: World) -> World:
    """A world whose list is large."""
    for number in range(20):
        world.monitor(name=f"Server {number}")
    return world


def ask(world: World, path: str = SMTP, method: str = "GET", **headers: str) -> Result:
    token = {"Authorization": f"Bearer {world.tokens['admin']}"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return TestClient(world.app).simulate_request(method, path, headers={**token, **named})


@pytest.mark.parametrize("accept", ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8", "*"])
def test_a_large_answer_is_packed_for_who_takes_it(full: World, accept: str) -> None:
    plain = ask(full)

    packed = ask(full, Accept_Encoding=accept)

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content
    assert len(packed.content) < len(plain.content) / 3
    assert int(packed.headers["content-length"]) == len(packed.content)
    assert "Accept-Encoding" in packed.headers["vary"]
    assert packed.headers["content-type"] == plain.headers["content-type"]


@pytest.mark.parametrize("accept", ["", "identity", "br", "gzip;q=0", "gzip; q=0.0", "zip"])
def test_it_is_not_packed_for_who_does_not(full: World, accept: str) -> None:
    answer = ask(full, Accept_Encoding=accept)

    assert "content-encoding" not in answer.headers
    assert len(answer.json["items"]) > 10


@pytest.mark.parametrize("path", ["/healthz", "/api/nothing", f"{SMTP}/x", "/api/organization"])
def test_a_small_answer_is_not_packed(full: World, path: str) -> None:
    assert "content-encoding" not in ask(full, path, Accept_Encoding="gzip").headers


def answers_of_all_sorts(world: World) -> Iterator[tuple[int, Result]]:
    """Give an answer of each status, as a client may get it."""
    admin, path = world.admin, f"{SMTP}/{world.monitor().id}"
    key = {**JSON, "Idempotency-Key": "transport"}
    yield 200, admin.get(SMTP)
    yield 201, admin.post(SMTP, world.body())
    yield 400, admin.post(SMTP, {})
    yield 401, world.caller("nobody").get(SMTP)
    yield 403, world.caller("readonly").delete(path)
    yield 404, admin.get("/api/nothing")
    yield 404, world.caller("stranger").get(path)
    yield 405, admin.send("PUT", SMTP, "")
    admin.send("POST", SMTP, json.dumps(world.body()), key)
    yield 409, admin.send("POST", SMTP, json.dumps(world.body(port=1)), key)
    yield 412, admin.send("PATCH", path, '{"port": 1}', {**JSON, "If-Match": '"v9"'})
    yield 413, admin.send("POST", SMTP, '{"name": "' + "x" * 70_000 + '"}')
    yield 415, admin.send("POST", SMTP, "{}", {"Content-Type": "text/plain"})
    yield 200, admin.get("/healthz")
    yield 200, world.caller("metrics").get("/metrics")
    yield 403, admin.get("/metrics")


def test_every_answer_has_the_headers_and_a_request_id(world: World) -> None:
    for status, answer in answers_of_all_sorts(world):
        assert answer.status_code == status, answer.text
        assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY, status
        assert len(answer.headers["x-request-id"]) >= 8
        assert "server" not in answer.headers
        if status >= 400:
            assert answer.json["requestId"] == answer.headers["x-request-id"]


def test_every_request_has_one_log_line_and_no_line_a_secret(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    body = world.body(config={"auth": {"user": "robot", "pass": CANARY}})
    with caplog.at_level(logging.INFO, logger="postwatch.api"):
        made = world.admin.post(SMTP, body)
        ask(world, f"{SMTP}?search={CANARY}&page=x", X_Request_Id="trace-0815")
        ask(world, f"/api/{CANARY}", Idempotency_Key=CANARY)
        TestClient(world.app).simulate_get(SMTP, headers={"Authorization": f"Bearer wsm_{CANARY}"})
        world.admin.send("POST", SMTP, f'{{"name": "{CANARY}", "{CANARY}": 1}}')
        world.admin.patch(made.headers["location"], {"config": {"auth": {"pass": CANARY}}})
    assert made.status_code == 201

    texts = [JsonFormatter().format(each) for each in caplog.records]
    lines = [json.loads(each) for each in texts]

    assert not any(CANARY in each for each in texts)
    assert not any(str(world.tokens["admin"]) in each for each in texts)
    assert [(each["method"], each["route"], each["status"]) for each in lines] == [
        ("POST", SMTP, 201),
        ("GET", SMTP, 400),
        ("GET", "(no route)", 404),
        ("GET", SMTP, 401),
        ("POST", SMTP, 400),
        ("PATCH", f"{SMTP}/{{public_id}}", 200),
    ]
    assert lines[1]["request_id"] == "trace-0815"
    assert all(each["duration_ms"] >= 0 and "\n" not in each for each in lines)
    with_token = [each.get("token_id") for each in lines]
    assert with_token[3] is None
    assert len({each for each in with_token if each}) == 1
    events = world.history(made.json["publicId"])
    assert events[0].actor["request_id"] == lines[0]["request_id"] == made.headers["x-request-id"]
    assert events[0].actor["id"] == lines[0]["token_id"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_machines_ask_all_the_time_is_logged_for_debugging_only(
    world: World, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.INFO, logger="postwatch.api"):
        ask(world, path)
    assert caplog.records == []
    with caplog.at_level(logging.DEBUG, logger="postwatch.api"):
        ask(world, path)
    assert len(caplog.records) == 1


def preflight(world: World, origin: str) -> Result:
    headers: dict[str, Any] = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    return TestClient(world.app).simulate_options(f"{SMTP}/x", headers=headers)


def test_no_other_origin_may_call_by_default(world: World) -> None:
    for answer in (ask(world, Origin=ORIGIN), preflight(world, ORIGIN)):
        assert not any(name.startswith("access-control-") for name in answer.headers)


def test_an_origin_of_the_setting_may_call_and_no_other(world: World) -> None:
    with another_worker(world, Options(cors_origins=(ORIGIN,))) as worker:
        mine, theirs = ask(worker, Origin=ORIGIN), ask(worker, Origin="https://other.example")
        refused = TestClient(worker.app).simulate_get(SMTP, headers={"Origin": ORIGIN})
        asked, asked_by_other = preflight(worker, ORIGIN), preflight(worker, "https://o.example")

    assert mine.headers["access-control-allow-origin"] == ORIGIN
    exposed = mine.headers["access-control-expose-headers"].split(", ")
    assert {"ETag", "X-As-Of-Position", "X-Next-Position"} <= set(exposed)
    assert "access-control-allow-origin" not in theirs.headers
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == ORIGIN, "so that a page may read why"
    assert asked.status_code == 200
    assert "PATCH" in asked.headers["access-control-allow-methods"]
    assert "access-control-allow-origin" not in asked_by_other.headers
    assert "access-control-allow-credentials" not in mine.headers
