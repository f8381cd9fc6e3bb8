"""Wrong fields: each is named by its path, all at once, and no value is repeated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from api.http.fields import MAX_COMPARED
from tests.api.world import PATHS, SMTP, path_of

if TYPE_CHECKING:
    from falcon.testing import Result

    from tests.api.world import Caller, World


pytestmark = pytest.mark.any_engine

CANARY = "canary7f3"
LONG = "x" * 1025
KINDS = ["smtp", "imap_pop"]

PLAIN = [
    ("name", "", "required"),
    ("name", "   ", "required"),
    ("name", 5, "type"),
    ("name", "n" * 256, "too_long"),
    ("name", f"{CANARY}\n{CANARY}", "invalid"),
    ("hostname", "", "required"),
    ("hostname", 5, "type"),
    ("hostname", f"https://{CANARY}.example.com", "scheme"),
    ("hostname", f"{CANARY}.example.com/smtp", "path"),
    ("hostname", f"{CANARY}.example.com?x=1", "path"),
    ("hostname", f"{CANARY}@example.com", "user"),
    ("hostname", f"{CANARY}.example.com:25", "port"),
    ("hostname", f"{CANARY} .example.com", "blank"),
    ("hostname", "[::1]", "brackets"),
    ("hostname", ".".join(["a" * 63] * 3 + ["b" * 62]), "too_long"),
    ("hostname", f"-{CANARY}.example.com", "invalid"),
    ("port", 0, "range"),
    ("port", 65536, "range"),
    ("port", -1, "range"),
    ("port", 25.0, "type"),
    ("port", "25", "type"),
    ("port", True, "type"),
    ("status", CANARY, "invalid"),
    ("status", "Active", "invalid"),
    ("status", 1, "invalid"),
    ("checkInterval", 0.09, "range"),
    ("checkInterval", 1440.1, "range"),
    ("checkInterval", "5", "type"),
    ("checkInterval", True, "type"),
    ("timeoutSeconds", 0.9, "range"),
    ("timeoutSeconds", 61, "range"),
    ("timeoutSeconds", [], "type"),
    ("notificationEmail", CANARY, "invalid"),
    ("notificationEmail", f"{CANARY}@a b", "invalid"),
    ("notificationEmail", 5, "type"),
    ("notificationPhoneNumber", CANARY, "invalid"),
    ("notificationPhoneNumber", "+", "invalid"),
    ("notificationPhoneNumber", 49170, "type"),
    ("allowedCheckCountryCodes", "DE", "type"),
    ("allowedCheckCountryCodes", [1], "type"),
    ("allowedCheckCountryCodes", ["DE", "XX"], "invalid"),
    ("allowedCheckCountryCodes", [CANARY], "invalid"),
    ("id_", 1, "unknown"),
    ("customer_id", 1, "unknown"),
    ("imapConfig", {}, "unknown"),
    ("", 1, "unknown"),
]
SMTP_CONFIG: list[tuple[str, Any, str, str]] = [
    ("secure", "yes", "smtpConfig.secure", "type"),
    ("secure", 2, "smtpConfig.secure", "type"),
    ("secure", [], "smtpConfig.secure", "type"),
    ("auth", "u:p", "smtpConfig.auth", "type"),
    ("auth", [], "smtpConfig.auth", "type"),
    ("auth", {"user": 1}, "smtpConfig.auth.user", "type"),
    ("auth", {"user": "u", "pass": [CANARY]}, "smtpConfig.auth.pass", "type"),
    ("auth", {"user": "u", "pass": f"{CANARY}\r\n"}, "smtpConfig.auth.pass", "invalid"),
    ("auth", {"user": f"{CANARY}\0", "pass": "p"}, "smtpConfig.auth.user", "invalid"),
    ("auth", {"user": "u", "pass": LONG}, "smtpConfig.auth.pass", "too_long"),
    ("tlsOptions", True, "smtpConfig.tlsOptions", "type"),
    (
        "tlsOptions",
        {"rejectUnauthorized": CANARY},
        "smtpConfig.tlsOptions.rejectUnauthorized",
        "type",
    ),
]
IMAP_CONFIG: list[tuple[str, Any, str, str]] = [
    ("protocol", CANARY, "imapPopConfig.protocol", "invalid"),
    ("protocol", 3, "imapPopConfig.protocol", "invalid"),
    ("tls", "on", "imapPopConfig.tls", "type"),
    ("user", 5, "imapPopConfig.user", "type"),
    ("password", {"x": CANARY}, "imapPopConfig.password", "type"),
    ("password", f"{CANARY}\n", "imapPopConfig.password", "invalid"),
    ("startTls", CANARY, "imapPopConfig.startTls", "invalid"),
    ("tlsOptions", CANARY, "imapPopConfig.tlsOptions", "type"),
]
CONFIG = [
    *(("smtp", *row) for row in SMTP_CONFIG),
    *(("imap_pop", *row) for row in IMAP_CONFIG),
]


def problems(answer: Result) -> list[tuple[str, str]]:
    assert answer.status_code == 400
    assert all(list(each) == ["path", "code", "message"] for each in answer.json["errors"])
    return [(each["path"], each["code"]) for each in answer.json["errors"]]


@pytest.mark.parametrize(("key", "value", "code"), PLAIN)
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_field_is_named_by_create_and_patch_without_its_value(  # noqa: PLR0917 - a row of the table
    world: World, admin: Caller, kind: str, key: str, value: object, code: str
) -> None:
    created = admin.post(PATHS[kind], {**world.body(kind), key: value})
    patched = admin.patch(path_of(world.monitor(kind)), {key: value})

    assert problems(created) == problems(patched) == [(key, code)]
    assert CANARY not in created.text + patched.text


@pytest.mark.parametrize(("kind", "key", "value", "path", "code"), CONFIG)
@pytest.mark.parametrize("alias", ["own", "config"])
def test_a_wrong_config_key_is_named_below_the_name_that_was_sent(  # noqa: PLR0917 - a row of the table
    world: World,
    admin: Caller,
    kind: str,
    key: str,
    value: object,
    path: str,
    code: str,
    alias: str,
) -> None:
    own, _, rest = path.partition(".")
    name = own if alias == "own" else "config"

    created = admin.post(PATHS[kind], {**world.body(kind), name: {key: value}})
    patched = admin.patch(path_of(world.monitor(kind)), {name: {key: value}})

    assert problems(created) == problems(patched) == [(f"{name}.{rest}", code)]
    assert CANARY not in created.text + patched.text


def test_every_wrong_field_is_named_at_once(admin: Caller) -> None:
    body = {
        "customerId": f"{CANARY}-customer",
        "hostname": f"https://{CANARY}/",
        "port": 70000,
        "status": CANARY,
        "checkInterval": CANARY,
        "timeoutSeconds": 0,
        "notificationEmail": CANARY,
        "notificationPhoneNumber": CANARY,
        "allowedCheckCountryCodes": [CANARY],
        "typo": CANARY,
        "smtpConfig": {
            "secure": CANARY,
            "ignoreTls": CANARY,
            "auth": {"user": {"x": CANARY}, "pass": f"{CANARY}\n"},
            "tlsOptions": {"rejectUnauthorized": CANARY},
        },
    }

    answer = admin.post(SMTP, body)

    assert sorted(problems(answer)) == [
        ("allowedCheckCountryCodes", "invalid"),
        ("checkInterval", "type"),
        ("customerId", "invalid"),
        ("hostname", "scheme"),
        ("name", "required"),
        ("notificationEmail", "invalid"),
        ("notificationPhoneNumber", "invalid"),
        ("port", "range"),
        ("smtpConfig.auth.pass", "invalid"),
        ("smtpConfig.auth.user", "type"),
        ("smtpConfig.ignoreTls", "type"),
        ("smtpConfig.secure", "type"),
        ("smtpConfig.tlsOptions.rejectUnauthorized", "type"),
        ("status", "invalid"),
        ("timeoutSeconds", "range"),
        ("typo", "unknown"),
    ]
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)


def test_an_empty_create_names_everything_that_is_required(admin: Caller) -> None:
    answer = admin.post(SMTP, {})

    assert sorted(problems(answer)) == [
        ("customerId", "required"),
        ("hostname", "required"),
        ("name", "required"),
    ]


def test_the_error_body_has_the_documented_keys_first(admin: Caller) -> None:
    answer = admin.post(SMTP, {"name": "x", "hostname": "a.example"})

    assert list(answer.json) == ["statusCode", "statusMessage", "message", "requestId", "errors"]
    assert answer.json["statusCode"] == 400
    assert answer.json["statusMessage"] == "Bad Request"
    assert answer.json["message"] == "Validation failed: 'customerId' is required"
    assert answer.json["requestId"] == answer.headers["x-request-id"]


def test_only_some_of_very_many_unknown_fields_are_compared_with_the_known_ones(
    admin: Caller,
) -> None:
    answer = admin.post(SMTP, {f"hostname{number}": 1 for number in range(MAX_COMPARED + 1)})

    unknown = [each["message"] for each in answer.json["errors"] if each["code"] == "unknown"]
    assert len(unknown) == MAX_COMPARED + 1
    assert sum("did you mean hostname?" in each for each in unknown) == MAX_COMPARED


def test_a_message_with_very_many_problems_is_cut_but_the_list_is_whole(admin: Caller) -> None:
    answer = admin.post(SMTP, {f"unknown{number}": 1 for number in range(500)})

    assert len(answer.json["message"]) == 1000
    assert len(answer.json["errors"]) == 503


@pytest.mark.parametrize(
    ("kind", "config", "path"),
    [
        ("smtp", {"ignoreTls": True, "requireTls": True}, "smtpConfig.ignoreTls"),
        ("smtp", {"ignoreTls": "true", "requireTls": 1}, "smtpConfig.ignoreTls"),
        ("imap_pop", {"tls": True, "startTls": "require"}, "imapPopConfig.startTls"),
        ("imap_pop", {"tls": 1, "startTls": "AUTO"}, "imapPopConfig.startTls"),
        (
            "imap_pop",
            {"protocol": "MANAGESIEVE", "mailbox": "INBOX"},
            "imapPopConfig.mailbox",
        ),
    ],
)
def test_a_config_that_contradicts_itself_is_400(
    world: World, admin: Caller, kind: str, config: dict[str, object], path: str
) -> None:
    own = path.partition(".")[0]

    created = admin.post(PATHS[kind], {**world.body(kind), own: config})
    patched = admin.patch(path_of(world.monitor(kind)), {own: config})

    assert problems(created) == problems(patched) == [(path, "contradiction")]


@pytest.mark.parametrize("kind", KINDS)
def test_two_different_configs_under_both_names_are_400(
    world: World, admin: Caller, kind: str
) -> None:
    own = "smtpConfig" if kind == "smtp" else "imapPopConfig"
    body = {**world.body(kind), own: {"x": CANARY}, "config": {"x": 2}}

    answer = admin.post(PATHS[kind], body)

    assert problems(answer) == [("config", "contradiction")]
    assert CANARY not in answer.text


@pytest.mark.parametrize("kind", KINDS)
def test_null_under_the_other_name_of_a_config_says_nothing(
    world: World, admin: Caller, kind: str
) -> None:
    own = "smtpConfig" if kind == "smtp" else "imapPopConfig"
    for given, other in ((own, "config"), ("config", own)):
        made = admin.post(PATHS[kind], {**world.body(kind), given: {"x": 1}, other: None})
        assert made.json[own] == {"x": 1}, made.json
        changed = admin.patch(
            f"{PATHS[kind]}/{made.json['publicId']}", {given: {"x": 2}, other: None}
        )
        assert changed.json[own] == {"x": 2}, changed.json


@pytest.mark.parametrize("value", [CANARY, 1, [], True])
def test_a_config_that_is_no_object_is_400(admin: Caller, world: World, value: object) -> None:
    answer = admin.post(SMTP, {**world.body(), "smtpConfig": value})

    assert problems(answer) == [("smtpConfig", "type")]


def test_a_config_above_16_kib_is_400_and_one_below_is_kept(world: World, admin: Caller) -> None:
    overhead = len(b'{"x":""}')
    fits = {"x": "y" * (16 * 1024 - overhead)}
    too_large = {"x": "y" * (16 * 1024 - overhead + 1)}

    assert admin.post(SMTP, world.body(config=fits)).json["config"] == fits
    assert problems(admin.post(SMTP, world.body(config=too_large))) == [("config", "too_large")]


def test_a_config_of_8_levels_is_kept_and_one_of_9_is_400(world: World, admin: Caller) -> None:
    eight: Any = 1
    for _ in range(8):
        eight = {"a": eight}

    assert admin.post(SMTP, world.body(config=eight)).json["config"] == eight
    assert problems(admin.post(SMTP, world.body(config={"a": eight}))) == [("config", "too_deep")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_kinds_config_is_an_unknown_field(world: World, admin: Caller, kind: str) -> None:
    other = "imapPopConfig" if kind == "smtp" else "smtpConfig"

    assert problems(admin.post(PATHS[kind], {**world.body(kind), other: {}})) == [
        (other, "unknown")
    ]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [(True, True), (1, True), ("true", True), ("TRUE", True), (0, False), ("false", False)],
)
def test_a_switch_is_coerced_and_null_is_kept(
    world: World,
    admin: Caller,
    sent: object,
    stored: bool,  # noqa: FBT001 - a row of the table
) -> None:
    answer = admin.post(SMTP, world.body(smtpConfig={"secure": sent, "ignoreTls": None}))

    assert json.dumps(answer.json["smtpConfig"]) == json.dumps(
        {"secure": stored, "ignoreTls": None}
    )


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("hostName", "hostname"),
        ("check_interval", "checkInterval"),
        ("smtpconfig", "smtpConfig"),
        ("customer_id", "customerId"),
        ("timeout", None),
    ],
)
def test_an_unknown_key_is_answered_with_what_it_may_mean(
    world: World, admin: Caller, key: str, meant: str | None
) -> None:
    path = path_of(world.monitor())

    wrong: dict[str, Any] = {key: CANARY}
    for answer in (admin.patch(path, wrong), admin.post(SMTP, world.body() | wrong)):
        (error,) = answer.json["errors"]
        hint = f"; did you mean {meant}?" if meant else ""
        assert (error["path"], error["code"]) == (key, "unknown")
        assert error["message"] == f"is not a known field{hint}"
        assert CANARY not in answer.text
