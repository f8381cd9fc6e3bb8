"""The place of the secret in a config, and when a stored secret is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain import mail_config
from domain.errors import InvalidInputError
from domain.kinds import MASK

if TYPE_CHECKING:
    from domain.kinds import Kind


SMTP_STORED = {"auth": {"user": "u", "pass": "SEALED"}}
IMAP_STORED = {"user": "u", "password": "SEALED"}


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
def test_a_secret_is_in_its_documented_place(
    kind: Kind, config: dict[str, Any], secret: str | None, user: str | None
) -> None:
    assert mail_config.read_secret(kind, config) == secret
    assert mail_config.read_user(kind, config) == user


def test_masking_changes_the_secret_alone_and_not_the_original() -> None:
    config = {"x": 1, "auth": {"user": "u", "pass": "p", "y": 2}, "z": 3}

    masked = mail_config.mask_secret("smtp", config)

    assert list(masked) == ["x", "auth", "z"]
    assert masked["auth"] == {"user": "u", "pass": MASK, "y": 2}
    assert config["auth"] == {"user": "u", "pass": "p", "y": 2}
    assert mail_config.mask_secret("imap_pop", {"tls": True}) == {"tls": True}


@pytest.mark.parametrize(
    ("kind", "sent", "stored", "expected", "kept"),
    [
        ("smtp", {"auth": {"user": "u", "pass": MASK}}, SMTP_STORED, SMTP_STORED, True),
        ("smtp", {"auth": {"user": "u"}}, SMTP_STORED, SMTP_STORED, True),
        ("imap_pop", {"user": "u", "password": MASK}, IMAP_STORED, IMAP_STORED, True),
        ("imap_pop", {"user": "u"}, IMAP_STORED, IMAP_STORED, True),
        ("smtp", {"auth": {"user": "v"}}, SMTP_STORED, {"auth": {"user": "v"}}, False),
        (
            "smtp",
            {"auth": {"user": "u", "pass": None}},
            SMTP_STORED,
            {"auth": {"user": "u", "pass": None}},
            False,
        ),
        ("smtp", {"auth": {"user": ""}}, SMTP_STORED, {"auth": {"user": ""}}, False),
        ("smtp", {"auth": None}, SMTP_STORED, {"auth": None}, False),
        ("smtp", {}, SMTP_STORED, {}, False),
        ("imap_pop", {"user": "u"}, {"user": "u"}, {"user": "u"}, False),
        ("imap_pop", {"user": "u", "password": "n"}, IMAP_STORED, None, False),
    ],
)
def test_the_stored_secret_is_kept_for_the_mask_and_for_the_same_user(
    kind: Kind,
    sent: dict[str, Any],
    stored: dict[str, Any],
    expected: dict[str, Any] | None,
    kept: bool,  # noqa: FBT001 - a row of the table
) -> None:
    assert mail_config.keep_stored_secret(kind, sent, stored) == (expected or sent, kept)


@pytest.mark.parametrize(
    ("kind", "sent", "path"),
    [
        ("smtp", {"auth": {"user": "u", "pass": MASK}}, "auth.pass"),
        ("imap_pop", {"user": "u", "password": MASK}, "password"),
    ],
)
def test_the_mask_of_nothing_is_refused(kind: Kind, sent: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        mail_config.keep_stored_secret(kind, sent, {})

    assert [(each.path, each.code) for each in refusal.value.problems] == [(path, "masked")]
