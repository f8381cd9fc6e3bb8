"""SCRAM by the examples of its RFCs, and what a server must not get away with."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from domain.check import Category
from mail.protocols.dialogue import BindChannel, DeriveKey, DrawNonce, ProbeFailed
from mail.protocols.sasl import Shows
from mail.protocols.scram import MAX_ITERATIONS, ScramExchange, prepare
from mail.protocols.target import Credentials

if TYPE_CHECKING:
    from collections.abc import Generator

    from mail.protocols.dialogue import Action
    from mail.protocols.sasl import Response

# RFC 5802 5, RFC 7677 3: nonce, server-first, client-final, server-final.
SHA_1 = (
    "sha1",
    b"fyko+d2lbbFgONRv9qkxdawL",
    b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
SHA_256 = (
    "sha256",
    b"rOprNGfwEbeRWgbNEkqO",
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    ),
    b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)
BINDING = b"tls-exporter\0the data of the binding"


class _Played:
    """Runs the steps of an exchange with a fixed nonce and binding."""

    def __init__(self, exchange: ScramExchange, nonce: bytes, binding: bytes = b"") -> None:
        self.exchange = exchange
        self._nonce = nonce
        self._binding = binding

    def run(self, steps: Generator[Action, bytes, Response | None]) -> Response | None:
        try:
            action = next(steps)
            while True:
                match action:
                    case BindChannel():
                        answer = self._binding
                    case DrawNonce():
                        answer = self._nonce
                    case DeriveKey():
                        name, rounds = action.hash_name, action.iterations
                        answer = hashlib.pbkdf2_hmac(name, action.password, action.salt, rounds)
                    case _:
                        raise AssertionError(action)
                action = steps.send(answer)
        except StopIteration as end:
            found: Response | None = end.value
            return found

    def first(self) -> bytes:
        response = self.run(self.exchange.initial())
        assert response is not None
        assert response.shows is Shows.USER
        return response.data

    def respond(self, challenge: bytes | None) -> bytes:
        response = self.run(self.exchange.respond(challenge))
        assert response is not None
        return response.data


def _exchange(
    hash_name: str = "sha256",
    *,
    user: str = "user",
    password: str = "pencil",
    plus: bool = False,
    server_offers_plus: bool = False,
) -> ScramExchange:
    return ScramExchange(
        hash_name,
        Credentials(user, password),
        plus=plus,
        server_offers_plus=server_offers_plus,
    )


@pytest.mark.parametrize("example", [SHA_1, SHA_256], ids=["RFC 5802", "RFC 7677"])
def test_the_example_of_the_rfc(example: tuple[str, bytes, bytes, bytes, bytes]) -> None:
    hash_name, nonce, server_first, client_final, server_final = example
    played = _Played(_exchange(hash_name), nonce)

    assert played.first() == b"n,,n=user,r=" + nonce
    assert played.respond(server_first) == client_final
    assert played.respond(server_final) == b""
    played.exchange.finish(None)
    assert played.run(played.exchange.respond(b"")) is None


def test_the_proof_may_come_with_the_acceptance() -> None:
    hash_name, nonce, server_first, _, server_final = SHA_256
    played = _Played(_exchange(hash_name), nonce)
    played.first()
    played.respond(server_first)

    played.exchange.finish(server_final)


@pytest.mark.parametrize(
    "final", [None, b"v=AAAA", b"v=not base64", b"e=other-error", b"nonsense", b""]
)
def test_acceptance_without_a_proof_is_a_failure(final: bytes | None) -> None:
    hash_name, nonce, server_first, _, _ = SHA_256
    played = _Played(_exchange(hash_name), nonce)
    played.first()
    played.respond(server_first)

    with pytest.raises(ProbeFailed) as caught:
        played.exchange.finish(final)
    assert caught.value.category is Category.AUTH_SERVER_UNPROVEN


def test_acceptance_before_anything_was_proved_is_a_failure() -> None:
    played = _Played(_exchange(), b"nonce")
    played.first()

    with pytest.raises(ProbeFailed) as caught:
        played.exchange.finish(b"v=AAAA")
    assert caught.value.category is Category.AUTH_SERVER_UNPROVEN


@pytest.mark.parametrize(
    ("plus", "offers_plus", "binding", "header"),
    [
        (False, False, b"", b"n,,"),
        (False, True, b"", b"n,,"),
        # The client could bind, and the server offers no binding: it may have been removed.
        (False, False, BINDING, b"y,,"),
        (False, True, BINDING, b"n,,"),
        (True, True, BINDING, b"p=tls-exporter,,"),
    ],
)
def test_the_header_says_how_the_login_is_bound(
    plus: bool,  # noqa: FBT001
    offers_plus: bool,  # noqa: FBT001
    binding: bytes,
    header: bytes,
) -> None:
    exchange = _exchange(plus=plus, server_offers_plus=offers_plus)
    played = _Played(exchange, b"nonce", binding)

    assert played.first() == header + b"n=user,r=nonce"
    final = played.respond(b"r=nonce+more,s=QSXCR+Q6sek8bf92,i=1")
    data = binding.partition(b"\0")[2] if plus else b""
    assert final.startswith(b"c=" + b64encode(header + data) + b",r=nonce+more,p=")


def test_a_user_name_is_escaped() -> None:
    played = _Played(_exchange(user="a=b,c"), b"nonce")

    assert played.first() == b"n,,n=a=3Db=2Cc,r=nonce"


@pytest.mark.parametrize(
    "server_first",
    [
        None,
        b"",
        b"r=nonce+,s=QSXC",
        b"r=nonce,s=QSXC,i=4096",
        b"r=other,s=QSXC,i=4096",
        b"r=nonce+\x1b[2J,s=QSXC,i=4096",
        b"m=ext,r=nonce+,s=QSXC,i=4096",
        b"r=nonce+,s=QSX,i=4096",
        b"r=nonce+,s=QSXC,i=0",
        b"r=nonce+,s=QSXC,i=%d" % (MAX_ITERATIONS + 1),
        b"r=nonce+,s=QSXC,i=1000000000",
        b"r=nonce+,s=QSXC,i=" + b"9" * 5000,
        b"r=nonce+,s=QSXC,i=-1",
        b"r=" + b"nonce" * 1000 + b",s=QSXC,i=1",
    ],
)
def test_a_hostile_first_message_ends_the_login(server_first: bytes | None) -> None:
    played = _Played(_exchange(), b"nonce")
    played.first()

    with pytest.raises(ProbeFailed) as caught:
        played.respond(server_first)
    assert caught.value.category is Category.PROTOCOL_ERROR
    assert len(caught.value.message) < 200


def test_an_error_in_place_of_the_first_message_is_only_acknowledged() -> None:
    played = _Played(_exchange(), b"nonce")
    played.first()

    response = played.run(played.exchange.respond(b"e=unknown-user"))

    assert response is not None
    assert (response.data, response.shows) == (b"", Shows.USER)
    assert played.run(played.exchange.respond(b"more")) is None


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("user", "user"),
        # The examples of RFC 4013 3.
        ("I\u00adX", "IX"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # Forbidden: a control character, and text that mixes directions.
        ("\u0007ü", "\u0007ü"),
        ("\u0627\u0031", "\u0627\u0031"),
        ("\u0627a\u0627", "\u0627a\u0627"),
        ("\u0627\u0031\u0627", "\u0627\u0031\u0627"),
        ("a\u00a0b", "a b"),
        ("\u00ad", "\u00ad"),
    ],
)
def test_a_text_is_prepared(text: str, prepared: str) -> None:
    assert prepare(text) == prepared
