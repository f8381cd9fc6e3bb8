"""Who may do what to whose monitor: every role, endpoint, owner and kind, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.api.world import IMAP, PATHS, SMTP, Persona, Whose, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falcon.testing import Result

    from tests.api.world import World


pytestmark = pytest.mark.any_engine

ENDPOINTS: Final = ("create", "read", "list", "status", "more", "delete")
KINDS: Final = ("smtp", "imap_pop")

# The columns are ENDPOINTS. `list` asks for the monitors of the customer in question.
EXPECTED: Final[Mapping[Persona, Mapping[Whose, tuple[int, ...]]]] = {
    "admin": {
        "own": (201, 200, 200, 200, 200, 200),
        "other": (201, 200, 200, 200, 200, 200),
        "foreign": (404, 404, 404, 404, 404, 404),
    },
    "user": {
        "own": (201, 200, 200, 200, 200, 200),
        "other": (201, 200, 200, 200, 200, 200),
        "foreign": (404, 404, 404, 404, 404, 404),
    },
    "scoped_user": {
        "own": (201, 200, 200, 200, 200, 200),
        "other": (403, 403, 403, 403, 403, 403),
        "foreign": (404, 404, 404, 404, 404, 404),
    },
    "readonly": {
        "own": (403, 200, 200, 200, 403, 403),
        "other": (403, 200, 200, 200, 403, 403),
        "foreign": (403, 404, 404, 404, 404, 404),
    },
    "scoped_readonly": {
        "own": (403, 200, 200, 200, 403, 403),
        "other": (403, 403, 403, 403, 403, 403),
        "foreign": (403, 404, 404, 404, 404, 404),
    },
    "supporter": {
        "own": (403, 200, 200, 403, 403, 403),
        "other": (403, 200, 200, 403, 403, 403),
        "foreign": (403, 200, 200, 403, 403, 403),
    },
    "operator": {
        "own": (403, 200, 200, 403, 403, 403),
        "other": (403, 200, 200, 403, 403, 403),
        "foreign": (403, 200, 200, 403, 403, 403),
    },
    "metrics": dict.fromkeys(("own", "other", "foreign"), (403, 404, 403, 404, 404, 404)),
    "stranger": {
        "own": (404, 404, 404, 404, 404, 404),
        "other": (404, 404, 404, 404, 404, 404),
        "foreign": (201, 200, 200, 200, 200, 200),
    },
    **{
        persona: dict.fromkeys(("own", "other", "foreign"), (401,) * len(ENDPOINTS))
        for persona in ("expired", "revoked", "unknown", "nobody")
    },
}
CASES: Final = [
    (persona, whose, endpoint, status)
    for persona, rows in EXPECTED.items()
    for whose, statuses in rows.items()
    for endpoint, status in zip(ENDPOINTS, statuses, strict=True)
]


def call(world: World, persona: Persona, endpoint: str, kind: str, whose: Whose) -> Result:
    caller = world.caller(persona)
    customer = str(world.owners[whose].customer.id)
    if endpoint == "create":
        return caller.post(PATHS[kind], world.body(kind, whose))
    path = path_of(world.monitor(kind, whose))
    match endpoint:
        case "read":
            return caller.get(path)
        case "list":
            return caller.get(PATHS[kind], customerId=customer)
        case "status":
            return caller.patch(path, {"status": "disabled"})
        case "more":
            return caller.patch(path, {"status": "disabled", "name": "Renamed"})
        case _:
            return caller.delete(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("persona", "whose", "endpoint", "status"), CASES)
def test_each_role_may_do_exactly_what_the_table_says(  # noqa: PLR0917 - a row of the table
    world: World, persona: Persona, whose: Whose, endpoint: str, status: int, kind: str
) -> None:
    head = world.store.monitoring.recorder.max_notification_id()

    answer = call(world, persona, endpoint, kind, whose)

    assert answer.status_code == status
    if status >= 400:
        recorder = world.store.monitoring.recorder
        stored = recorder.select_notifications(head, 100, inclusive_of_start=False)
        topics = [each.topic for each in stored]
        given = [] if endpoint == "create" else ["Registered", "MonitorCreated"]
        assert topics == given, "a refused request stored something"
        assert answer.json["statusCode"] == status


@pytest.mark.parametrize("path", [SMTP, IMAP])
@pytest.mark.parametrize(
    ("persona", "whose"),
    [
        ("admin", {"own", "other"}),
        ("scoped_user", {"own"}),
        ("scoped_readonly", {"own"}),
        ("supporter", {"own", "other"}),
        ("operator", {"own", "other"}),
        ("stranger", {"foreign"}),
    ],
)
def test_a_list_without_a_filter_holds_what_is_in_scope(
    fresh_world: World, persona: Persona, whose: set[Whose], path: str
) -> None:
    kind = "smtp" if path == SMTP else "imap_pop"
    everybody: tuple[Whose, ...] = ("own", "other", "foreign")
    made = {each: str(fresh_world.monitor(kind, each).id) for each in everybody}

    answer = fresh_world.caller(persona).get(path).json

    assert {item["publicId"] for item in answer["items"]} == {made[each] for each in whose}
    assert answer["total"] == len(whose)


def test_a_supporter_reads_another_organization_by_its_number_or_id(fresh_world: World) -> None:
    foreign = fresh_world.owners["foreign"].organization
    monitor = fresh_world.monitor("smtp", "foreign")
    supporter = fresh_world.caller("supporter")

    by_number = supporter.get(SMTP, organizationId=foreign.number)
    by_id = supporter.get(SMTP, organizationId=str(foreign.id))

    assert by_number.json["items"][0]["publicId"] == str(monitor.id)
    assert by_id.json == by_number.json


def test_an_admin_may_name_its_own_organization_and_no_other(fresh_world: World) -> None:
    own = fresh_world.owners["own"].organization
    foreign = fresh_world.owners["foreign"].organization

    assert fresh_world.admin.get(SMTP, organizationId=own.number).status_code == 200
    assert fresh_world.admin.get(SMTP, organizationId=foreign.number).status_code == 403
    assert fresh_world.admin.get(SMTP, organizationId=4711).status_code == 403


def test_a_monitor_of_one_kind_is_not_found_among_the_other(world: World) -> None:
    monitor = world.monitor("smtp")

    answer = world.admin.get(f"{IMAP}/{monitor.id}")

    assert (answer.status_code, answer.json["message"]) == (404, "IMAP/POP monitor not found")


def test_a_readonly_status_change_with_another_field_changes_nothing(world: World) -> None:
    monitor = world.monitor("smtp")

    answer = world.caller("readonly").patch(
        path_of(monitor), {"status": "disabled", "timeoutSeconds": 30}
    )

    assert answer.status_code == 403
    assert world.admin.get(path_of(monitor)).json["status"] == "active"


def test_a_forbidden_answer_names_the_role_and_what_it_may_not(world: World) -> None:
    answer = world.caller("supporter").post(SMTP, world.body())

    assert answer.json["message"] == "The role supporter may not create monitors"
