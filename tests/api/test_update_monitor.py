"""PATCH and DELETE: what changes, what does not, and what is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import SecretUnreadableError
from store.files import file_locks
from tests.api.world import PATHS, SMTP, later_than, path_of
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from tests.api.world import Caller, World


KINDS = ["smtp", "imap_pop"]
FULL: dict[str, dict[str, Any]] = {
    "smtp": {
        "port": 587,
        "notificationEmail": "ops@example.com",
        "notificationPhoneNumber": "+49 170 1234567",
        "allowedCheckCountryCodes": ["de"],
        "smtpConfig": {"requireTls": True, "auth": {"user": "u", "pass": "p"}, "x": None},
    },
    "imap_pop": {
        "port": 993,
        "notificationEmail": "ops@example.com",
        "notificationPhoneNumber": "+49 170 1234567",
        "allowedCheckCountryCodes": ["de"],
        "imapPopConfig": {"protocol": "imap", "user": "u", "password": "p", "tls": True},
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_answer_sent_back_changes_nothing(world: World, admin: Caller, kind: str) -> None:
    path = admin.post(PATHS[kind], world.body(kind, **FULL[kind])).headers["location"]
    read = admin.get(path).json
    later_than(read["updatedAt"])

    answer = admin.patch(path, read)

    assert answer.status_code == 200
    assert admin.get(path).json == read
    assert len(world.history(read["publicId"])) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_item_sent_back_changes_nothing(fresh_world: World, kind: str) -> None:
    admin = fresh_world.admin
    path = admin.post(PATHS[kind], fresh_world.body(kind, **FULL[kind])).headers["location"]
    (item,) = admin.get(PATHS[kind]).json["items"]

    assert admin.patch(path, item).status_code == 200
    assert len(fresh_world.history(item["publicId"])) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "active"},
        {"name": " Outbound SMTP "},
        {"hostname": "SMTP.example.com."},
        {"checkInterval": 60.0},
        {"config": {"secure": "false"}},
        {"allowedCheckCountryCodes": []},
    ],
)
def test_a_patch_without_a_change_records_nothing_and_keeps_updated_at(
    world: World, admin: Caller, body: object
) -> None:
    monitor = world.monitor()
    before = admin.get(path_of(monitor)).json
    later_than(before["updatedAt"])

    answer = admin.patch(path_of(monitor), body)

    assert answer.status_code == 200
    assert answer.json["updatedAt"] == before["updatedAt"]
    assert len(world.history(str(monitor.id))) == 1


def test_a_change_records_the_changed_field_only_and_moves_updated_at(
    world: World, admin: Caller
) -> None:
    monitor = world.monitor()
    before = admin.get(path_of(monitor)).json
    later_than(before["updatedAt"])

    answer = admin.patch(path_of(monitor), {"port": 25, "name": monitor.name})

    assert answer.json["updatedAt"] > before["updatedAt"]
    assert answer.json["createdAt"] == before["createdAt"]
    assert world.history(str(monitor.id))[-1].changes == {"port": 25}


@pytest.mark.parametrize(
    "key", ["port", "notificationEmail", "notificationPhoneNumber", "allowedCheckCountryCodes"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_null_clears_a_field_and_leaving_it_out_keeps_it(
    world: World, admin: Caller, kind: str, key: str
) -> None:
    path = admin.post(PATHS[kind], world.body(kind, **FULL[kind])).headers["location"]
    kept = admin.patch(path, {"timeoutSeconds": 10}).json[key]

    cleared = admin.patch(path, {key: None}).json[key]

    assert kept is not None
    assert cleared is None


@pytest.mark.parametrize("key", ["name", "hostname", "status", "checkInterval", "timeoutSeconds"])
def test_null_does_not_clear_what_every_monitor_needs(
    world: World, admin: Caller, key: str
) -> None:
    answer = admin.patch(path_of(world.monitor()), {key: None})

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json["errors"]] == [key]


@pytest.mark.parametrize("alias", ["config", "smtpConfig"])
def test_a_config_is_replaced_as_a_whole_under_either_name(
    world: World, admin: Caller, alias: str
) -> None:
    path = path_of(world.monitor(config={"secure": True, "x": 1}))

    answer = admin.patch(path, {alias: {"requireTls": True}}).json

    assert answer["config"] == answer["smtpConfig"] == {"requireTls": True}


def test_a_null_config_is_an_empty_one(world: World, admin: Caller) -> None:
    path = path_of(world.monitor(config={"secure": True}))

    assert admin.patch(path, {"smtpConfig": None}).json["smtpConfig"] == {}


def test_the_port_stays_when_the_protocol_changes(world: World, admin: Caller) -> None:
    body = world.body("imap_pop", **FULL["imap_pop"])
    path = admin.post(PATHS["imap_pop"], body).headers["location"]
    config = {"protocol": "pop3", "tls": True, "user": "u", "password": "p"}

    answer = admin.patch(path, {"imapPopConfig": config}).json

    assert (answer["port"], answer["imapPopConfig"]) == (993, config)


def test_the_customer_may_be_sent_back_but_not_changed(world: World, admin: Caller) -> None:
    path = path_of(world.monitor())
    own, other = world.owners["own"].customer, world.owners["other"].customer

    assert admin.patch(path, {"customerId": own.number}).status_code == 200
    assert admin.patch(path, {"customerId": str(own.id)}).status_code == 200
    for wrong in (other.number, str(other.id), "x", None):
        answer = admin.patch(path, {"customerId": wrong})
        assert answer.status_code == 400
        assert [each["path"] for each in answer.json["errors"]] == ["customerId"]


def test_a_patched_body_that_is_wrong_in_part_changes_nothing(world: World, admin: Caller) -> None:
    monitor = world.monitor()

    assert admin.patch(path_of(monitor), {"name": "New", "port": 0}).status_code == 400
    assert admin.get(path_of(monitor)).json["name"] == monitor.name


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_monitor_is_gone_for_every_method(world: World, admin: Caller, kind: str) -> None:
    monitor = world.monitor(kind)

    answer = admin.delete(path_of(monitor))

    assert (answer.status_code, answer.json) == (200, {"success": True})
    assert admin.get(path_of(monitor)).status_code == 404
    assert admin.patch(path_of(monitor), {"status": "active"}).status_code == 404
    assert admin.delete(path_of(monitor)).status_code == 404
    assert str(monitor.id) not in admin.get(PATHS[kind], perPage=200).text


def test_a_deleted_monitor_keeps_its_history_and_loses_its_secret(
    world: World, admin: Caller
) -> None:
    body = world.body(smtpConfig={"auth": {"user": "u", "pass": "gone"}})
    created = admin.post(SMTP, body)

    admin.delete(created.headers["location"])

    first, last = world.history(created.json["publicId"])
    assert (type(first).TOPIC, type(last).TOPIC) == ("MonitorCreated", "MonitorDeleted")
    assert last.actor["name"] == "admin"
    with pytest.raises(SecretUnreadableError):
        world.store.monitoring.unsealed(first.originator_id, "smtp", first.config)


def test_the_id_of_a_deleted_monitor_is_not_given_again(fresh_world: World) -> None:
    admin = fresh_world.admin
    first = admin.post(SMTP, fresh_world.body())
    admin.delete(first.headers["location"])

    assert admin.post(SMTP, fresh_world.body()).json["id"] == first.json["id"] + 1


def test_a_change_that_is_followed_at_once_by_a_deletion_is_answered_with_404(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The deletion comes in the turn of the change, and would wait for its end.
    monkeypatch.setattr(file_locks, "LONGEST_WAIT_SECONDS", 0.01)
    monitor = fresh_world.monitor()
    commands = fresh_world.store.monitoring

    def delete(_: object) -> None:
        commands.observers.remove(delete)
        commands.delete_monitor(monitor.id, TESTER)

    commands.observers.append(delete)
    answer = fresh_world.admin.patch(path_of(monitor), {"name": "New"})

    assert answer.status_code == 404
    assert len(fresh_world.history(str(monitor.id))) == 3
