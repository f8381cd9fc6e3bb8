"""The config object: known keys checked and coerced, unknown ones kept, order kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import InvalidInputError
from domain.mail_config import MAX_BYTES, MAX_DEPTH, check_credentials, parse_config

if TYPE_CHECKING:
    from domain.kinds import Kind


def problems(kind: Kind, value: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInputError) as refusal:
        parse_config(kind, value)
    return [(each.path, each.code) for each in refusal.value.problems]


@pytest.mark.parametrize(
    ("kind", "sent", "stored"),
    [
        ("smtp", None, {}),
        ("smtp", {}, {}),
        (
            "smtp",
            {"z": 1, "secure": "TRUE", "a": None},
            {"z": 1, "secure": True, "a": None},
        ),
        ("smtp", {"secure": 0, "requireTls": 1.0}, {"secure": False, "requireTls": True}),
        ("smtp", {"auth": None, "tlsOptions": None}, {"auth": None, "tlsOptions": None}),
        ("smtp", {"auth": {"x": 1, "user": None}}, {"auth": {"x": 1, "user": None}}),
        (
            "smtp",
            {"tlsOptions": {"rejectUnauthorized": "false", "ca": "x"}},
            {"tlsOptions": {"rejectUnauthorized": False, "ca": "x"}},
        ),
        ("imap_pop", {"protocol": "POP3"}, {"protocol": "pop3"}),
        ("imap_pop", {"protocol": "ManageSieve"}, {"protocol": "managesieve"}),
        ("imap_pop", {"startTls": "Require"}, {"startTls": "require"}),
        ("imap_pop", {"tls": True, "startTls": "never"}, {"tls": True, "startTls": "never"}),
        ("imap_pop", {"proxy": {"user": "anything"}}, {"proxy": {"user": "anything"}}),
        (
            "smtp",
            {"tlsOptions": {"servername": "MX1.Example.", "minVersion": "tlsv1.2"}},
            {"tlsOptions": {"servername": "mx1.example", "minVersion": "TLSv1.2"}},
        ),
        (
            "smtp",
            {"tlsOptions": {"minVersion": "TLSv1.2", "maxVersion": "TLSv1.3"}},
            {"tlsOptions": {"minVersion": "TLSv1.2", "maxVersion": "TLSv1.3"}},
        ),
        (
            "imap_pop",
            {"user": "u", "auth": {"accessToken": "t" * 4000}},
            {"user": "u", "auth": {"accessToken": "t" * 4000}},
        ),
    ],
)
def test_a_config_is_coerced_in_its_own_order(
    kind: Kind, sent: object, stored: dict[str, Any]
) -> None:
    assert json.dumps(parse_config(kind, sent)) == json.dumps(stored)


def test_every_problem_is_named_at_once() -> None:
    found = problems(
        "smtp",
        {
            "secure": "maybe",
            "auth": {"user": 1, "pass": "a\nb"},
            "tlsOptions": {"rejectUnauthorized": None, "x": 1},
            "ignoreTls": True,
            "requireTls": True,
        },
    )

    assert found == [
        ("secure", "type"),
        ("auth.user", "type"),
        ("auth.pass", "invalid"),
        ("ignoreTls", "contradiction"),
    ]


@pytest.mark.parametrize("value", ["x", 1, [], True])
def test_a_config_that_is_no_object_is_refused(value: object) -> None:
    assert problems("smtp", value) == [("", "type")]


def test_a_config_may_be_as_large_and_deep_as_the_bounds() -> None:
    deep: object = []
    for _ in range(MAX_DEPTH - 2):
        deep = [deep]
    overhead = len(b'{"x":""}')

    assert parse_config("smtp", {"x": deep}) == {"x": deep}
    assert problems("smtp", {"x": [deep]}) == [("", "too_deep")]
    assert parse_config("smtp", {"x": "y" * (MAX_BYTES - overhead)})
    assert problems("smtp", {"x": "y" * (MAX_BYTES - overhead + 1)}) == [("", "too_large")]


def test_depth_is_counted_without_recursion() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]

    assert problems("smtp", {"x": deep}) == [("", "too_deep")]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"user": "u"}, "password"),
        ({"user": "u", "password": ""}, "password"),
        ({"password": "p"}, "user"),
        ({"user": None, "password": "p"}, "user"),
    ],
)
def test_half_a_login_is_refused_for_imap_and_allowed_for_smtp(
    config: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_credentials("imap_pop", config)

    assert [each.path for each in refusal.value.problems] == [path]
    check_credentials("smtp", {"auth": {"user": "u"}})


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"user": "", "password": ""},
        {"user": "u", "password": "p"},
        {"user": "u", "auth": {"accessToken": "t"}},
    ],
)
def test_a_whole_login_or_none_is_fine(config: dict[str, Any]) -> None:
    check_credentials("imap_pop", config)


@pytest.mark.parametrize(
    ("kind", "config", "path"),
    [("smtp", {"auth": "user"}, "auth"), ("imap_pop", {"tlsOptions": []}, "tlsOptions")],
)
def test_a_key_that_holds_an_object_takes_nothing_else(
    kind: Kind, config: dict[str, Any], path: str
) -> None:
    assert problems(kind, config) == [(path, "type")]


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"tls": True, "startTls": "auto"}, "startTls"),
        ({"tls": True, "startTls": "require"}, "startTls"),
        ({"protocol": "managesieve", "mailbox": "INBOX"}, "mailbox"),
    ],
)
def test_keys_that_exclude_each_other_are_refused(config: dict[str, Any], key: str) -> None:
    assert problems("imap_pop", config) == [(key, "contradiction")]


@pytest.mark.parametrize(
    ("kind", "config", "path", "meant"),
    [
        ("smtp", {"requireTLS": True}, "requireTLS", "requireTls"),
        ("smtp", {"require_tls": True}, "require_tls", "requireTls"),
        ("smtp", {"requireTsl": True}, "requireTsl", "requireTls"),
        ("smtp", {"Secure": True}, "Secure", "secure"),
        ("smtp", {"auth": {"password": "p"}}, "auth.password", "auth.pass"),
        ("smtp", {"auth": {"Pass": "p"}}, "auth.Pass", "auth.pass"),
        ("smtp", {"auth": {"username": "u"}}, "auth.username", "auth.user"),
        ("smtp", {"pass": "p"}, "pass", "auth.pass"),
        ("smtp", {"user": "u"}, "user", "auth.user"),
        ("smtp", {"accessToken": "t"}, "accessToken", "auth.accessToken"),
        (
            "smtp",
            {"rejectUnauthorized": False},
            "rejectUnauthorized",
            "tlsOptions.rejectUnauthorized",
        ),
        (
            "smtp",
            {"tlsOptions": {"serverName": "x"}},
            "tlsOptions.serverName",
            "tlsOptions.servername",
        ),
        ("smtp", {"tls": {}}, "tls", "secure or tlsOptions"),
        ("imap_pop", {"pass": "p"}, "pass", "password"),
        ("imap_pop", {"auth": {"user": "u"}}, "auth.user", "user"),
        ("imap_pop", {"auth": {"pass": "p"}}, "auth.pass", "password"),
        ("imap_pop", {"accesstoken": "t"}, "accesstoken", "auth.accessToken"),
        ("imap_pop", {"startTLS": "auto"}, "startTLS", "startTls"),
        ("imap_pop", {"secure": True}, "secure", "tls"),
        ("imap_pop", {"mailboxes": "x"}, "mailboxes", "mailbox"),
    ],
)
def test_a_key_that_looks_like_a_known_one_is_refused(
    kind: Kind, config: dict[str, Any], path: str, meant: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_config(kind, config)

    (problem,) = refusal.value.problems
    assert (problem.path, problem.code) == (path, "unknown")
    assert problem.message == f"is not a known key; did you mean {meant}?"


def test_what_an_answer_shows_of_an_older_config_is_accepted_unchanged() -> None:
    shown = {
        "requireTLS": True,
        "auth": {"user": "u", "password": "********", "accessToken": 5},
        "tlsOptions": {"servername": 7, "minVersion": ["x"], "maxVersion": "TLSv9"},
    }

    assert parse_config("smtp", shown, shown) == shown
    changed = {**shown, "requireTLS": False, "auth": {"password": "new"}}
    with pytest.raises(InvalidInputError) as refusal:
        parse_config("smtp", changed, shown)
    assert [each.path for each in refusal.value.problems] == ["requireTLS", "auth.password"]


@pytest.mark.parametrize(
    ("options", "path", "code"),
    [
        ({"servername": "192.0.2.1"}, "tlsOptions.servername", "invalid"),
        ({"servername": "2001:db8::1"}, "tlsOptions.servername", "invalid"),
        ({"servername": "a b"}, "tlsOptions.servername", "blank"),
        ({"minVersion": "SSLv3"}, "tlsOptions.minVersion", "invalid"),
        ({"maxVersion": 1.2}, "tlsOptions.maxVersion", "invalid"),
        (
            {"minVersion": "TLSv1.3", "maxVersion": "TLSv1.2"},
            "tlsOptions.minVersion",
            "contradiction",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["smtp", "imap_pop"])
def test_options_of_tls_are_checked(
    kind: Kind, options: dict[str, Any], path: str, code: str
) -> None:
    assert problems(kind, {"tlsOptions": options}) == [(path, code)]


def test_a_login_is_stored_as_sent() -> None:
    config = {"user": "ü", "password": " p ", "mailbox": "INBOX"}

    assert parse_config("imap_pop", config) == config
