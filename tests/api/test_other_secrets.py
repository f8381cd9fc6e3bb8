"""Secrets outside their documented place: refused, or sealed and masked (contract Q-11)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from domain.kinds import KINDS
from domain.monitor import Monitor
from tests.api.world import COMMANDS, PATHS, path_of
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from domain.kinds import Kind
    from tests.api.world import Caller, World
    from tests.documented import Json


MASK = "********"
CANARY = "canary-8f3b-secret"
SECRETS: Json = {
    "token": CANARY,
    "clientSecret": {"value": CANARY},
    "proxy": [{"PASSWORD": CANARY, "host": "h"}],
    "tlsOptions": {"key": CANARY, "servername": "mx1.example.com"},
}
MASKED: Json = {
    "token": MASK,
    "clientSecret": MASK,
    "proxy": [{"PASSWORD": MASK, "host": "h"}],
    "tlsOptions": {"key": MASK, "servername": "mx1.example.com"},
}
MISPLACED: dict[str, Json] = {
    "smtp": {"requireTLS": True, "auth": {"user": "u", "password": CANARY, "accessToken": CANARY}},
    "imap_pop": {"pass": CANARY, "auth": {"user": "u", "pass": CANARY}, "apiKey": [CANARY]},
}
SHOWN: dict[str, Json] = {
    "smtp": {"requireTLS": True, "auth": {"user": "u", "password": MASK, "accessToken": MASK}},
    "imap_pop": {"pass": MASK, "auth": {"user": "u", "pass": MASK}, "apiKey": MASK},
}

every_kind = pytest.mark.parametrize("kind", ["smtp", "imap_pop"])


def stored_before(world: World, kind: Kind) -> Monitor:
    """Store a monitor as the first version did: with misplaced secrets in clear."""
    command = world.owners["own"].create(COMMANDS[kind])
    monitoring, config = world.store.monitoring, MISPLACED[kind]
    monitor = monitoring.create_numbered(
        kind,
        lambda number: Monitor.create(
            number,
            command,
            monitor_id=uuid4(),
            config=config,
            actor=TESTER,
            now=monitoring.clock(),
        ),
        TESTER,
    )
    world.views.projector("monitors").catch_up()
    return monitor


def everything_shown(world: World, path: str) -> str:
    """Return all answers that show a monitor, and what the views hold of it."""
    texts = [
        world.caller(persona).get(each).text
        for persona in ("admin", "user", "readonly", "supporter")
        for each in (path, path.rpartition("/")[0], path + "/history")
    ]
    kind = next(each for each, above in PATHS.items() if path.startswith(above))
    view = world.views.reader.monitor(kind, path.rpartition("/")[2])  # type: ignore[arg-type] # a kind
    return "".join([*texts, json.dumps(view)])


@every_kind
def test_a_key_that_is_called_like_a_secret_is_echoed_to_its_sender_and_masked_for_all(
    world: World, admin: Caller, kind: Kind
) -> None:
    created = admin.post(PATHS[kind], world.body(kind, config=SECRETS))
    path = created.headers["location"]

    assert created.json["config"] == SECRETS
    assert admin.get(path).json["config"] == MASKED
    assert admin.patch(path, {"name": "Other"}).json["config"] == MASKED
    assert CANARY not in everything_shown(world, path)
    event = world.history(path.rpartition("/")[2])[0]
    assert CANARY not in str(event.config)
    clear = world.store.monitoring.unsealed(event.originator_id, kind, event.config)
    assert clear == SECRETS


@every_kind
def test_what_a_get_shows_can_be_sent_back(world: World, admin: Caller, kind: Kind) -> None:
    path = admin.post(PATHS[kind], world.body(kind, config=SECRETS)).headers["location"]

    answer = admin.patch(path, admin.get(path).json)
    changed = admin.patch(path, {"config": {**MASKED, "token": "new"}})

    assert answer.json["config"] == MASKED
    assert changed.json["config"] == {**MASKED, "token": "new"}
    first, second = world.history(path.rpartition("/")[2])
    clear = world.store.monitoring.unsealed(first.originator_id, kind, second.changes["config"])
    assert clear == {**SECRETS, "token": "new"}


@every_kind
def test_the_audit_log_says_which_secret_changed(world: World, admin: Caller, kind: Kind) -> None:
    path = admin.post(PATHS[kind], world.body(kind, config=SECRETS)).headers["location"]
    admin.patch(path, {"config": {**MASKED, "proxy": [{"PASSWORD": "new", "host": "h"}]}})

    (change,) = admin.get(path + "/history").json["items"][0]["changes"]

    assert change == {
        "field": f"{KINDS[kind].config_key}.proxy.0.PASSWORD",
        "from": MASK,
        "to": MASK,
        "secret": "changed",
    }


@pytest.mark.parametrize(
    ("kind", "config", "where"),
    [
        ("smtp", {"auth": {"user": "u", "password": CANARY}}, ("auth.password", "auth.pass")),
        ("smtp", {"requireTLS": True}, ("requireTLS", "requireTls")),
        ("smtp", {"accessToken": CANARY}, ("accessToken", "auth.accessToken")),
        ("imap_pop", {"user": "u", "pass": CANARY}, ("pass", "password")),
    ],
)
def test_a_look_alike_is_400_with_what_was_meant(
    world: World, admin: Caller, kind: Kind, config: dict[str, Any], where: tuple[str, str]
) -> None:
    monitor = world.monitor(kind)

    for answer in (
        admin.post(PATHS[kind], world.body(kind, config=config)),
        admin.patch(path_of(monitor), {"config": config}),
    ):
        assert answer.status_code == 400
        (error,) = [each for each in answer.json["errors"] if each["code"] == "unknown"]
        assert error["path"] == f"config.{where[0]}"
        assert error["message"] == f"is not a known key; did you mean {where[1]}?"
        assert CANARY not in answer.text


@every_kind
def test_what_was_stored_before_is_masked_kept_and_accepted_back(
    world: World, admin: Caller, kind: Kind
) -> None:
    path = path_of(stored_before(world, kind))

    assert admin.get(path).json["config"] == SHOWN[kind]
    assert CANARY not in everything_shown(world, path)
    renamed = admin.patch(path, {"name": "Renamed"})
    assert (renamed.status_code, renamed.json["config"]) == (200, SHOWN[kind])
    back = admin.patch(path, admin.get(path).json)
    assert (back.status_code, back.json["config"]) == (200, SHOWN[kind])
    assert len(world.history(path.rpartition("/")[2])) == 2

    changed = admin.patch(path, {"config": {**SHOWN[kind], "x": 1}})

    assert changed.json["config"] == {**SHOWN[kind], "x": 1}
    event = world.history(path.rpartition("/")[2])[-1]
    assert CANARY not in str(event.changes)
    config = event.changes["config"]
    clear = world.store.monitoring.unsealed(event.originator_id, kind, config)
    assert clear == {**MISPLACED[kind], "x": 1}
    assert CANARY not in everything_shown(world, path)


@every_kind
def test_the_past_of_what_was_stored_before_is_masked(
    world: World, admin: Caller, kind: Kind
) -> None:
    monitor = stored_before(world, kind)
    path = path_of(monitor)
    position = admin.get(path).headers["x-as-of-position"]
    admin.patch(path, {"name": "Renamed"})

    past = admin.get(path, asOf=position)

    assert past.json["config"] == SHOWN[kind]
    assert CANARY not in str(world.views.history.thing(str(UUID(str(monitor.id)))))
