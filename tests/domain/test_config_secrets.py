"""The places of secrets in a config, and when stored secrets are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain import config_secrets
from domain.errors import InvalidInputError
from domain.kinds import MASK

if TYPE_CHECKING:
    from domain.kinds import Kind


SMTP_STORED = {"auth": {"user": "u", "pass": "SEALED"}}
IMAP_STORED = {"user": "u", "password": "SEALED"}
TOKEN = {"sealed": "SEALED TOKEN"}


@pytest.mark.parametrize(
    ("kind", "config", "secret", "user"),
    [
        ("smtp", {"auth": {"user": "u", "pass": "p"}}, "p", "u"),
        ("smtp", {"auth": {"user": "", "pass": ""}}, None, None),
        ("smtp", {"auth": {"pass": None}}, None, None),
        ("smtp", {"auth": {"pass": 5}}, None, None),
        ("smtp", {"auth": None}, None, None),
        ("smtp", {"auth": "text"}, None, None),
        ("smtp", {"user": "u", "password": "p"}, None, None),
        ("smtp", {}, None, None),
        ("imap_pop", {"user": "u", "password": "p"}, "p", "u"),
        ("imap_pop", {"auth": {"user": "u", "pass": "p"}}, None, None),
    ],
)
def test_the_password_is_in_its_documented_place(
    kind: Kind, config: dict[str, Any], secret: str | None, user: str | None
) -> None:
    assert config_secrets.read_secret(kind, config) == secret
    assert config_secrets.read_user(kind, config) == user


@pytest.mark.parametrize(
    "key",
    [
        *("pass", "password", "secret", "token", "key"),
        *("PASS", "Password", "clientSecret", "refresh_token", "api-key", "apikey", "password_2"),
        *("tokens", "passphrase", "passwd", "pwd", "keys"),
        *("credentials", "bearer", "Authorization", "cookie", "Passwort", "kennwort"),
        *("\uff50\uff41\uff53\uff53", "pa\u200bss", "pass\u00adword", "\u017fecret"),
    ],
)
def test_a_key_that_is_called_like_a_secret_is_one(key: str) -> None:
    assert config_secrets.is_secret_name(key)


@pytest.mark.parametrize(
    "key", ["", "user", "keyboard", "tokenize", "secretary", "passive", "tls", "\u200b"]
)
def test_a_key_with_another_name_is_none(key: str) -> None:
    assert not config_secrets.is_secret_name(key)


def test_masking_changes_the_secrets_alone_and_not_the_original() -> None:
    config = {
        "x": 1,
        "auth": {"user": "u", "pass": "p", "accessToken": "t", "y": 2},
        "apiKey": ["k"],
        "proxies": [{"SECRET": {"a": 1}, "host": "h"}, 3],
        "token": 12,
        "key": None,
        "bypass": True,
        "password": "",
    }

    masked = config_secrets.mask_secrets(config)

    assert list(masked) == list(config)
    assert masked == {
        "x": 1,
        "auth": {"user": "u", "pass": MASK, "accessToken": MASK, "y": 2},
        "apiKey": MASK,
        "proxies": [{"SECRET": MASK, "host": "h"}, 3],
        "token": MASK,
        "key": None,
        "bypass": True,
        "password": "",
    }
    assert config["auth"] == {"user": "u", "pass": "p", "accessToken": "t", "y": 2}


def test_only_what_was_sent_in_clear_is_echoed() -> None:
    stored = {"auth": {"user": "u", "pass": "S", "accessToken": TOKEN}, "key": TOKEN, "token": "x"}

    shown = config_secrets.echo_secrets(stored, {"auth": {"pass": "p", "accessToken": MASK}})

    assert shown == {"auth": {"user": "u", "pass": "p", "accessToken": MASK}, "key": MASK} | {
        "token": MASK
    }


def test_a_view_gets_no_secret_that_an_old_event_holds_in_clear() -> None:
    stored = {"auth": {"pass": "SEALED", "password": "old"}, "token": TOKEN, "keys": [1]}

    assert config_secrets.hide_clear_secrets("smtp", stored) == {
        "auth": {"pass": "SEALED", "password": MASK},
        "token": TOKEN,
        "keys": MASK,
    }


@pytest.mark.parametrize(
    ("kind", "sent", "stored", "expected", "kept"),
    [
        ("smtp", {"auth": {"user": "u", "pass": MASK}}, SMTP_STORED, SMTP_STORED, "auth.pass"),
        ("smtp", {"auth": {"user": "u"}}, SMTP_STORED, SMTP_STORED, "auth.pass"),
        ("imap_pop", {"user": "u", "password": MASK}, IMAP_STORED, IMAP_STORED, "password"),
        ("imap_pop", {"user": "u"}, IMAP_STORED, IMAP_STORED, "password"),
        ("smtp", {"auth": {"user": "v"}}, SMTP_STORED, None, ""),
        ("smtp", {"auth": {"user": "u", "pass": None}}, SMTP_STORED, None, ""),
        ("smtp", {"auth": {"user": ""}}, SMTP_STORED, None, ""),
        ("smtp", {"auth": None}, SMTP_STORED, None, ""),
        ("smtp", {}, SMTP_STORED, None, ""),
        ("imap_pop", {"user": "u"}, {"user": "u"}, None, ""),
        ("imap_pop", {"user": "u", "password": "n"}, IMAP_STORED, None, ""),
        (
            "imap_pop",
            {"user": "u"},
            {"user": "u", "auth": {"accessToken": TOKEN}},
            {"user": "u", "auth": {"accessToken": TOKEN}},
            "auth.accessToken",
        ),
        (
            "imap_pop",
            {"user": "u", "auth": None},
            {"user": "u", "auth": {"accessToken": TOKEN}},
            None,
            "",
        ),
        ("smtp", {"auth": {"user": "u", "accessToken": "n"}}, SMTP_STORED, None, ""),
        ("smtp", {"a": [{"key": MASK}]}, {"a": [{"key": 5}]}, {"a": [{"key": 5}]}, "a.0.key"),
        ("smtp", {"token": "n"}, {"token": TOKEN}, None, ""),
    ],
)
def test_the_stored_secret_is_kept_for_the_mask_and_for_the_same_user(
    kind: Kind,
    sent: dict[str, Any],
    stored: dict[str, Any],
    expected: dict[str, Any] | None,
    kept: str,
) -> None:
    config, places = config_secrets.keep_stored_secrets(kind, sent, stored)

    assert config == (expected or sent)
    assert [config_secrets.dotted(each) for each in places] == ([kept] if kept else [])


@pytest.mark.parametrize(
    ("kind", "sent", "path"),
    [
        ("smtp", {"auth": {"user": "u", "pass": MASK}}, "auth.pass"),
        ("imap_pop", {"user": "u", "password": MASK}, "password"),
        ("imap_pop", {"a": [{"key": MASK}]}, "a.0.key"),
    ],
)
def test_the_mask_of_nothing_is_refused(kind: Kind, sent: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        config_secrets.keep_stored_secrets(kind, sent, {})

    assert [(each.path, each.code) for each in refusal.value.problems] == [(path, "masked")]
