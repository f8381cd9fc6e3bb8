"""Tokens by the API: shown once, never above the caller, revoked at once, used coarsely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from falcon.testing import SimpleTestResourceAsync, TestClient

from api.app import App
from api.http.admission import Admission
from api.http.authentication import Authentication, LastUse
from api.http.execution import Execution
from api.http.request_log import RequestLog
from domain.access_token import AccessToken, new_token, token_hash
from domain.clock import iso_milliseconds
from domain.commands import CreateCustomer, IssueToken
from tests.api.world import JSON, SMTP, Caller, another_worker
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.world import Persona, World


ORGANIZATION = "/api/organization/tokens"
CUSTOMER = "/api/customer/tokens"
ROLES_ASKED: tuple[Any, ...] = (
    *(
        "admin",
        "user",
        "readonly",
        "supporter",
        "operator",
        "metrics",
        "ADMIN",
        "",
        None,
        1,
        ["user"],
    ),
)
PATHS = [ORGANIZATION, CUSTOMER]
CREATED = (
    *("id", "name", "token", "lastUsedAt", "expiresAt", "createdAt"),
    *("publicId", "role", "customerId"),
)
LISTED = (
    *("id", "organizationId", "name", "customerId", "customerName", "lastUsedAt", "expiresAt"),
    *("createdAt", "tokenHint", "publicId", "role"),
)


def issue(caller: Caller, path: str = ORGANIZATION, **fields: object) -> dict[str, Any]:
    answer = caller.post(path, {"name": "Made by the API", **fields})
    assert answer.status_code == 201, answer.json
    made: dict[str, Any] = answer.json
    return made


def listed(caller: Caller, path: str, number: int) -> dict[str, Any] | None:
    found = [each for each in caller.get(path).json if each["id"] == number]
    return found[0] if found else None


def uses(world: World, public_id: str) -> int:
    return sum(isinstance(each, AccessToken.Used) for each in world.history(public_id))


@pytest.mark.parametrize("path", PATHS)
def test_a_token_is_shown_once_and_works(world: World, admin: Caller, path: str) -> None:
    customer = world.owners["own"].customer

    made = issue(admin, path, customerId=customer.number)

    assert tuple(made) == CREATED
    assert made["token"].startswith("wsm_")
    assert len(made["token"]) > 40
    assert (made["lastUsedAt"], made["expiresAt"]) == (None, None)
    assert (made["role"], made["customerId"]) == ("user", customer.number)
    row = listed(admin, path, made["id"])
    assert row is not None
    assert tuple(row) == LISTED
    assert row["tokenHint"] == made["token"][:8] + "..."
    assert row["customerName"] == customer.name
    assert made["token"] not in admin.get(path).text
    assert Caller(world.app, made["token"]).get(SMTP).status_code == 200


def test_the_log_and_the_view_hold_the_hash_only(world: World, admin: Caller) -> None:
    made = issue(admin)

    (event,) = world.history(made["publicId"])
    assert event.token_hash == token_hash(made["token"])
    folder = world.store.folder.root
    for path in folder.rglob("*.db*"):
        assert made["token"].encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("persona", "path", "may"),
    [
        ("admin", ORGANIZATION, {"admin", "user", "readonly"}),
        ("admin", CUSTOMER, {"admin", "user", "readonly"}),
        ("user", CUSTOMER, {"user", "readonly"}),
        ("scoped_user", CUSTOMER, {"user", "readonly"}),
    ],
)
def test_a_role_is_never_above_the_callers_own(
    world: World, persona: Persona, path: str, may: set[str]
) -> None:
    body = {"name": "Name", "customerId": world.owners["own"].customer.number}
    caller = world.caller(persona)

    given = {
        role for role in ROLES_ASKED if caller.post(path, {**body, "role": role}).status_code == 201
    }

    assert given == may


def test_a_supporter_is_not_to_be_had_by_the_api(admin: Caller) -> None:
    answer = admin.post(ORGANIZATION, {"name": "Name", "role": "supporter"})

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json["errors"]] == ["role"]


@pytest.mark.parametrize("path", PATHS)
def test_no_token_outlives_the_one_that_issued_it(world: World, admin: Caller, path: str) -> None:
    customer = {"customerId": str(world.owners["own"].customer.id)}
    parent = issue(admin, expiresInDays=1, role="admin")
    caller = Caller(world.app, parent["token"])

    refused = caller.post(path, {"name": "Child", "expiresInDays": 2, **customer})
    children = [issue(caller, path, **customer, **more) for more in ({}, {"expiresInDays": None})]
    grandchild = issue(Caller(world.app, children[0]["token"]), CUSTOMER, **customer)

    assert refused.status_code == 400
    (problem,) = refused.json["errors"]
    assert (problem["path"], problem["code"]) == ("expiresInDays", "range")
    assert parent["expiresAt"] in problem["message"]
    assert {each["expiresAt"] for each in (*children, grandchild)} == {parent["expiresAt"]}


def test_a_token_may_issue_one_that_ends_before_it(world: World, admin: Caller) -> None:
    parent = issue(admin, expiresInDays=30, role="admin")

    child = issue(Caller(world.app, parent["token"]), expiresInDays=29)

    assert child["expiresAt"] < parent["expiresAt"]


def test_tokens_of_the_installation_are_not_shown_and_not_revoked(
    world: World, admin: Caller
) -> None:
    numbers = {
        each["role"]: each["number"]
        for each in world.views.reader.tokens(str(world.owners["own"].organization.id))
    }

    shown = {each["role"] for each in admin.get(ORGANIZATION).json}

    assert not shown & {"operator", "metrics"}
    for role in ("operator", "metrics"):
        assert admin.delete(f"{ORGANIZATION}/{numbers[role]}").status_code == 404


def test_a_token_expires(world: World, admin: Caller) -> None:
    before = datetime.now(tz=UTC)
    made = issue(admin, expiresInDays=30)
    after = datetime.now(tz=UTC)
    month = timedelta(days=30)

    earliest, latest = iso_milliseconds(before + month), iso_milliseconds(after + month)
    assert earliest <= made["expiresAt"] <= latest

    def status(now: datetime) -> int:
        execution = Execution(reads_wait=False)
        check = Authentication(world.views.reader, lambda: now)
        app = App(middleware=[RequestLog(), Admission(execution, [check], waits=False)])
        app.add_route("/", SimpleTestResourceAsync(json={}))
        return Caller(app, made["token"]).get("/").status_code

    assert status(before + month - timedelta(seconds=1)) == 200
    assert status(after + month + timedelta(seconds=1)) == 401


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("expiresInDays", each) for each in (0, 366, -1, 1.5, "30", True)),
        *(("name", each) for each in ("", " ", "x" * 256, None, 1)),
        *(("customerId", each) for each in ("x", 0, -1, 1.5, True, "1,2")),
        ("token", "wsm_of_my_own_choice_that_is_long_enough"),
        ("unheardOf", 1),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_field_is_400_and_named(admin: Caller, path: str, key: str, value: object) -> None:
    answer = admin.post(path, {"name": "Name", "customerId": 1, key: value})

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json["errors"]] == [key]


@pytest.mark.parametrize("path", PATHS)
def test_a_customer_must_be_the_organizations_own(world: World, admin: Caller, path: str) -> None:
    foreign = world.owners["foreign"].customer

    for identifier in (foreign.number, str(foreign.id), 4711):
        answer = admin.post(path, {"name": "Name", "customerId": identifier})
        assert answer.status_code == 400
        assert answer.json["errors"][0]["message"] == "Invalid customer ID"


def test_a_token_of_a_customer_needs_a_customer(world: World, admin: Caller) -> None:
    scoped = world.caller("scoped_user")

    for body in ({"name": "Name"}, {"name": "Name", "customerId": None}):
        refused = admin.post(CUSTOMER, body)
        assert refused.status_code == 400
        assert refused.json["errors"][0]["message"] == "customerId is required"
        # A caller with one customer can mean that one only.
        assert issue(scoped, CUSTOMER)["customerId"] == world.owners["own"].customer.number


def test_a_token_stays_in_the_scope_that_it_was_made_for(world: World, admin: Caller) -> None:
    customer = world.owners["own"].customer
    scoped = Caller(world.app, issue(admin, customerId=str(customer.id), role="admin")["token"])
    own, other = world.monitor(), world.monitor("smtp", "other")

    assert scoped.get(f"{SMTP}/{own.id}").status_code == 200
    assert scoped.get(f"{SMTP}/{other.id}").status_code == 403
    assert scoped.get(ORGANIZATION).status_code == 403
    assert scoped.post(ORGANIZATION, {"name": "Name"}).status_code == 403


def test_nobody_revokes_a_token_that_may_more_than_his_own(world: World, admin: Caller) -> None:
    made = issue(admin, CUSTOMER, customerId=str(world.owners["own"].customer.id), role="admin")

    refused = world.caller("scoped_user").delete(f"{CUSTOMER}/{made['id']}")

    assert refused.status_code == 403
    assert Caller(world.app, made["token"]).get(SMTP).status_code == 200
    assert admin.delete(f"{CUSTOMER}/{made['id']}").status_code == 200


def test_lists_hold_the_tokens_of_their_url_family(fresh_world: World) -> None:
    admin = fresh_world.admin
    own, other = (fresh_world.owners[each].customer.number for each in ("own", "other"))
    wide, mine, theirs = (
        issue(admin)["id"],
        issue(admin, customerId=own)["id"],
        issue(admin, customerId=other)["id"],
    )

    def seen(persona: Persona, path: str, **query: int | str) -> set[int]:
        rows = fresh_world.caller(persona).get(path, **query).json
        assert [each["id"] for each in rows] == sorted(each["id"] for each in rows)
        return {wide, mine, theirs} & {each["id"] for each in rows}

    assert seen("admin", ORGANIZATION) == {wide, mine, theirs}
    assert seen("admin", CUSTOMER) == {mine, theirs}
    assert seen("user", CUSTOMER) == {mine, theirs}
    assert seen("scoped_user", CUSTOMER) == {mine}
    assert seen("admin", CUSTOMER, customerId=other) == {theirs}
    assert seen("stranger", ORGANIZATION) == set()
    assert fresh_world.caller("readonly").get(CUSTOMER).status_code == 403
    assert admin.get(CUSTOMER, customerId="x").status_code == 400


def test_a_token_that_is_issued_during_a_list_is_shown_whole_or_not_at_all(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, monitoring = fresh_world.views.reader, fresh_world.store.monitoring
    organization = fresh_world.owners["own"].organization.id

    def and_meanwhile(read: Callable[..., Any]) -> Callable[..., Any]:
        """Let another worker make a customer with a token before and after the view is read."""

        def add() -> None:
            customer = monitoring.create_customer(CreateCustomer(organization, "New", None), TESTER)
            monitoring.issue_token(
                IssueToken(organization, customer.id, "New", "user", new_token()), TESTER
            )
            fresh_world.views.projector("monitors").catch_up()

        def reading(*arguments: Any) -> Any:  # noqa: ANN401 - passed through
            add()
            found = read(*arguments)
            add()
            return found

        return reading

    monkeypatch.setattr(reader, "tokens", and_meanwhile(reader.tokens))
    monkeypatch.setattr(reader, "customers", and_meanwhile(reader.customers))
    answer = fresh_world.admin.get(CUSTOMER)

    assert answer.status_code == 200
    new = [each for each in answer.json if each["name"] == "New"]
    assert new
    assert all(each["customerId"] and each["customerName"] == "New" for each in new)


def test_a_revoked_token_is_refused_at_once_on_every_worker(world: World, admin: Caller) -> None:
    made = issue(admin)
    with another_worker(world) as other:
        there = Caller(other.app, made["token"])
        assert there.get(SMTP).status_code == 200

        answer = admin.delete(f"{ORGANIZATION}/{made['id']}")

        assert (answer.status_code, answer.json) == (200, {"success": True})
        assert there.get(SMTP).status_code == 401
    assert Caller(world.app, made["token"]).get(SMTP).status_code == 401
    assert listed(admin, ORGANIZATION, made["id"]) is None
    again = admin.delete(f"{ORGANIZATION}/{made['id']}")
    assert (again.status_code, again.json["message"]) == (404, "Token not found")


def test_an_issued_token_is_good_at_once_on_every_worker(world: World, admin: Caller) -> None:
    with another_worker(world) as other:
        made = issue(admin)

        assert Caller(other.app, made["token"]).get(SMTP).status_code == 200


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "1" * 30, "é"])
@pytest.mark.parametrize("path", PATHS)
def test_a_malformed_number_is_400(admin: Caller, path: str, number: str) -> None:
    assert admin.delete(f"{path}/{number}").status_code == 400


def test_reading_records_one_use_an_hour_also_while_the_view_is_behind(world: World) -> None:
    admin = world.admin
    made = issue(admin)
    caller = Caller(world.app, made["token"])

    for _ in range(5):
        assert caller.get(SMTP).status_code == 200

    assert uses(world, made["publicId"]) == 1
    world.views.projector("monitors").catch_up()
    for _ in range(5):
        caller.get(SMTP)
    assert uses(world, made["publicId"]) == 1
    row = listed(admin, ORGANIZATION, made["id"])
    assert row is not None
    assert row["lastUsedAt"] is not None


def test_the_next_hours_use_is_recorded(world: World) -> None:
    made = issue(world.admin)
    now = [datetime.now(tz=UTC)]
    monitoring = world.store.monitoring

    def request() -> None:
        execution = Execution(reads_wait=False)
        use = LastUse(monitoring, execution, lambda: now[0])
        admission = Admission(execution, [Authentication(world.views.reader)], waits=False)
        app = App(middleware=[RequestLog(), admission, use])
        app.add_route("/", SimpleTestResourceAsync(json={}))
        assert Caller(app, made["token"]).get("/").status_code == 200

    real_clock = monitoring.clock
    monitoring.clock = lambda: now[0]
    try:
        for minutes in (0, 59, 60, 61, 119, 121):
            now[0] = datetime.now(tz=UTC) + timedelta(minutes=minutes)
            request()
    finally:
        monitoring.clock = real_clock

    assert uses(world, made["publicId"]) == 3


def test_a_refused_token_records_no_use(world: World) -> None:
    head = world.store.monitoring.recorder.max_notification_id()

    for persona in ("nobody", "unknown", "expired", "revoked"):
        world.caller(persona).get(SMTP)

    assert world.store.monitoring.recorder.max_notification_id() == head


def test_a_repeated_request_for_a_token_is_409_and_shows_no_token(
    world: World, admin: Caller
) -> None:
    headers = {**JSON, "Idempotency-Key": "once-for-a-token"}
    body = '{"name": "Once"}'
    first = admin.send("POST", ORGANIZATION, body, headers)
    count = len(admin.get(ORGANIZATION).json)

    again = admin.send("POST", ORGANIZATION, body, headers)

    assert (first.status_code, again.status_code) == (201, 409)
    assert "wsm_" not in again.text
    assert len(admin.get(ORGANIZATION).json) == count
    assert Caller(world.app, first.json["token"]).get(SMTP).status_code == 200


def test_a_request_without_a_token_gets_no_list(world: World) -> None:
    assert TestClient(world.app).simulate_get(ORGANIZATION).status_code == 401
