"""Faults of the service and unknown paths: documented body, request id, no internal text."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

import pytest
from eventsourcing.persistence import OperationalError
from falcon.testing import TestClient

from api.app import App
from api.http import errors
from api.http.request_log import RequestLog
from domain.errors import (
    ArchiveError,
    ConflictError,
    DomainError,
    InvalidInputError,
    MasterKeyError,
    NotFoundError,
    Problem,
)
from store.ports.errors import CircuitBreaker, DatabaseUnavailableError
from store.postgres.errors import NO_ANSWER
from tests.api.world import SMTP

if TYPE_CHECKING:
    import falcon

    from tests.api.world import Caller, World


CANARY = "canary-in-the-text"


class Failing:
    """A resource whose GET raises what it was given."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def on_get(self, _req: falcon.Request, _resp: falcon.Response) -> None:
        """Raise."""
        raise self._error


def client_of(error: Exception) -> TestClient:
    app = App(middleware=[RequestLog()])
    errors.register(app)
    app.add_route("/", Failing(error))
    return TestClient(app)


def test_an_archive_that_cannot_be_read_is_named_in_the_log_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = client_of(ArchiveError("segment 1-9.segment: it is missing")).simulate_get(
        "/", headers={"X-Request-Id": "request-0815"}
    )

    assert answer.status_code == 500
    assert answer.json["message"].startswith("Archived checks cannot be read")
    assert "request request-0815 failed: segment 1-9.segment: it is missing" in caplog.messages


@pytest.mark.parametrize(
    "error", [RuntimeError(CANARY), KeyError(CANARY), MasterKeyError(CANARY), DomainError(CANARY)]
)
def test_a_fault_is_500_with_its_place_in_the_log_and_its_text_nowhere(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client_of(error).simulate_get("/", headers={"X-Request-Id": "request-0815"})

    assert answer.status_code == 500
    assert answer.json == {
        "statusCode": 500,
        "statusMessage": "Internal Server Error",
        "message": "Something went wrong here, not with you",
        "requestId": "request-0815",
    }
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert f"request request-0815 failed: {type(error).__name__} at " in record.getMessage()
    assert "test_faults.py:" in record.getMessage()
    assert CANARY not in record.getMessage() + answer.text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OperationalError("database or disk is full"), "has no room left on its disk"),
        (sqlite3.OperationalError("database or disk is full"), "has no room left on its disk"),
        (OperationalError(CANARY), "cannot be used just now"),
        (sqlite3.OperationalError(CANARY), "cannot be used just now"),
    ],
)
def test_a_store_that_is_away_is_503_and_says_when_to_come_again(
    error: Exception, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client_of(error).simulate_get("/")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json["statusMessage"] == "Service Unavailable"
    assert f"The store {words}; nothing was acknowledged" in answer.json["message"]
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert words in record.getMessage()
    assert CANARY not in record.getMessage() + answer.text


def test_an_outage_is_an_error_in_the_log_once_and_its_refused_requests_are_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    breaker = CircuitBreaker("it is back")
    with pytest.raises(DatabaseUnavailableError) as first, breaker.attempt():
        raise DatabaseUnavailableError("the database does not answer", NO_ANSWER)
    with pytest.raises(DatabaseUnavailableError) as second, breaker.attempt():
        pass

    for away in (first.value, second.value):
        assert client_of(away).simulate_get("/").status_code == 503

    levels = [each.levelno for each in caplog.records if "request" not in each.getMessage()]
    assert levels == [logging.ERROR]
    refused = [each for each in caplog.records if "failed: the store" in each.getMessage()]
    assert [each.levelno for each in refused] == [logging.WARNING] * 2


class GoneError(NotFoundError):
    """An error that no handler was registered for."""


class WrongError(InvalidInputError):
    """An error that no handler was registered for."""


def test_a_subclass_of_a_domain_error_is_answered_as_its_base() -> None:
    gone = client_of(GoneError("It is gone")).simulate_get("/")
    wrong = client_of(WrongError((Problem("name", "odd", "is odd"),))).simulate_get("/")

    assert (gone.status_code, gone.json["message"]) == (404, "It is gone")
    assert (wrong.status_code, wrong.json["errors"][0]["code"]) == (400, "odd")


@pytest.mark.parametrize(
    ("error", "status", "phrase"),
    [(NotFoundError("No such"), 404, "Not Found"), (ConflictError("Too many"), 409, "Conflict")],
)
def test_a_refusal_of_the_domain_has_its_status(
    error: DomainError, status: int, phrase: str
) -> None:
    answer = client_of(error).simulate_get("/")

    assert answer.status_code == status
    assert (answer.json["statusMessage"], answer.json["message"]) == (phrase, str(error))
    assert "errors" not in answer.json


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", SMTP, 405),
        ("DELETE", SMTP, 405),
        ("POST", f"{SMTP}/33333333-3333-4333-8333-333333333333", 405),
        ("GET", "/api/ssh-monitors", 404),
        ("GET", "/", 404),
        ("GET", f"{SMTP}/x/y/z", 404),
    ],
)
def test_a_wrong_method_or_path_has_the_documented_body(
    admin: Caller, method: str, path: str, status: int
) -> None:
    answer = admin.send(method, path, "")

    assert answer.status_code == status
    assert list(answer.json) == ["statusCode", "statusMessage", "message", "requestId"]


def test_a_path_may_end_in_a_slash(world: World, admin: Caller) -> None:
    monitor = world.monitor()

    assert admin.get(f"{SMTP}/{monitor.id}/").json["publicId"] == str(monitor.id)


def test_a_callers_request_id_is_kept(world: World) -> None:
    client = TestClient(world.app)

    answer = client.simulate_get("/healthz", headers={"X-Request-Id": "Trace.42-abc_d"})

    assert answer.headers["x-request-id"] == "Trace.42-abc_d"


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with blank 1", 'quote"quote', "é" * 10])
def test_another_request_id_is_replaced(world: World, given: str) -> None:
    client = TestClient(world.app)

    answer = client.simulate_get("/healthz", headers={"X-Request-Id": given})

    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["x-request-id"]) == 32


def test_every_answer_forbids_caching_and_guessing_its_type(admin: Caller) -> None:
    for answer in (admin.get(SMTP), admin.get("/nothing"), admin.get(f"{SMTP}/x")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == "application/json"
