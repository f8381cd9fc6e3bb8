"""The login mechanisms: what is answered to which challenge, before base64.

PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), CRAM-MD5 (RFC 2195), XOAUTH2 (where
the password is an access token). Knows no protocol: SMTP, IMAP and POP3 wrap the same.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from domain.check import Category
from mail.protocols.dialogue import ProbeFailed

if TYPE_CHECKING:
    from collections.abc import Collection


Answer: TypeAlias = Callable[[str, str, bytes], bytes]
"""From user, password and decoded challenge to the answer."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One way to log in. `initial` says that the first answer needs no challenge."""

    name: bytes
    answers: tuple[Answer, ...]
    initial: bool = False
    reveals_password: bool = True


def _plain(user: str, password: str, _challenge: bytes) -> bytes:
    return f"\0{user}\0{password}".encode()


def _user(user: str, _password: str, _challenge: bytes) -> bytes:
    return user.encode()


def _password(_user: str, password: str, _challenge: bytes) -> bytes:
    return password.encode()


def _cram_md5(user: str, password: str, challenge: bytes) -> bytes:
    digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    return f"{user} {digest}".encode()


def _xoauth2(user: str, token: str, _challenge: bytes) -> bytes:
    return f"user={user}\x01auth=Bearer {token}\x01\x01".encode()


PLAIN = Mechanism(b"PLAIN", (_plain,), initial=True)
LOGIN = Mechanism(b"LOGIN", (_user, _password))
CRAM_MD5 = Mechanism(b"CRAM-MD5", (_cram_md5,), reveals_password=False)
XOAUTH2 = Mechanism(b"XOAUTH2", (_xoauth2,), initial=True)

# The order of the clients that our users compare us with. PLAIN comes first because a
# server that offers CRAM-MD5 often cannot do it: it would need the password in clear.
_PREFERENCE = (PLAIN, LOGIN, CRAM_MD5, XOAUTH2)


def choose(offered: Collection[bytes]) -> Mechanism | None:
    """Return the mechanism to use, or None when no offered one (upper case) is known."""
    return next((each for each in _PREFERENCE if each.name in offered), None)


def encode(answer: bytes) -> bytes:
    """Return an answer as it goes over the wire (RFC 4648 section 4)."""
    return b64encode(answer)


def decode(challenge: bytes) -> bytes:
    """Return the challenge that a server sent in base64.

    Raises:
        ProbeFailed: It is not base64.
    """
    try:
        return b64decode(challenge, validate=True)
    except (binascii.Error, ValueError):
        raise ProbeFailed(
            Category.PROTOCOL_ERROR, "the login challenge is not base64", reply=challenge
        ) from None
