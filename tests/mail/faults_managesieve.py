"""Fault cases of ManageSieve: greeting, STARTTLS, login and LOGOUT."""

from __future__ import annotations

from base64 import b64encode
from functools import partial

from domain.check import Category, Phase
from tests.mail.fault_cases import PASSWORD, USER, FaultCase, close, tls
from tests.mailservers.scripted import Peer, Script, steps

OK = b"OK\r\n"
LEAVE = ("LOGOUT", b'OK "bye"\r\n')
SERVE = ("NOOP", OK, *LEAVE)
RESPONSE = b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
LONG_PASSWORD = "canary-" + "x" * 1000


def _capable(*capabilities: str, sasl: str | None = "PLAIN") -> bytes:
    lines = ['"IMPLEMENTATION" "test"', '"SIEVE" "fileinto"', '"VERSION" "1.0"', *capabilities]
    lines += [f'"SASL" "{sasl}"'] if sasl is not None else []
    return "\r\n".join((*lines, 'OK "ready"', "")).encode()


HI = _capable()
HI_STARTTLS = _capable('"STARTTLS"')
TO_LOGIN = (HI, f'AUTHENTICATE "PLAIN" "{RESPONSE}"')

_sieve = partial(FaultCase, protocol="managesieve")
_login = partial(
    FaultCase, protocol="managesieve", tls="never", login=True, warnings=("password_in_clear",)
)


def _take_literal(peer: Peer) -> None:
    """Read a response that is sent as a literal because it is too long to be quoted."""
    announced = peer.expect('AUTHENTICATE "PLAIN" {')
    expected = b64encode(f"\0{USER}\0{LONG_PASSWORD}".encode())
    if announced.strip() != b'AUTHENTICATE "PLAIN" {%d+}' % len(expected):
        raise AssertionError(f"the client announced {announced!r}")
    if peer.read_line().strip() != expected:
        raise AssertionError("the client sent another response")


GREETINGS = [
    _sieve(name="greets and takes leave", script=steps(HI, *LEAVE), warnings=("plaintext",)),
    _sieve(
        name="greets in lower case, with LF",
        script=steps(b'"implementation" "x"\n"sasl" "plain"\nok\n', "LOGOUT", b"ok\n"),
        warnings=("plaintext",),
    ),
    _sieve(
        name="greets with literals",
        script=steps(
            b'{14}\r\nIMPLEMENTATION {10}\r\nwith "\r\n\\"\r\n',
            b'"SIEVE" {0}\r\n\r\n',
            b"OK {5}\r\nhello\r\n",
            *LEAVE,
        ),
        warnings=("plaintext",),
    ),
    _sieve(
        name="greets with escaped quotes",
        script=steps(b'"IMPLEMENTATION" "a \\"b\\" \\\\"\r\nOK "\\"{9}"\r\n', *LEAVE),
        warnings=("plaintext",),
    ),
    *(
        _sieve(
            name=f"greets with {words}",
            script=steps(f"{words}\r\n".encode(), close),
            hangs_up=True,
            category=category,
            phase=Phase.GREETING,
        )
        for words, category in (
            ('NO "not you"', Category.GREETING_REJECTED),
            ('BYE "too many"', Category.GREETING_TEMPORARY),
            ('BYE (REFERRAL "sieve://other.example") "go there"', Category.GREETING_REJECTED),
            ('BYE (TRYLATER) "later"', Category.GREETING_TEMPORARY),
            ('NO (TRYLATER) "later"', Category.GREETING_TEMPORARY),
            ("OK", Category.NOT_MANAGESIEVE),
            ("OK MPD 0.23.5", Category.NOT_MANAGESIEVE),
            ("* OK IMAP4rev1 ready", Category.NOT_MANAGESIEVE),
            ('"IMPLEMENTATION" "no end', Category.NOT_MANAGESIEVE),
            ("(", Category.NOT_MANAGESIEVE),
        )
    ),
    _sieve(
        name="lists capabilities without end",
        script=steps(b'"X-MORE" "x"\r\n' * 200),
        category=Category.TOO_MANY_LINES,
        phase=Phase.GREETING,
    ),
    _sieve(
        name="lists literals without end",
        script=steps(b'"X-MORE" {0}\r\n\r\n' * 200),
        category=Category.TOO_MANY_LINES,
        phase=Phase.GREETING,
    ),
    _sieve(
        name="announces a huge literal",
        script=steps(b'"SIEVE" {4294967295}\r\nxxx'),
        category=Category.RESPONSE_TOO_LARGE,
        phase=Phase.GREETING,
    ),
    _sieve(
        name="announces a literal of a thousand digits",
        script=steps(b'"SIEVE" {' + b"9" * 1000 + b"}\r\n"),
        category=Category.RESPONSE_TOO_LARGE,
        phase=Phase.GREETING,
    ),
    _sieve(
        name="sends literals that are too large together",
        script=steps((b'"SIEVE" {9000}\r\n' + b"x" * 9000 + b"\r\n") * 10),
        category=Category.RESPONSE_TOO_LARGE,
        phase=Phase.GREETING,
    ),
    _sieve(
        name="stalls within a literal",
        script=steps(b'"SIEVE" {100}\r\nhalf'),
        category=Category.TIMEOUT,
        phase=Phase.GREETING,
    ),
    _sieve(
        name="closes within a literal",
        script=steps(b'"SIEVE" {100}\r\nhalf', close),
        category=Category.CONNECTION_CLOSED,
        phase=Phase.GREETING,
    ),
]

STARTTLS = [
    _sieve(
        name="upgrades",
        script=steps(HI_STARTTLS, "STARTTLS", OK, tls(), HI, "AUTHENTICATE", OK, *SERVE),
        login=True,
    ),
    _sieve(
        name="allows a login after STARTTLS only",
        script=steps(
            _capable('"STARTTLS"', sasl=""),
            "STARTTLS",
            b'OK "go"\r\n',
            tls(),
            HI,
            "AUTHENTICATE",
            OK,
            *SERVE,
        ),
        tls="require",
        login=True,
    ),
    _sieve(
        name="offers logins before STARTTLS that it does not offer after it",
        script=steps(HI_STARTTLS, "STARTTLS", OK, tls(), _capable(sasl="GSSAPI")),
        login=True,
        category=Category.AUTH_UNAVAILABLE,
        phase=Phase.AUTH,
    ),
    _sieve(
        name="does not offer STARTTLS, TLS required",
        script=steps(HI),
        tls="require",
        login=True,
        category=Category.STARTTLS_UNAVAILABLE,
        phase=Phase.STARTTLS,
    ),
    _sieve(
        name="refuses STARTTLS",
        script=steps(HI_STARTTLS, "STARTTLS", b'NO "not now"\r\n'),
        category=Category.STARTTLS_REJECTED,
        phase=Phase.STARTTLS,
    ),
    _sieve(
        name="closes the service at STARTTLS",
        script=steps(HI_STARTTLS, "STARTTLS", b'BYE "down"\r\n'),
        category=Category.SERVICE_UNAVAILABLE,
        phase=Phase.STARTTLS,
    ),
    _sieve(
        name="sends plaintext after the go-ahead",
        script=steps(HI_STARTTLS, "STARTTLS", OK + HI),
        category=Category.STARTTLS_INJECTION,
        phase=Phase.TLS,
    ),
    _sieve(
        name="lists nothing after STARTTLS",
        script=steps(HI_STARTTLS, "STARTTLS", OK, tls()),
        category=Category.TIMEOUT,
        phase=Phase.CAPABILITY,
    ),
    _sieve(
        name="refuses to list capabilities after STARTTLS",
        script=steps(HI_STARTTLS, "STARTTLS", OK, tls(), b"NO\r\n"),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.CAPABILITY,
    ),
    _sieve(
        name="closes the service after STARTTLS",
        script=steps(HI_STARTTLS, "STARTTLS", OK, tls(), b"BYE\r\n"),
        category=Category.SERVICE_UNAVAILABLE,
        phase=Phase.CAPABILITY,
    ),
    _sieve(
        name="lists capabilities without end after STARTTLS",
        script=steps(HI_STARTTLS, "STARTTLS", OK, tls(), b'"X-MORE"\r\n' * 200),
        category=Category.TOO_MANY_LINES,
        phase=Phase.CAPABILITY,
    ),
    _sieve(
        name="speaks TLS from the first byte",
        script=steps(tls(), HI, "AUTHENTICATE", OK, *SERVE),
        tls="implicit",
        login=True,
    ),
]


def _in_steps(mechanism: str, *parts: bytes | str | Script) -> Script:
    return steps(_capable(sasl=mechanism), f'AUTHENTICATE "{mechanism}"', *parts)


LOGINS = [
    _login(name="lets in with PLAIN", script=steps(*TO_LOGIN, b'OK "in"\r\n', *SERVE)),
    _login(
        name="takes a long response as a literal",
        script=steps(HI, _take_literal, OK, *SERVE),
        password=LONG_PASSWORD,
    ),
    _login(
        name="lets in with LOGIN",
        script=_in_steps(
            "LOGIN",
            b'"VXNlcm5hbWU6"\r\n',
            '"YWxpY2VAZXhhbXBsZS5vcmc="',
            b"{12}\r\nUGFzc3dvcmQ6\r\n",
            '"Y2FuYXJ5LVBhc3N3MHJk"',
            OK,
            *SERVE,
        ),
    ),
    _login(
        name="lets in with CRAM-MD5",
        script=_in_steps(
            "CRAM-MD5",
            b'"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"\r\n',
            # The example of RFC 2195 section 2.
            '"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"',
            OK,
            *SERVE,
        ),
        user="tim",
        password="tanstaaftanstaaf",
        warnings=(),
    ),
    _login(
        name="sends a CRAM-MD5 challenge that is not base64",
        script=_in_steps("CRAM-MD5", b'"<1@x>"\r\n', '"*"', b"NO\r\n"),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.AUTH,
        warnings=(),
    ),
    _login(
        name="asks on after PLAIN and is told to stop",
        script=steps(*TO_LOGIN, b'""\r\n', '"*"', b'NO "cancelled"\r\n'),
        category=Category.AUTH_FAILED,
        phase=Phase.AUTH,
    ),
    _login(
        name="asks without end",
        script=steps(*TO_LOGIN, b'""\r\n', '"*"', b'""\r\n' * 200),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.AUTH,
    ),
    _login(
        name="offers no login without TLS",
        script=steps(_capable('"STARTTLS"', sasl="")),
        category=Category.AUTH_DISABLED,
        phase=Phase.AUTH,
        warnings=(),
    ),
    _login(
        name="lists no SASL",
        script=steps(_capable(sasl=None)),
        category=Category.AUTH_UNAVAILABLE,
        says="the server offers no login",
        phase=Phase.AUTH,
        warnings=(),
    ),
    _login(
        name="offers only logins that we do not know",
        script=steps(_capable(sasl="GSSAPI DIGEST-MD5")),
        says=(
            "the server offers no login that Postwatch can use (DIGEST-MD5 is obsolete, RFC 6331); "
            "it offers: GSSAPI, DIGEST-MD5"
        ),
        category=Category.AUTH_UNAVAILABLE,
        phase=Phase.AUTH,
        warnings=(),
    ),
    *(
        _login(
            name=f"answers the login with {words}",
            script=steps(*TO_LOGIN, f"{words}\r\n".encode()),
            category=category,
            phase=Phase.AUTH,
        )
        for words, category in (
            ("NO", Category.AUTH_FAILED),
            ('NO "(" "TRYLATER"', Category.AUTH_FAILED),
            ('NO "Authentication failed."', Category.AUTH_FAILED),
            ('NO (AUTH-TOO-WEAK) "no"', Category.AUTH_UNAVAILABLE),
            ('NO (ENCRYPT-NEEDED) "TLS first"', Category.AUTH_REQUIRES_TLS),
            ('NO (TRYLATER) "later"', Category.AUTH_TEMPORARY),
            ("no (trylater) {5}\r\nlater", Category.AUTH_TEMPORARY),
            ('BYE "too many failures"', Category.SERVICE_UNAVAILABLE),
            ("MAYBE", Category.PROTOCOL_ERROR),
        )
    ),
    _login(
        name="stalls at the login",
        script=steps(*TO_LOGIN),
        category=Category.TIMEOUT,
        phase=Phase.AUTH,
    ),
]

FAREWELLS = [
    _sieve(
        name="says BYE to LOGOUT",
        script=steps(HI, "LOGOUT", b'BYE "see you"\r\n', close),
        warnings=("plaintext",),
    ),
    _sieve(
        name="does not answer LOGOUT",
        script=steps(HI, "LOGOUT"),
        warnings=("plaintext", "quit_timeout"),
    ),
    _sieve(
        name="refuses LOGOUT",
        script=steps(HI, "LOGOUT", b"NO\r\n"),
        warnings=("plaintext", "quit_unclean"),
    ),
]

CASES = [*GREETINGS, *STARTTLS, *LOGINS, *FAREWELLS]
