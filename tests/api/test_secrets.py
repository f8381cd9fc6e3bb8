"""Who sees a mailbox password, and what a config without one means (contract Q-2, Q-3)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from store.log_reader import LogReader
from tests.api.world import PATHS, SMTP

if TYPE_CHECKING:
    from tests.api.world import Caller, World


KINDS = ["smtp", "imap_pop"]
MASK = "********"
CANARY = "canary-8f3b-secret"


def config(kind: str, user: str | None = "robot", **secret: str | None) -> dict[str, Any]:
    """Return a config with a login; the secret under its documented name, when given."""
    if kind == "smtp":
        return {"auth": {"user": user, **({"pass": secret["secret"]} if secret else {})}}
    return {"user": user, **({"password": secret["secret"]} if secret else {})}


def shown(kind: str, answer: dict[str, Any]) -> str | None:
    holder = answer["config"]["auth"] if kind == "smtp" else answer["config"]
    found: str | None = holder.get("pass" if kind == "smtp" else "password")
    return found


def stored(world: World, kind: str, path: str) -> str | None:
    """Return the secret as the checker gets it."""
    public_id = path.rpartition("/")[2]
    view = world.views.reader.monitor("smtp" if kind == "smtp" else "imap_pop", public_id)
    assert view is not None
    clear = world.store.monitoring.unsealed(
        UUID(public_id), view.monitor["kind"], view.monitor["config"]
    )
    return shown(kind, {"config": clear})


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of monitor."""
    return str(request.param)


@pytest.fixture
def path(world: World, admin: Caller, kind: str) -> str:
    """A monitor with a login."""
    body = world.body(kind, config=config(kind, secret=CANARY))
    answer = admin.post(PATHS[kind], body)
    assert shown(kind, answer.json) == CANARY
    found: str = answer.headers["location"]
    return found


def test_every_read_is_masked_for_everybody(world: World, kind: str, path: str) -> None:
    for persona in ("admin", "user", "scoped_user", "readonly", "supporter"):
        caller = world.caller(persona)
        one, many = caller.get(path), caller.get(PATHS[kind], perPage=200)
        assert shown(kind, one.json) == MASK
        assert CANARY not in one.text + many.text
        assert "sealed:" not in one.text + many.text


@pytest.mark.parametrize("body", [{}, {"status": "disabled"}, {"name": "Other"}])
def test_a_patch_without_the_secret_does_not_show_it(
    world: World, kind: str, path: str, body: dict[str, Any]
) -> None:
    answer = world.caller("scoped_user").patch(path, body)

    assert (answer.status_code, shown(kind, answer.json)) == (200, MASK)
    assert CANARY not in answer.text


def test_a_patch_shows_the_secret_that_it_carries_in_clear(
    world: World, kind: str, path: str
) -> None:
    for persona in ("admin", "scoped_user"):
        answer = world.caller(persona).patch(path, {"config": config(kind, secret=CANARY)})
        assert shown(kind, answer.json) == CANARY


def test_a_readonly_patch_is_answered_with_the_mask(world: World, kind: str, path: str) -> None:
    answer = world.caller("readonly").patch(path, {"status": "disabled"})

    assert answer.status_code == 200
    assert shown(kind, answer.json) == MASK
    assert CANARY not in answer.text


def test_the_mask_sent_back_keeps_the_secret(
    world: World, admin: Caller, kind: str, path: str
) -> None:
    answer = admin.patch(path, {"config": {**config(kind, secret=MASK), "x": 1}})

    assert answer.json["config"]["x"] == 1
    assert (shown(kind, answer.json), stored(world, kind, path)) == (MASK, CANARY)


def test_a_config_without_the_secret_and_the_same_user_keeps_it(
    world: World, admin: Caller, kind: str, path: str
) -> None:
    answer = admin.patch(path, {"config": config(kind)})

    assert (shown(kind, answer.json), stored(world, kind, path)) == (MASK, CANARY)
    assert len(world.history(path.rpartition("/")[2])) == 1


def test_a_config_without_a_login_has_no_secret_any_more(
    world: World, admin: Caller, path: str
) -> None:
    admin.patch(path, {"config": {"x": 1}})

    assert admin.get(path).json["config"] == {"x": 1}
    assert CANARY not in str(world.history(path.rpartition("/")[2]))


def test_a_new_secret_replaces_the_old_one(
    world: World, admin: Caller, kind: str, path: str
) -> None:
    answer = admin.patch(path, {"config": config(kind, secret="another")})

    assert shown(kind, answer.json) == stored(world, kind, path) == "another"
    assert len(world.history(path.rpartition("/")[2])) == 2


def test_the_same_secret_sent_again_records_nothing(
    world: World, admin: Caller, kind: str, path: str
) -> None:
    admin.patch(path, {"config": config(kind, secret=CANARY)})

    assert len(world.history(path.rpartition("/")[2])) == 1


def test_a_secret_that_looks_like_a_sealed_one_is_a_secret_like_any_other(
    world: World, admin: Caller, kind: str, path: str
) -> None:
    sealed = world.history(path.rpartition("/")[2])[0].config
    text = sealed["auth"]["pass"] if kind == "smtp" else sealed["password"]

    answer = admin.patch(path, {"config": config(kind, secret=text)})

    assert shown(kind, answer.json) == stored(world, kind, path) == text


def test_the_mask_on_create_is_400_because_nothing_is_stored(
    world: World, admin: Caller, kind: str
) -> None:
    answer = admin.post(PATHS[kind], world.body(kind, config=config(kind, secret=MASK)))

    where = "smtpConfig.auth.pass" if kind == "smtp" else "imapPopConfig.password"
    assert answer.status_code == 400
    assert [(each["path"], each["code"]) for each in answer.json["errors"]] == [(where, "masked")]


def test_null_removes_an_smtp_secret(world: World, admin: Caller) -> None:
    body = world.body(config=config("smtp", secret=CANARY))
    path = admin.post(SMTP, body).headers["location"]

    answer = admin.patch(path, {"config": config("smtp", secret=None)})

    assert answer.json["config"] == {"auth": {"user": "robot", "pass": None}}
    assert stored(world, "smtp", path) is None


def test_null_removes_an_imap_login_but_not_half_of_it(world: World, admin: Caller) -> None:
    body = world.body("imap_pop", config=config("imap_pop", secret=CANARY))
    path = admin.post(PATHS["imap_pop"], body).headers["location"]

    half = admin.patch(path, {"config": config("imap_pop", secret=None)})
    whole = admin.patch(path, {"config": config("imap_pop", user=None, secret=None)})

    assert half.status_code == 400
    assert [each["path"] for each in half.json["errors"]] == ["imapPopConfig.password"]
    assert whole.json["config"] == {"user": None, "password": None}


def test_another_smtp_user_without_a_secret_gets_none(world: World, admin: Caller) -> None:
    body = world.body(config=config("smtp", secret=CANARY))
    path = admin.post(SMTP, body).headers["location"]

    answer = admin.patch(path, {"config": config("smtp", user="other")})

    assert answer.json["config"] == {"auth": {"user": "other"}}
    assert stored(world, "smtp", path) is None


def test_another_imap_user_without_a_secret_is_half_a_login(world: World, admin: Caller) -> None:
    body = world.body("imap_pop", config=config("imap_pop", secret=CANARY))
    path = admin.post(PATHS["imap_pop"], body).headers["location"]

    answer = admin.patch(path, {"config": config("imap_pop", user="other")})

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json["errors"]] == ["imapPopConfig.password"]


@pytest.mark.parametrize(
    ("login", "where"),
    [
        ({"user": "u"}, "imapPopConfig.password"),
        ({"user": "u", "password": ""}, "imapPopConfig.password"),
        ({"user": "u", "password": None}, "imapPopConfig.password"),
        ({"password": "p"}, "imapPopConfig.user"),
        ({"user": "", "password": "p"}, "imapPopConfig.user"),
    ],
)
def test_half_an_imap_login_is_400_on_create(
    world: World, admin: Caller, login: dict[str, Any], where: str
) -> None:
    before = LogReader(world.store.monitoring).head()
    answer = admin.post(PATHS["imap_pop"], world.body("imap_pop", imapPopConfig=login))

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json["errors"]] == [where]
    assert LogReader(world.store.monitoring).head() == before


@pytest.mark.parametrize("login", [{"user": "u"}, {"pass": "p"}, {"user": "", "pass": "p"}, {}])
def test_half_an_smtp_login_is_stored_as_sent(
    world: World, admin: Caller, login: dict[str, Any]
) -> None:
    answer = admin.post(SMTP, world.body(smtpConfig={"auth": login}))

    assert (answer.status_code, answer.json["smtpConfig"]) == (201, {"auth": login})


def test_a_lost_key_masks_the_answer_and_a_new_secret_repairs_it(
    world: World, admin: Caller, kind: str, path: str
) -> None:
    world.store.keys.destroy(UUID(path.rpartition("/")[2]))

    renamed = admin.patch(path, {"name": "Renamed"})
    repaired = admin.patch(path, {"config": config(kind, secret="new")})

    assert (renamed.status_code, shown(kind, renamed.json)) == (200, MASK)
    assert repaired.status_code == 200
    assert shown(kind, repaired.json) == stored(world, kind, path) == "new"


def test_no_log_line_holds_a_secret_a_token_or_a_query(
    world: World, admin: Caller, kind: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        admin.patch(path, {"config": config(kind, secret="new-" + CANARY)})
        admin.patch(path, {"config": {**config(kind, secret=CANARY + "\n")}})
        admin.get(PATHS[kind], search=CANARY)

    lines = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    assert any(f"PATCH {PATHS[kind]}/{{public_id}} 200" in line for line in lines)
    assert not any(CANARY in line for line in lines)
    assert not any(str(world.tokens["admin"]) in line for line in lines)
