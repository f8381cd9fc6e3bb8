"""The table of kinds: complete, and the same wherever a kind is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from domain.errors import InvalidValueError
from domain.kinds import (
    KIND_OF_PROTOCOL,
    KINDS,
    MAX_CREDENTIAL_LENGTH,
    Choice,
    ConfigField,
    Flag,
    Kind,
    MonitorKind,
    Text,
)
from mail.protocols import PROTOCOLS

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def _field(kind: MonitorKind, path: tuple[str, ...]) -> object:
    field: Any = kind.config
    for key in path:
        field = field[key]
    return field


def test_every_kind_and_every_protocol_has_an_entry() -> None:
    assert set(KINDS) == set(get_args(Kind))
    assert set(KIND_OF_PROTOCOL) == set(PROTOCOLS)


@every_kind
def test_the_login_is_made_of_known_keys(kind: MonitorKind) -> None:
    assert isinstance(_field(kind, kind.secret_path), Text)
    assert isinstance(_field(kind, kind.user_path), Text)


@every_kind
def test_a_config_without_a_word_about_encryption_is_usable(kind: MonitorKind) -> None:
    assert kind.connection_settings({}).protocol == kind.protocols[0]


@every_kind
def test_a_config_can_choose_every_protocol_of_its_kind(kind: MonitorKind) -> None:
    choice = kind.config.get("protocol")
    words = choice.words if isinstance(choice, Choice) else ()
    found = [kind.connection_settings({"protocol": word}).protocol for word in words]
    assert (tuple(found) or kind.protocols[:1]) == kind.protocols


@every_kind
def test_every_key_of_a_config_is_described(kind: MonitorKind) -> None:
    todo = [kind.config]
    while todo:
        for field in todo.pop().values():
            if isinstance(field, Mapping):
                todo.append(field)
            else:
                assert field.description.endswith(".")


def test_names_of_kinds_are_distinct() -> None:
    for name in ("resource", "label", "path", "config_key", "timing_key"):
        assert len({getattr(kind, name) for kind in KINDS.values()}) == len(KINDS)


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        ("smtp", {}, ("smtp", "auto")),
        ("smtp", {"secure": True, "requireTls": True}, ("smtp", "implicit")),
        ("smtp", {"requireTls": True, "ignoreTls": True}, ("smtp", "require")),
        ("smtp", {"ignoreTls": True}, ("smtp", "never")),
        ("imap_pop", {}, ("imap", "never")),
        ("imap_pop", {"protocol": "pop3", "startTls": "auto"}, ("pop3", "auto")),
        ("imap_pop", {"protocol": "unknown", "startTls": "require"}, ("imap", "require")),
        ("imap_pop", {"tls": True, "startTls": "require"}, ("imap", "implicit")),
    ],
)
def test_a_config_says_how_to_connect(
    kind: Kind, config: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert KINDS[kind].connection_settings(config) == expected


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        (Text("A text."), 5, "type"),
        (Text("A text."), "a\r\nQUIT", "invalid"),
        (Text("A text."), "x" * (MAX_CREDENTIAL_LENGTH + 1), "too_long"),
        (Choice(("one", "two"), "A word."), "three", "invalid"),
        (Choice(("one", "two"), "A word."), None, "invalid"),
        (Flag("A flag."), "yes", "type"),
        (Flag("A flag."), 2, "type"),
    ],
)
def test_a_wrong_value_of_a_config_key_is_refused(
    field: ConfigField, value: object, code: str
) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        field.parse(value)

    assert refusal.value.code == code
    assert str(value) not in refusal.value.message
