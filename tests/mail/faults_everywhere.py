"""Fault cases that all protocols share: connections, limits, TLS and certificates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from domain.check import Category, Phase
from mail.protocols import PROTOCOLS
from tests.mail.fault_cases import (
    SHOP,
    FaultCase,
    await_hello,
    close,
    foreign_ciphers,
    half_close,
    old_tls,
    reset,
    tls,
    wants_client_certificate,
)
from tests.mailservers.scripted import steps

if TYPE_CHECKING:
    from mail.protocols.target import ProtocolName
    from tests.mailservers.certificates import ServerCertificate


_NOT: dict[ProtocolName, Category] = {
    "smtp": Category.NOT_SMTP,
    "imap": Category.NOT_IMAP,
    "pop3": Category.NOT_POP3,
    "managesieve": Category.NOT_MANAGESIEVE,
}
_STARTS: dict[ProtocolName, bytes] = {
    "smtp": b"220-",
    "imap": b"* OK ",
    "pop3": b"+OK ",
    "managesieve": b'"IMPLEMENTATION" "',
}

_PLAIN_REFUSALS: dict[ProtocolName, tuple[tuple[str, Category], ...]] = {
    "smtp": (
        ("421 mx.example: Too many concurrent SMTP connections", Category.GREETING_TEMPORARY),
        ("554 5.7.1 no service for you", Category.GREETING_REJECTED),
    ),
    "imap": (
        ("* BYE [UNAVAILABLE] later", Category.GREETING_TEMPORARY),
        ("* BYE not you", Category.GREETING_REJECTED),
    ),
    "pop3": (
        ("-ERR [SYS/TEMP] later", Category.GREETING_TEMPORARY),
        ("-ERR not you", Category.GREETING_REJECTED),
    ),
    "managesieve": (
        ('BYE (TRYLATER) "later"', Category.GREETING_TEMPORARY),
        ('NO "not you"', Category.GREETING_REJECTED),
    ),
}

_TLS_TALK = (b"220 mx\r\n", "EHLO", b"250 mx\r\n", "QUIT", b"221 bye\r\n")

_implicit = partial(FaultCase, protocol="smtp", tls="implicit")


def _greetings(protocol: ProtocolName) -> list[FaultCase]:
    at_greeting = partial(FaultCase, protocol=protocol, phase=Phase.GREETING)
    start = _STARTS[protocol]
    return [
        at_greeting(
            name="never greets",
            script=steps(),
            category=Category.TIMEOUT,
            says="no answer within 3 s; does the server expect TLS from the first byte, or a PROXY",
        ),
        at_greeting(
            name="greets with half a line",
            script=steps(start + b"a"),
            category=Category.TIMEOUT,
            says="the answer began and did not end within 3 s",
            reply=(start + b"a").decode(),
        ),
        at_greeting(
            name="sends the header of the PROXY protocol",
            script=steps(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
            category=_NOT[protocol],
            says="the answer is a PROXY protocol header, which is meant for servers, not ",
        ),
        *(
            at_greeting(
                name=f"refuses in clear on a port for TLS: {words}",
                script=steps(await_hello, words.encode() + b"\r\n", close),
                tls="implicit",
                category=category,
                says="greets with a",
                reply=words,
                hangs_up=True,
            )
            for words, category in _PLAIN_REFUSALS[protocol]
        ),
        at_greeting(
            name="sends a line over the limit",
            script=steps(start + b"x" * 100_000),
            category=Category.LINE_TOO_LONG,
        ),
        at_greeting(
            name="sends binary garbage",
            script=steps(bytes(range(256)) + b"\r\n"),
            category=_NOT[protocol],
        ),
        at_greeting(
            name="speaks HTTP",
            script=steps(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", close),
            category=_NOT[protocol],
            says="the answer is HTTP, not ",
        ),
        at_greeting(name="speaks SSH", script=steps(b"SSH-2.0-x\r\n"), category=_NOT[protocol]),
        at_greeting(name="sends an empty line", script=steps(b"\r\n"), category=_NOT[protocol]),
        at_greeting(
            name="closes before its greeting",
            script=steps(close),
            category=Category.CONNECTION_CLOSED,
        ),
        at_greeting(
            name="ends its side before its greeting",
            script=steps(half_close),
            category=Category.CONNECTION_CLOSED,
        ),
        at_greeting(
            name="closes within its greeting",
            script=steps(start + b"half", close),
            category=Category.CONNECTION_CLOSED,
            reply=(start + b"half").decode(),
        ),
        at_greeting(
            name="resets before its greeting",
            script=steps(reset),
            category=Category.CONNECTION_RESET,
        ),
        at_greeting(
            name="expects TLS from the first byte", script=tls(), category=Category.TIMEOUT
        ),
    ]


LIMITS = [
    FaultCase(
        name="greets without end",
        protocol="smtp",
        script=steps(b"220-more\r\n" * 200),
        category=Category.TOO_MANY_LINES,
        phase=Phase.GREETING,
    ),
    FaultCase(
        name="greets with too many bytes",
        protocol="smtp",
        script=steps((b"220-" + b"x" * 1900 + b"\r\n") * 60),
        category=Category.RESPONSE_TOO_LARGE,
        phase=Phase.GREETING,
    ),
]

HANDSHAKES = [
    _implicit(name="speaks TLS", script=steps(tls(), *_TLS_TALK)),
    _implicit(name="speaks TLS with RSA", script=steps(tls(SHOP.good_rsa), *_TLS_TALK)),
    _implicit(
        name="begins a refusal in clear on a port for TLS",
        script=steps(await_hello, b"421-busy\r\n", close),
        category=Category.TLS_NOT_TLS,
        phase=Phase.TLS,
        reply="421-busy",
    ),
    _implicit(
        name="never answers the handshake",
        script=steps(await_hello),
        category=Category.TIMEOUT,
        phase=Phase.TLS,
    ),
    _implicit(
        name="closes within the handshake",
        script=steps(await_hello, close),
        category=Category.TLS_CLOSED,
        phase=Phase.TLS,
    ),
    _implicit(
        name="resets within the handshake",
        script=steps(await_hello, reset),
        category=Category.CONNECTION_RESET,
        phase=Phase.TLS,
    ),
    _implicit(
        name="answers TLS in plaintext",
        script=steps(b"220 mx.example ESMTP\r\n"),
        category=Category.TLS_NOT_TLS,
        phase=Phase.TLS,
        reply="220 mx.example ESMTP",
    ),
    _implicit(
        name="answers TLS with HTTP",
        script=steps(await_hello, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        category=Category.TLS_NOT_TLS,
        phase=Phase.TLS,
    ),
    _implicit(
        name="knows TLS 1.0 only",
        script=old_tls,
        category=Category.TLS_VERSION_UNSUPPORTED,
        phase=Phase.TLS,
    ),
    _implicit(
        name="shares no cipher",
        script=foreign_ciphers,
        category=Category.TLS_HANDSHAKE_FAILED,
        phase=Phase.TLS,
    ),
    _implicit(
        name="wants a certificate of the client",
        script=steps(wants_client_certificate, *_TLS_TALK),
        category=Category.TLS_HANDSHAKE_FAILED,
        phase=Phase.TLS,
    ),
    _implicit(
        name="is silent after the handshake",
        script=steps(tls()),
        category=Category.TIMEOUT,
        phase=Phase.GREETING,
    ),
    _implicit(
        name="closes after the handshake",
        script=steps(tls(), close),
        category=Category.CONNECTION_CLOSED,
        phase=Phase.GREETING,
    ),
]

_CERTIFICATES: dict[str, tuple[ServerCertificate, Category]] = {
    "an expired certificate": (SHOP.expired, Category.CERT_EXPIRED),
    "a certificate of tomorrow": (SHOP.not_yet_valid, Category.CERT_NOT_YET_VALID),
    "another host's certificate": (SHOP.other_name, Category.CERT_HOSTNAME_MISMATCH),
    "a certificate of an unknown CA": (SHOP.unknown_ca, Category.CERT_UNTRUSTED),
    "no intermediate certificate": (SHOP.without_intermediate, Category.CERT_UNTRUSTED),
    "a self-signed certificate": (SHOP.self_signed, Category.CERT_SELF_SIGNED),
}

CERTIFICATES = [
    *(
        _implicit(
            name=f"has {what}",
            # Nothing may be sent to it any more: the login is there to prove that.
            login=True,
            script=steps(tls(certificate), b"220 mx\r\n"),
            category=category,
            phase=Phase.TLS,
        )
        for what, (certificate, category) in _CERTIFICATES.items()
    ),
    *(
        _implicit(
            name=f"has {what}, which is only reported",
            script=steps(tls(certificate), *_TLS_TALK),
            verify=False,
            warnings=(category.value,),
        )
        for what, (certificate, category) in _CERTIFICATES.items()
    ),
    _implicit(
        name="sends its intermediate certificate",
        script=steps(tls(SHOP.with_intermediate), *_TLS_TALK),
    ),
    _implicit(
        name="has a certificate that lives for days only",
        script=steps(tls(SHOP.short_lived), *_TLS_TALK),
    ),
    _implicit(
        name="has a certificate that expires soon",
        script=steps(tls(SHOP.expires_soon), *_TLS_TALK),
        warnings=("cert_expires_soon",),
    ),
]

CASES = [
    *(case for protocol in PROTOCOLS for case in _greetings(protocol)),
    *LIMITS,
    *HANDSHAKES,
    *CERTIFICATES,
]
