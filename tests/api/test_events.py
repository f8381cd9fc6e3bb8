"""GET /api/events: the audit log as a feed; filters, pages, lines, and who may read what."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from domain.check import ARCHIVE_ID
from projections.views.history import ENTRY_TYPES
from store.archiving import Archiver
from tests.api.world import SMTP, later_than, path_of
from tests.domain.given import TESTER, check_of

if TYPE_CHECKING:
    from falcon.testing import Result

    from tests.api.world import Caller, Persona, Whose, World


EVENTS: Final = "/api/events"
NDJSON: Final = {"Accept": "application/x-ndjson"}


def lines(answer: Result) -> list[dict[str, Any]]:
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def stream(caller: Caller, query: str = "") -> Result:
    return caller.send("GET", f"{EVENTS}{query}", "", NDJSON)


def everything(caller: Caller, **query: str | int) -> list[dict[str, Any]]:
    """Read the feed page by page to its end."""
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        answer = caller.get(EVENTS, after=after, limit=7, **query)
        assert answer.status_code == 200, answer.text
        found += answer.json["items"]
        after = answer.json["next"]
        assert answer.headers["x-next-position"] == str(after)
        if not answer.json["hasMore"]:
            return found


def customers(entries: list[dict[str, Any]]) -> set[int | None]:
    return {each["customerId"] for each in entries}


@pytest.mark.parametrize(
    ("persona", "status"),
    [
        ("admin", 200),
        ("scoped_admin", 200),
        ("supporter", 200),
        ("stranger", 200),
        *[(each, 403) for each in ("user", "scoped_user", "readonly", "scoped_readonly")],
        *[(each, 401) for each in ("expired", "revoked", "unknown", "nobody")],
    ],
)
def test_who_may_read_the_audit_log(world: World, persona: Persona, status: int) -> None:
    for headers in ({}, NDJSON):
        assert world.caller(persona).send("GET", EVENTS, "", headers).status_code == status


def test_each_reader_sees_its_own_scope_and_nothing_else(fresh_world: World) -> None:
    everybody: tuple[Whose, ...] = ("own", "other", "foreign")
    for whose in everybody:
        fresh_world.monitor("smtp", whose)
    fresh_world.store.monitoring.register_location("de-nbg", "Nuremberg", "DE", TESTER)
    numbers = {whose: each.customer.number for whose, each in fresh_world.owners.items()}

    seen = {
        persona: everything(fresh_world.caller(persona))
        for persona in ("admin", "scoped_admin", "supporter", "stranger")
    }

    assert customers(seen["admin"]) == {None, numbers["own"], numbers["other"]}
    assert customers(seen["supporter"]) == {None, numbers["own"], numbers["other"]}
    assert customers(seen["scoped_admin"]) == {numbers["own"]}
    assert customers(seen["stranger"]) == {None, numbers["foreign"]}
    for persona, entries in seen.items():
        organization = {each["organizationId"] for each in entries}
        own = 2 if persona == "stranger" else 1
        # A location belongs to the whole installation: no customer's token sees it.
        assert organization == ({own} if persona == "scoped_admin" else {own, None})
        locations = [each for each in entries if each["subject"]["kind"] == "location"]
        assert all(each["organizationId"] is None for each in locations)
        assert len(locations) == (persona != "scoped_admin")
    asked = everything(fresh_world.caller("supporter"), organizationId=2)
    assert asked == seen["stranger"]


@pytest.mark.parametrize(
    ("persona", "query", "status"),
    [
        ("admin", {"customerId": "other"}, 200),
        ("scoped_admin", {"customerId": "own"}, 200),
        ("scoped_admin", {"customerId": "other"}, 403),
        ("scoped_admin", {"monitorId": "other"}, 403),
        ("scoped_admin", {"monitorId": "own"}, 200),
        ("admin", {"customerId": "foreign"}, 404),
        ("admin", {"monitorId": "foreign"}, 404),
        ("admin", {"monitorId": "other"}, 200),
        ("supporter", {"monitorId": "own"}, 200),
        ("stranger", {"monitorId": "own"}, 404),
        ("admin", {"organizationId": 2}, 403),
        ("stranger", {"organizationId": 1}, 403),
    ],
)
def test_a_filter_never_reaches_beyond_the_scope(
    world: World, persona: Persona, query: dict[str, Any], status: int
) -> None:
    asked = dict(query)
    if "customerId" in query:
        asked["customerId"] = world.owners[query["customerId"]].customer.number
    if "monitorId" in query:
        asked["monitorId"] = str(world.monitor("smtp", query["monitorId"]).id)

    answer = world.caller(persona).get(EVENTS, **asked)

    assert answer.status_code == status, answer.text


def test_a_deleted_monitor_can_still_be_asked_for(world: World) -> None:
    monitor = world.monitor("imap_pop")
    world.admin.patch(path_of(monitor), {"name": "New"})
    world.admin.delete(path_of(monitor))

    answer = world.admin.get(EVENTS, monitorId=str(monitor.id)).json

    assert [each["type"] for each in answer["items"]] == [
        *("MonitorCreated", "MonitorUpdated", "MonitorDeleted")
    ]
    newest_first = world.admin.get(f"{path_of(monitor)}/history").json["items"]
    assert answer["items"] == newest_first[::-1]


def test_filters_choose_by_type_actor_and_time(fresh_world: World) -> None:
    made = fresh_world.admin.post(SMTP, fresh_world.body()).json
    path = f"{SMTP}/{made['publicId']}"
    changed = fresh_world.caller("user").patch(path, {"name": "New"}).json
    later_than(changed["updatedAt"])
    fresh_world.admin.delete(path)
    whole = everything(fresh_world.admin)
    [create] = everything(fresh_world.admin, type="MonitorCreated")
    [update] = everything(fresh_world.admin, type="MonitorUpdated")
    [delete] = everything(fresh_world.admin, type="MonitorDeleted")

    assert everything(fresh_world.admin, type="MonitorCreated,MonitorDeleted") == [create, delete]
    twice = fresh_world.admin.send("GET", f"{EVENTS}?type=MonitorCreated&type=MonitorUpdated", "")
    assert twice.json["items"] == [create, update]
    by_user = everything(fresh_world.admin, actor=update["actor"]["id"])
    assert by_user == [update]
    assert everything(fresh_world.admin, actor="nobody") == []
    by_time = everything(fresh_world.admin, **{"from": update["time"], "to": delete["time"]})
    assert by_time == [each for each in whole if update["time"] <= each["time"] < delete["time"]]
    assert update in by_time
    assert everything(fresh_world.admin, **{"from": "2999-01-01T00:00:00Z"}) == []
    assert everything(fresh_world.admin, customerId=1, type="CustomerCreated") == [
        each for each in whole if each["type"] == "CustomerCreated" and each["customerId"] == 1
    ]


def test_who_polls_misses_nothing_and_sees_nothing_twice(fresh_world: World) -> None:
    seen: list[dict[str, Any]] = []
    after = 0
    for number in range(12):
        if number % 3:
            monitor = fresh_world.monitor(name=f"Server {number}")
            fresh_world.store.monitoring.delete_monitor(monitor.id, TESTER)
        answer = fresh_world.admin.get(EVENTS, after=after, limit=4).json
        seen += answer["items"]
        after = answer["next"]
    while answer["items"]:
        answer = fresh_world.admin.get(EVENTS, after=after, limit=4).json
        seen += answer["items"]
        after = answer["next"]

    positions = [each["position"] for each in seen]
    assert positions == sorted(set(positions))
    assert seen == everything(fresh_world.admin)
    assert sum(each["type"] == "MonitorCreated" for each in seen) == 8


def test_the_life_of_a_location_is_told(fresh_world: World) -> None:
    monitoring = fresh_world.store.monitoring
    monitoring.register_location("de-nbg", "Nuremberg", "DE", TESTER)
    monitoring.retire_location("de-nbg", TESTER)
    monitoring.register_location("de-nbg", "Nürnberg", "DE", TESTER)

    types = "LocationRegistered,LocationUpdated,LocationRetired,LocationRestored"
    told = fresh_world.admin.get(EVENTS, type=types).json["items"]

    assert [(each["type"], each["version"], each["changes"][-1:]) for each in told] == [
        ("LocationRegistered", 1, [{"field": "countryCode", "from": None, "to": "DE"}]),
        ("LocationRetired", 2, []),
        ("LocationRestored", 3, []),
        ("LocationUpdated", 4, [{"field": "name", "from": "Nuremberg", "to": "Nürnberg"}]),
    ]
    assert {each["subject"]["kind"] for each in told} == {"location"}
    assert {each["subject"]["id"] for each in told} == {1}
    assert {each["actor"]["id"] for each in told} == {"tester"}


def test_next_goes_on_to_the_head_also_when_a_filter_finds_nothing(fresh_world: World) -> None:
    fresh_world.admin.get(EVENTS)  # the use of the token is an event, once

    answer = fresh_world.admin.get(EVENTS, type="LocationUpdated").json

    head = fresh_world.views.projector("history").log.head()
    assert answer == {"items": [], "next": head, "hasMore": False}


def test_a_view_that_cannot_follow_sends_nobody_back(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    projector = fresh_world.views.projector("history")
    seen = everything(fresh_world.admin)
    monitor = fresh_world.monitor()

    def no_room(*, may_build: bool) -> int:
        assert not may_build
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(projector, "catch_up", no_room)
        head = projector.log.head()
        assert projector.view.position() < head
        for headers in ({}, NDJSON):
            behind = fresh_world.admin.send("GET", f"{EVENTS}?after={head}", "", headers)
            assert behind.headers["x-next-position"] == str(head)
        behind = fresh_world.admin.get(EVENTS, after=seen[-1]["position"])
    assert behind.json["items"] == []

    [new] = everything(fresh_world.admin, monitorId=str(monitor.id))
    assert new["position"] > behind.json["next"]


def test_a_page_says_that_more_follows_only_if_it_does(fresh_world: World) -> None:
    whole = everything(fresh_world.admin)
    head = fresh_world.views.projector("history").log.head()

    last = fresh_world.admin.get(EVENTS, limit=len(whole)).json
    first = fresh_world.admin.get(EVENTS, limit=len(whole) - 1).json

    assert last == {"items": whole, "next": head, "hasMore": False}
    assert first == {"items": whole[:-1], "next": whole[-2]["position"], "hasMore": True}


def test_lines_are_the_items_of_all_pages(fresh_world: World) -> None:
    for number in range(30):
        fresh_world.monitor(name=f"Server {number}")
    pages = everything(fresh_world.admin)

    answer = stream(fresh_world.admin)
    assert lines(answer) == pages
    assert answer.headers["x-next-position"] == str(pages[-1]["position"])
    rest = stream(fresh_world.admin, f"?after={pages[9]['position']}&type=MonitorCreated")
    assert lines(rest) == [each for each in pages[10:] if each["type"] == "MonitorCreated"]
    few = stream(fresh_world.admin, "?limit=3")
    assert lines(few) == pages[:3]
    assert few.headers["x-next-position"] == str(pages[2]["position"])


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, */*;q=0.8"])
def test_who_does_not_ask_for_lines_gets_a_page(world: World, accept: str) -> None:
    answer = world.admin.send("GET", EVENTS, "", {"Accept": accept})

    assert answer.headers["content-type"].startswith("application/json")
    assert list(answer.json) == ["items", "next", "hasMore"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("after=x", "Invalid after: must be a position"),
        ("after=-1", "Invalid after"),
        ("after=999999", "Invalid after: lies beyond the head of the log"),
        ("limit=0", "Invalid limit"),
        ("type=Nonsense", "Invalid type: must be one or more of OrganizationCreated"),
        ("type=MonitorCreated,", "Invalid type"),
        ("type=Registered", "Invalid type"),
        ("from=yesterday", "Invalid from: must be a time in ISO 8601"),
        ("to=2026-01-01", "Invalid to: must be a time"),
        ("to=2026-02-30T00:00:00Z", "Invalid to: is not a time"),
        ("from=2026-01-02T00:00Z&to=2026-01-01T00:00Z", "Invalid to: must not lie before from"),
        ("customerId=x", "Invalid customerId"),
        ("organizationId=x", "Invalid organizationId"),
        ("monitorId=7", "Invalid monitorId: must be the public ID (UUID)"),
    ],
)
@pytest.mark.parametrize("headers", [{}, NDJSON])
def test_a_wrong_parameter_is_named(
    world: World, query: str, says: str, headers: dict[str, str]
) -> None:
    answer = world.admin.send("GET", f"{EVENTS}?{query}", "", headers)

    assert answer.status_code == 400, answer.text
    assert says in answer.json["message"]


def test_a_monitor_that_is_none_is_404(world: World) -> None:
    customer = str(world.owners["own"].customer.id)
    assert world.admin.get(EVENTS, monitorId=customer).json["message"] == "Monitor not found"


def test_no_secret_and_no_book_keeping_is_told(fresh_world: World) -> None:
    config = {"auth": {"user": "u", "pass": "canary-password"}}
    fresh_world.admin.post(SMTP, fresh_world.body(smtpConfig=config))
    issued = fresh_world.admin.post("/api/organization/tokens", {"name": "T"}).json

    answer = stream(fresh_world.admin)

    for hidden in ("canary", "sealed:", issued["token"], "token_hash", "Registered"):
        assert hidden not in answer.text
    told = [each for each in lines(answer) if each["subject"]["publicId"] == issued["publicId"]]
    assert told[0]["changes"] == [
        {"field": "name", "from": None, "to": "T"},
        {"field": "role", "from": None, "to": "user"},
    ]
    assert {each["type"] for each in lines(answer)} <= set(ENTRY_TYPES)


def test_archived_checks_are_told_to_who_looks_after_the_installation(fresh_world: World) -> None:
    monitor = fresh_world.monitor()
    fresh_world.store.checks.record([check_of(monitor, 1)], location="local", actor=TESTER)
    Archiver(fresh_world.store, TESTER).run(timedelta(days=1), 1)

    [told] = everything(fresh_world.admin, type="ChecksArchived")

    assert told["subject"] == {
        "kind": "archive",
        "id": 1,
        "publicId": str(ARCHIVE_ID),
        "name": "checks",
    }
    assert told["actor"]["id"] == "tester"
    assert [(each["field"], each["to"]) for each in told["changes"]][:3] == [
        ("firstPosition", 1),
        ("lastPosition", 1),
        ("count", 1),
    ]
    assert everything(fresh_world.caller("scoped_admin"), type="ChecksArchived") == []
