"""SCRAM-SHA-256 and SCRAM-SHA-1, with and without channel binding (RFC 5802, RFC 7677).

The client proves that it knows the password without showing it, and the server proves the
same to the client. Everything that a server sends is checked before it is used: a hostile one
could ask for a billion rounds of hashing.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import stringprep
import unicodedata
from base64 import b64decode, b64encode
from enum import Enum
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from domain.check import Category
from mail.protocols.dialogue import BindChannel, DeriveKey, DrawNonce, ProbeFailed
from mail.protocols.sasl import Exchange, Response, Shows, malformed

if TYPE_CHECKING:
    from collections.abc import Generator

    from mail.protocols.dialogue import Action
    from mail.protocols.target import Credentials


MAX_ITERATIONS: Final = 600_000
"""More rounds than any server is known to ask for; servers choose 4,096 to 100,000."""

# RFC 5802 7: the nonce, the salt and the rounds, in this order; extensions may follow.
_SERVER_FIRST: Final = re.compile(
    rb"r=(?P<nonce>[\x21-\x2b\x2d-\x7e]{1,512}),s=(?P<salt>[A-Za-z0-9+/=]{1,512})"
    rb",i=(?P<rounds>[0-9]{1,12})(?:,.*)?",
    re.DOTALL,
)
_SERVER_FINAL: Final = re.compile(rb"v=([A-Za-z0-9+/=]{1,512})(?:,.*)?", re.DOTALL)
_SERVER_ERROR: Final = re.compile(rb"e=([^,]{1,100})(?:,.*)?", re.DOTALL)


class _Step(Enum):
    """Which message of the server comes next."""

    FIRST = "server-first"
    FINAL = "server-final"
    NONE = "none"


class ScramExchange(Exchange):
    """One login by SCRAM. `hash_name` is a name of hashlib.

    `server_offers_plus` says whether the server lists the mechanism with channel binding;
    if it does not although the connection could be bound, an attacker may have removed it
    from the list, and the server finds that out (RFC 5802 6).
    """

    def __init__(
        self, hash_name: str, credentials: Credentials, *, plus: bool, server_offers_plus: bool
    ) -> None:
        self._hash_name = hash_name
        self._password = prepare(credentials.password).encode()
        self._user = prepare(credentials.user).replace("=", "=3D").replace(",", "=2C").encode()
        self._plus = plus
        self._server_offers_plus = server_offers_plus
        self._step = _Step.FIRST
        self._gs2_header = b"n,,"
        self._binding_data = b""
        self._nonce = b""
        self._server_signature = b""
        self._is_proven = False

    @override
    def initial(self) -> Generator[Action, bytes, Response | None]:
        kind, _, data = (yield BindChannel()).partition(b"\0")
        if self._plus:
            self._gs2_header, self._binding_data = b"p=%b,," % kind, data
        elif kind and not self._server_offers_plus:
            self._gs2_header = b"y,,"
        self._nonce = yield DrawNonce()
        return Response(self._gs2_header + self._client_first_bare, Shows.USER)

    @property
    def _client_first_bare(self) -> bytes:
        return b"n=%b,r=%b" % (self._user, self._nonce)

    @override
    def respond(self, challenge: bytes | None) -> Generator[Action, bytes, Response | None]:
        if self._step is _Step.NONE:
            return None
        if challenge is None:
            raise malformed("the login challenge is not base64")
        if self._step is _Step.FIRST:
            return (yield from self._prove(challenge))
        self._step = _Step.NONE
        self._judge_final(challenge)
        return Response(b"", Shows.SECRET)

    def _prove(self, server_first: bytes) -> Generator[Action, bytes, Response | None]:
        if _SERVER_ERROR.fullmatch(server_first):
            # The server ends the exchange by its reply.
            self._step = _Step.NONE
            return Response(b"", Shows.USER)
        nonce, salt, rounds = self._read_first(server_first)
        salted = yield DeriveKey(self._hash_name, self._password, salt, rounds)
        binding = b64encode(self._gs2_header + self._binding_data)
        without_proof = b"c=%b,r=%b" % (binding, nonce)
        signed = b",".join((self._client_first_bare, server_first, without_proof))
        client_key = self._hmac(salted, b"Client Key")
        stored_key = hashlib.new(self._hash_name, client_key).digest()
        signature = self._hmac(stored_key, signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._server_signature = self._hmac(self._hmac(salted, b"Server Key"), signed)
        self._step = _Step.FINAL
        return Response(b"%b,p=%b" % (without_proof, b64encode(proof)))

    def _read_first(self, words: bytes) -> tuple[bytes, bytes, int]:
        found = _SERVER_FIRST.fullmatch(words)
        if found is None:
            raise malformed("the first message of the server is not SCRAM", words)
        nonce, rounds = found["nonce"], int(found["rounds"])
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise malformed("the server does not add to the nonce of the client", words)
        salt = _decode(found["salt"])
        if salt is None:
            raise malformed("the salt of the server is not base64", words)
        if not 1 <= rounds <= MAX_ITERATIONS:
            raise malformed(
                f"the server asks for {rounds} rounds of hashing; at most {MAX_ITERATIONS} are done"
            )
        return nonce, salt, rounds

    def _judge_final(self, words: bytes) -> None:
        error = _SERVER_ERROR.fullmatch(words)
        if error is not None:
            if b"channel" in error[1]:
                raise ProbeFailed(
                    Category.AUTH_SERVER_UNPROVEN,
                    "the server refuses the binding of the login to this TLS connection, so "
                    "something between may answer in its place",
                    quoted=error[1],
                )
            return
        found = _SERVER_FINAL.fullmatch(words)
        signature = _decode(found[1]) if found else None
        if signature is None or not hmac.compare_digest(signature, self._server_signature):
            raise unproven()
        self._is_proven = True

    @override
    def finish(self, data: bytes | None) -> None:
        if data is not None and self._step is _Step.FINAL:
            self._judge_final(data)
        if not self._is_proven:
            raise unproven()

    def _hmac(self, key: bytes, text: bytes) -> bytes:
        return hmac.digest(key, text, self._hash_name)


def unproven() -> ProbeFailed:
    """Return the failure of a server that cannot prove that it knows the password."""
    return ProbeFailed(
        Category.AUTH_SERVER_UNPROVEN,
        "the server does not prove that it knows the password (SCRAM), so it may not be the "
        "server that it claims to be",
    )


def _decode(text: bytes) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def prepare(text: str) -> str:
    """Return a user name or password as SASLprep wants it (RFC 4013).

    A text that SASLprep forbids is returned unchanged: a server that stored it did not
    prepare it either.
    """
    if text.isascii():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(each) else each
        for each in text
        if not stringprep.in_table_b1(each)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    is_forbidden = any(test(each) for each in prepared for test in _PROHIBITED)
    return text if is_forbidden or not prepared or _mixes_directions(prepared) else prepared


def _mixes_directions(text: str) -> bool:
    """Return whether a text breaks the rule for right-to-left scripts (RFC 3454 6)."""
    if not any(map(stringprep.in_table_d1, text)):
        return False
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return not ends or any(map(stringprep.in_table_d2, text))
