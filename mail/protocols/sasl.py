"""The login mechanisms of SASL (RFC 4422), without the commands of a protocol around them.

PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), CRAM-MD5 (RFC 2195), XOAUTH2 and
OAUTHBEARER (RFC 7628); `mail.protocols.scram` has SCRAM. Responses and challenges are raw
bytes here; the protocols carry them in base64.
"""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from typing_extensions import override

from domain.check import Category
from mail.protocols.dialogue import ProbeFailed

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from mail.protocols.dialogue import Action
    from mail.protocols.target import Credentials


class Shows(IntEnum):
    """What a server knows after a response: enough to judge nothing, the user, the secret."""

    NOTHING = 0
    USER = 1
    SECRET = 2


@dataclass(frozen=True, slots=True)
class Response:
    """One response of a client, before base64."""

    data: bytes = field(repr=False)
    shows: Shows = Shows.SECRET


class Exchange(ABC):
    """One run of a mechanism."""

    @abstractmethod
    def initial(self) -> Generator[Action, bytes, Response | None]:
        """Return the response that needs no challenge, or None when the server begins."""

    @abstractmethod
    def respond(self, challenge: bytes | None) -> Generator[Action, bytes, Response | None]:
        """Return the response to a challenge, or None when the mechanism has none left.

        The challenge is None when it was no base64. Raises ProbeFailed for one that breaks
        the rules of the mechanism.
        """

    def finish(self, data: bytes | None) -> None:  # noqa: B027 (most mechanisms have no proof)
        """Take the server's acceptance, and what it sends with it.

        Raises ProbeFailed when the server had to prove that it knows the password and did not.
        """


class _FixedExchange(Exchange):
    """A mechanism whose responses do not depend on what the server says."""

    def __init__(self, responses: Iterator[Response], *, client_begins: bool) -> None:
        self._responses = responses
        self._client_begins = client_begins

    @override
    def initial(self) -> Generator[Action, bytes, Response | None]:
        yield from ()
        return next(self._responses, None) if self._client_begins else None

    @override
    def respond(self, challenge: bytes | None) -> Generator[Action, bytes, Response | None]:
        yield from ()
        return next(self._responses, None)


class _CramMd5(Exchange):
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._is_done = False

    @override
    def initial(self) -> Generator[Action, bytes, Response | None]:
        yield from ()
        return None

    @override
    def respond(self, challenge: bytes | None) -> Generator[Action, bytes, Response | None]:
        yield from ()
        if self._is_done:
            return None
        self._is_done = True
        if challenge is None:
            raise malformed("the login challenge is not base64")
        digest = hmac.new(self._credentials.password.encode(), challenge, "md5").hexdigest()
        return Response(f"{self._credentials.user} {digest}".encode())


def plain(credentials: Credentials) -> Exchange:
    """PLAIN: all at once."""
    response = Response(f"\0{credentials.user}\0{credentials.password}".encode())
    return _FixedExchange(iter((response,)), client_begins=True)


def login(credentials: Credentials) -> Exchange:
    """LOGIN: the user, then the password. What the server asks does not count."""
    user = Response(credentials.user.encode(), Shows.USER)
    responses = (user, Response(credentials.password.encode()))
    return _FixedExchange(iter(responses), client_begins=False)


def cram_md5(credentials: Credentials) -> Exchange:
    """CRAM-MD5: a digest of a challenge."""
    return _CramMd5(credentials)


def xoauth2(credentials: Credentials) -> Exchange:
    """XOAUTH2: a token; an empty response acknowledges the details of a refusal."""
    text = f"user={credentials.user}\x01auth=Bearer {credentials.access_token}\x01\x01"
    responses = (Response(text.encode()), Response(b""))
    return _FixedExchange(iter(responses), client_begins=True)


def oauthbearer(credentials: Credentials) -> Exchange:
    """OAUTHBEARER: a token; a single ^A acknowledges the details of a refusal (RFC 7628 3.2.3)."""
    user = credentials.user.replace("=", "=3D").replace(",", "=2C")
    text = f"n,a={user},\x01auth=Bearer {credentials.access_token}\x01\x01"
    responses = (Response(text.encode()), Response(b"\x01"))
    return _FixedExchange(iter(responses), client_begins=True)


def malformed(message: str, words: bytes | None = None) -> ProbeFailed:
    """Return the failure of a server that breaks the rules of a mechanism."""
    return ProbeFailed(Category.PROTOCOL_ERROR, message, reply=words)
