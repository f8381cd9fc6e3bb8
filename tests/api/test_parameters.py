"""Parameters of path and query, and headers: wrong and unknown ones are named in `errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from api.catalog import RESOURCES
from api.resources.absent import ABSENT
from tests.api.world import JSON, PATHS, SMTP, path_of

if TYPE_CHECKING:
    from falcon.testing import Result

    from tests.api.world import Caller, World


pytestmark = pytest.mark.any_engine

MONITOR = f"{SMTP}/{{public_id}}"
NOWHERE = "11111111-1111-4111-8111-111111111111"


def errors(answer: Result) -> list[tuple[str, str, str]]:
    """Return path, code and message of each problem of a 400 answer."""
    assert answer.status_code == 400, answer.text
    return [(each["path"], each["code"], each["message"]) for each in answer.json["errors"]]


@pytest.mark.parametrize(
    ("path", "query", "name", "meant"),
    [
        (SMTP, {"serch": "x"}, "serch", "search"),
        (SMTP, {"per_page": 5}, "per_page", "perPage"),
        (SMTP, {"status": "down"}, "status", "state"),
        (MONITOR, {"as_of": 1}, "as_of", "asOf"),
        (MONITOR + "/history", {"befor": 1}, "befor", "before"),
        (MONITOR + "/check-history", {"limits": 1}, "limits", "limit"),
        (MONITOR + "/uptime", {"granularty": "day"}, "granularty", "granularity"),
        ("/api/events", {"monitorID": NOWHERE}, "monitorID", "monitorId"),
        ("/api/customers", {"page": 1}, "page", None),
        ("/api/customers/1", {"search": "x"}, "search", None),
        ("/api/organization/tokens", {"customer": 1}, "customer", "customerId"),
        ("/api/organization", {"x": ""}, "x", None),
        ("/api/monitoring-locations", {"a b": 1}, "a b", None),
    ],
)
def test_an_unknown_query_parameter_is_400_with_what_it_may_mean(
    world: World, path: str, query: dict[str, Any], name: str, meant: str | None
) -> None:
    where = path.replace(MONITOR, path_of(world.monitor()))

    answer = world.admin.get(where, **query)

    hint = f"; did you mean {meant}?" if meant else ""
    assert errors(answer) == [(name, "unknown", f"is not a known parameter{hint}")]


def test_every_unknown_parameter_is_named_at_once(admin: Caller) -> None:
    found = errors(admin.get(SMTP, one=1, two=2, page=1))

    assert [each[0] for each in found] == ["one", "two"]


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_change_takes_no_query(world: World, method: str) -> None:
    monitor = world.monitor()
    path = SMTP if method == "POST" else path_of(monitor)

    answer = world.admin.send(method, path + "?dryRun=1", "{}")

    assert [each[:2] for each in errors(answer)] == [("dryRun", "unknown")]
    assert len(world.history(str(monitor.id))) == 1


def test_without_a_token_nothing_is_said_about_parameters(world: World) -> None:
    assert world.caller("nobody").get(SMTP, serch="x").status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/docs"])
def test_what_is_open_takes_any_query(world: World, path: str) -> None:
    assert world.caller("nobody").get(path, t=1).status_code == 200


@pytest.mark.parametrize(
    ("path", "query", "name", "message"),
    [
        (SMTP, {"page": 0}, "page", "Invalid page: must be a whole number from 1"),
        (SMTP, {"customerId": "x"}, "customerId", "Invalid customerId: must be a number or a UUID"),
        (SMTP, {"asOf": "soon"}, "asOf", "Invalid asOf: "),
        (f"{SMTP}/5", {}, "public_id", "SMTP monitor public ID (UUID) required"),
        ("/api/customers/x", {}, "identifier", "Invalid Customer identifier"),
        ("/api/events", {"type": "x"}, "type", "Invalid type: must be one or more of "),
        ("/api/events", {"after": 10**9}, "after", "Invalid after: lies beyond the head"),
        ("/api/events", {"from": "x"}, "from", "Invalid from: "),
        (MONITOR + "/uptime", {"range": "x"}, "range", "Invalid range: must be one of "),
        (MONITOR + "/uptime", {"endDate": "x"}, "endDate", "Invalid endDate: must be a time"),
    ],
)
def test_a_wrong_parameter_is_named(
    world: World, path: str, query: dict[str, Any], name: str, message: str
) -> None:
    answer = world.admin.get(path.replace(MONITOR, path_of(world.monitor())), **query)

    assert [each[0] for each in errors(answer)] == [name]
    assert answer.json["message"].startswith(message)


@pytest.mark.parametrize(
    ("name", "value"), [("If-Match", "stale"), ("Idempotency-Key", "with blanks")]
)
def test_a_wrong_header_is_named(world: World, name: str, value: str) -> None:
    method = "PATCH" if name == "If-Match" else "POST"
    path = path_of(world.monitor()) if name == "If-Match" else "/api/customers"

    answer = world.admin.send(method, path, '{"name": "New"}', {**JSON, name: value})

    assert [each[0] for each in errors(answer)] == [name]


@pytest.mark.parametrize(("method", "path"), ABSENT)
def test_a_documented_endpoint_that_is_absent_says_so(world: World, method: str, path: str) -> None:
    where = path.format(public_id=NOWHERE, identifier=1, name="basic")

    answer = world.admin.send(method, where + "?any=1", "{}")

    assert (answer.status_code, answer.json["statusMessage"]) == (501, "Not Implemented")
    assert answer.json["message"].startswith(f"{method} {path} is documented")
    assert world.caller("nobody").send(method, where, "{}").status_code == 401


def test_nothing_that_is_there_is_declared_absent() -> None:
    there = {
        (each.method.upper(), each.path) for resource in RESOURCES for each in resource.operations()
    }

    assert len(set(ABSENT)) == len(ABSENT)
    assert not there & set(ABSENT)


@pytest.mark.parametrize("kind", ["smtp", "imap_pop"])
def test_an_absent_endpoint_leaves_the_others_of_its_path(world: World, kind: str) -> None:
    assert world.admin.get("/api/organization").status_code == 200
    assert world.admin.get(path_of(world.monitor(kind))).status_code == 200
    assert world.admin.get(PATHS[kind] + "/x/unknown").status_code == 404
