"""The login mechanisms of SASL. Each protocol sends their responses in its own commands.

PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), CRAM-MD5 (RFC 2195), XOAUTH2 (where
the password is an access token). Responses and challenges are in base64 (RFC 4648 4).
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


Response: TypeAlias = Callable[[str, str, bytes], bytes]
"""From user, password and decoded challenge to the response, before base64."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One way to log in: the responses in their order.

    `initial` says that the first response needs no challenge. `reads_challenge` says that
    the challenge counts: it is not decoded for the others, because servers send anything.
    """

    name: bytes
    responses: tuple[Response, ...]
    initial: bool = False
    reads_challenge: bool = False
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
CRAM_MD5 = Mechanism(b"CRAM-MD5", (_cram_md5,), reads_challenge=True, reveals_password=False)
XOAUTH2 = Mechanism(b"XOAUTH2", (_xoauth2,), initial=True)

# The order that common mail clients use. PLAIN comes before CRAM-MD5, because many servers
# offer CRAM-MD5 without storing the clear password that it needs.
_PREFERENCE = (PLAIN, LOGIN, CRAM_MD5, XOAUTH2)


def choose(offered: Collection[bytes]) -> Mechanism | None:
    """Return the mechanism to use, or None when no offered one (upper case) is known."""
    return next((each for each in _PREFERENCE if each.name in offered), None)


class Exchange:
    """A running login: returns the responses of a mechanism, one after the other (RFC 4422 3)."""

    def __init__(self, mechanism: Mechanism, user: str, password: str) -> None:
        self._mechanism = mechanism
        self._user = user
        self._password = password
        self._left = list(mechanism.responses)

    @property
    def has_response(self) -> bool:
        """Whether the mechanism has a response left."""
        return bool(self._left)

    def respond(self, challenge: bytes = b"") -> bytes:
        """Return the next response, in base64, to a challenge in base64.

        Raises:
            ProbeFailed: The mechanism reads the challenge, and it is not base64.
        """
        decoded = _decode(challenge) if self._mechanism.reads_challenge else b""
        return b64encode(self._left.pop(0)(self._user, self._password, decoded))


def plain_response(user: str, password: str) -> bytes:
    """Return the only response of PLAIN, in base64."""
    return Exchange(PLAIN, user, password).respond()


def _decode(challenge: bytes) -> bytes:
    try:
        return b64decode(challenge, validate=True)
    except (binascii.Error, ValueError):
        raise ProbeFailed(
            Category.PROTOCOL_ERROR, "the login challenge is not base64", reply=challenge
        ) from None
