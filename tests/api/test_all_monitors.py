"""The list of monitors of all kinds with their states, and the counts (D-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.monitor_state import STATES
from tests.api.world import PATHS, SMTP, STATE_KEYS, another_worker, path_of
from tests.domain.given import TESTER, check_of
from tests.projections.folding import catch_up

if TYPE_CHECKING:
    from tests.api.world import Persona, World


pytestmark = pytest.mark.any_engine
LIST, SUMMARY = "/api/monitors", "/api/monitors/summary"


def test_a_new_monitor_is_in_the_list_at_once_and_a_deleted_one_is_not(world: World) -> None:
    made = world.admin.post(SMTP, world.body()).json

    (found,) = [
        each
        for each in world.admin.get(LIST, perPage=200).json["items"]
        if each["publicId"] == made["publicId"]
    ]
    assert (found["monitorType"], found["id"], found["state"]) == ("smtp", made["id"], "pending")
    assert found["customerName"] == world.owners["own"].customer.name
    world.admin.patch(f"{SMTP}/{made['publicId']}", {"status": "disabled"})
    disabled = world.admin.get(LIST, state="disabled", perPage=200).json["items"]
    assert made["publicId"] in [each["publicId"] for each in disabled]

    world.admin.delete(f"{SMTP}/{made['publicId']}")
    assert made["publicId"] not in world.admin.get(LIST, perPage=200).text


def test_the_counts_are_those_of_the_list(world: World) -> None:
    world.monitor("imap_pop")
    catch_up(world.views)
    items = world.admin.get(LIST, perPage=200).json["items"]
    summary = world.admin.get(SUMMARY).json

    assert summary["total"] == len(items) > 0
    assert summary["byState"] == {
        state: sum(each["state"] == state for each in items) for state in STATES
    }
    assert sum(summary["byType"].values()) == len(items)
    assert summary["openIncidents"]["total"] == 0


def test_what_is_down_is_found_by_one_request(world: World) -> None:
    monitor = world.monitor()
    world.store.checks.record([check_of(monitor, 1, "down")], location="x", actor=TESTER)
    catch_up(world.views)

    answer = world.admin.get(LIST, state="down,suspicious", sort="-stateSince").json

    assert [each["publicId"] for each in answer["items"]] == [str(monitor.id)]
    assert answer["items"][0]["lastError"]["category"] == "timeout"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("state", "dwn", "is not a known state; did you mean down?; known are down, recovering"),
        ("state", "", "is not a known state; known are down"),
        ("state", "down,", "is not a known state; known are down"),
        ("sort", "stateSinc", "is not a known sort key; did you mean stateSince?"),
        ("sort", "--id", "is not a known sort key"),
        ("monitorType", "ftp", "is not a known type; known are smtp, imap_pop"),
        ("page", "0", "must be a whole number from 1"),
        ("customerId", "x", "must be a number or a UUID"),
        ("stat", "down", "is not a known parameter; did you mean state?"),
    ],
)
def test_a_wrong_parameter_is_named(world: World, name: str, value: str, message: str) -> None:
    answer = world.admin.get(LIST, **{name: value})

    assert answer.status_code == 400
    (error,) = answer.json["errors"]
    assert error["path"] == name
    assert error["message"].startswith(message)


def test_a_token_sees_what_its_scope_covers(world: World) -> None:
    kinds = ("smtp", "imap_pop")
    own = {str(world.monitor(kind).id) for kind in kinds}
    other = {str(world.monitor(kind, "other").id) for kind in kinds}
    foreign = {str(world.monitor(kind, "foreign").id) for kind in kinds}
    catch_up(world.views)

    def seen(persona: Persona, **query: str | int) -> set[str]:
        answer = world.caller(persona).get(LIST, perPage=200, **query)
        return {each["publicId"] for each in answer.json["items"]}

    assert own | other <= seen("admin")
    assert not foreign & seen("admin")
    assert own <= seen("scoped_user")
    assert not other & seen("scoped_user")
    assert foreign <= seen("supporter", organizationId=world.owners["foreign"].organization.number)
    assert other <= seen("admin", customerId=world.owners["other"].customer.number)
    scoped = world.caller("scoped_user")
    customer = world.owners["other"].customer.number
    assert scoped.get(SUMMARY, customerId=customer).status_code == 403
    assert scoped.get(SUMMARY).json["total"] == len(seen("scoped_user"))
    foreign_number = world.owners["foreign"].organization.number
    assert world.admin.get(LIST, organizationId=foreign_number).status_code == 403
    both = {"organizationId": foreign_number, "customerId": customer}
    mixed = world.caller("supporter").get(LIST, **both)
    assert (mixed.status_code, mixed.json["errors"][0]["path"]) == (400, "customerId")


@pytest.mark.parametrize("kind", ["smtp", "imap_pop"])
def test_the_lists_of_a_kind_say_and_filter_states(fresh_world: World, kind: str) -> None:
    failing = fresh_world.monitor(kind, name="Server 1")
    for number in (2, 3):
        fresh_world.monitor(kind, name=f"Server {number}")
    check = check_of(failing, 1, "down")
    fresh_world.store.checks.record([check], location="x", actor=TESTER)
    catch_up(fresh_world.views)
    admin, path = fresh_world.admin, PATHS[kind]

    plain = admin.get(path).json["items"]
    found = admin.get(path, state="suspicious").json

    assert found["total"] == 1
    assert found["items"] == [admin.get(path).json["items"][0]]
    assert found["items"][0]["lastError"]["firstSeenAt"] == "2026-01-01T12:01:00.000Z"
    assert admin.get(path, sort="-name").json["items"] == plain[::-1]
    assert admin.get(path, sort="-name").headers["x-as-of-position"]
    sought = {"search": "server 2", "state": "pending"}
    assert [each["name"] for each in admin.get(path, **sought).json["items"]] == ["Server 2"]
    assert admin.get(path, **sought).json["total"] == 1
    one = admin.get(path_of(failing)).json
    assert {key: one[key] for key in STATE_KEYS} == {key: plain[0][key] for key in STATE_KEYS}
    assert admin.patch(path_of(failing), one).status_code == 200
    past = admin.get(path, asOf=1, sort="name")
    assert past.json["errors"][0]["path"] == "sort"
    assert admin.get(path, state="x").json["errors"][0]["path"] == "state"


def test_monitors_are_shown_while_the_view_of_states_is_not_made(fresh_world: World) -> None:
    monitor = fresh_world.monitor()
    with another_worker(fresh_world) as worker:
        view = worker.views.projector("states").view
        view.invalidate(view.position())
        one, listed = worker.admin.get(path_of(monitor)), worker.admin.get(SMTP)
        sorted_list = worker.admin.get(LIST)

    assert one.status_code == listed.status_code == 200
    assert (one.json["state"], one.json["stateSince"]) == ("pending", None)
    assert listed.json["items"][0]["openIncidentId"] is None
    assert sorted_list.status_code == 503
