"""Tokens: their form, what is stored of them, and when they end."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.access_token import AccessToken, check_token, new_token, token_hash, token_hint
from domain.commands import IssueToken
from domain.errors import ConflictError, InvalidValueError
from tests.domain.given import CUSTOMER_ID, NOON, ORGANIZATION_ID, TESTER


def issued() -> AccessToken:
    command = IssueToken(
        ORGANIZATION_ID, CUSTOMER_ID, "Name", "readonly", new_token(), "2027-01-01T00:00:00.000Z"
    )
    return AccessToken.issue(3, command, actor=TESTER, now=NOON)


def test_a_new_token_has_its_prefix_and_is_acceptable() -> None:
    token = new_token()

    assert token.startswith("wsm_")
    assert check_token(token) == token
    assert new_token() != token


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("admin", "invalid"),
        ("WSM_" + "a" * 40, "invalid"),
        ("wsm_" + "ä" * 40, "invalid"),
        ("wsm_" + "a" * 40 + "\n", "invalid"),
        ("wsm_" + "a" * 27, "too_short"),
        ("wsm_" + "a" * 20 + " " + "a" * 20, "too_short"),
        ("wsm_" + "a" * 60, "weak"),
        ("wsm_" + "0123456789abcdefghijklmnopqrstuvwxyz", "weak"),
        ("wsm_" + "abcd1234" * 5, "weak"),
        ("wsm_" + "password" * 6, "weak"),
        ("wsm_" + "change-me" + "0" * 30, "weak"),
    ],
)
def test_a_chosen_token_that_is_weak_is_refused_without_being_repeated(
    token: str, code: str
) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        check_token(token)

    assert refusal.value.code == code
    assert token not in refusal.value.message


@given(st.binary(min_size=16, max_size=16))
@example(bytes(range(7, 7 + 16 * 13, 13)))
def test_random_digits_of_the_least_length_are_accepted(secret: bytes) -> None:
    # As random as what `openssl rand -hex 16` prints, whatever bytes the strategy prefers.
    token = "wsm_" + sha256(secret).hexdigest()[:32]

    assert check_token(token) == token


def test_the_hint_is_the_beginning_only() -> None:
    assert token_hint("wsm_abcdefghijkl") == "wsm_abcd..."


def test_an_issued_token_records_its_hash_and_never_itself() -> None:
    command = IssueToken(ORGANIZATION_ID, None, "Name", "user", f"wsm_{'c' * 40}")

    (event,) = AccessToken.issue(1, command, actor=TESTER, now=NOON).collect_events()

    assert type(event) is AccessToken.Created
    assert event.token_hash == token_hash(command.token)
    assert event.customer_id is None
    assert command.token not in f"{event!r} {command!r} {event.__dict__}"


def test_a_scoped_token_records_its_scope_and_end() -> None:
    token = issued()

    (event,) = token.collect_events()

    assert isinstance(event, AccessToken.Created)
    assert event.customer_id == str(CUSTOMER_ID)
    assert (event.role, event.expires_at) == ("readonly", "2027-01-01T00:00:00.000Z")
    assert (token.number, token.name, token.role, token.revoked) == (3, "Name", "readonly", False)


def test_a_token_is_revoked_once() -> None:
    token = issued()
    token.collect_events()

    token.revoke(actor=TESTER, now=NOON)

    (event,) = token.collect_events()
    assert type(event) is AccessToken.Revoked
    with pytest.raises(ConflictError):
        token.revoke(actor=TESTER, now=NOON)
    assert token.collect_events() == []
