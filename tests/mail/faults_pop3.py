"""Fault cases of POP3: greeting, CAPA, STLS, login, mailbox and QUIT."""

from __future__ import annotations

from functools import partial

from domain.check import Category, Phase
from tests.mail.fault_cases import FaultCase, close, tls
from tests.mailservers.scripted import steps

HI = b"+OK ready\r\n"
OK = b"+OK\r\n"
LEAVE = ("QUIT", b"+OK bye\r\n")
SERVE = ("STAT", b"+OK 0 0\r\n", *LEAVE)


def _capable(*capabilities: str) -> bytes:
    return "\r\n".join(("+OK list follows", *capabilities, ".", "")).encode()


_NO_CRAM = ("AUTH CRAM-MD5", b"-ERR unsupported\r\n")
TO_PASS = (HI, "CAPA", _capable("USER"), "USER alice@example.org", OK, "PASS canary-Passw0rd")

_pop3 = partial(FaultCase, protocol="pop3")
_login = partial(
    FaultCase, protocol="pop3", tls="never", login=True, warnings=("password_in_clear",)
)

GREETINGS = [
    _pop3(
        name="greets with -ERR",
        script=steps(b"-ERR not you\r\n", close),
        hangs_up=True,
        category=Category.GREETING_REJECTED,
        phase=Phase.GREETING,
    ),
    _pop3(
        name="greets with -ERR for now",
        script=steps(b"-ERR [SYS/TEMP] later\r\n", close),
        hangs_up=True,
        category=Category.GREETING_TEMPORARY,
        phase=Phase.GREETING,
    ),
    _pop3(
        name="greets without a word",
        script=steps(OK, "CAPA", _capable("USER"), *LEAVE),
        warnings=("plaintext",),
    ),
    _pop3(
        name="ends lines with LF",
        script=steps(b"+OK\n", "CAPA", b"+OK\nUSER\n.\n", "QUIT", b"+OK\n"),
        warnings=("plaintext",),
    ),
]

CAPABILITIES = [
    _pop3(
        name="knows no CAPA",
        script=steps(HI, "CAPA", b"-ERR what?\r\n", *LEAVE),
        warnings=("plaintext",),
    ),
    _pop3(
        name="knows no CAPA, login wanted",
        script=steps(HI, "CAPA", b"-ERR what?\r\n", "USER", OK, "PASS", b"+OK in\r\n", *SERVE),
        login=True,
        warnings=("plaintext", "password_in_clear"),
    ),
    _pop3(
        name="knows no CAPA, TLS required",
        script=steps(HI, "CAPA", b"-ERR what?\r\n"),
        tls="require",
        category=Category.STARTTLS_UNAVAILABLE,
        phase=Phase.STARTTLS,
    ),
    _pop3(
        name="lists capabilities without end",
        script=steps(HI, "CAPA", OK + b"X-MORE\r\n" * 200),
        category=Category.TOO_MANY_LINES,
        phase=Phase.CAPABILITY,
    ),
    _pop3(
        name="answers CAPA with nonsense",
        script=steps(HI, "CAPA", b"250 mx\r\n"),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.CAPABILITY,
    ),
    _pop3(
        name="stalls within CAPA",
        script=steps(HI, "CAPA", b"+OK\r\nUSER\r\n"),
        category=Category.TIMEOUT,
        phase=Phase.CAPABILITY,
    ),
]

STLS = [
    _pop3(
        name="upgrades",
        script=steps(
            HI,
            "CAPA",
            _capable("STLS"),
            "STLS",
            OK,
            tls(),
            "CAPA",
            _capable("USER"),
            "USER",
            OK,
            "PASS",
            OK,
            *SERVE,
        ),
        login=True,
    ),
    _pop3(
        name="does not offer STLS, TLS required",
        script=steps(HI, "CAPA", _capable("USER")),
        tls="require",
        category=Category.STARTTLS_UNAVAILABLE,
        phase=Phase.STARTTLS,
    ),
    _pop3(
        name="refuses STLS",
        script=steps(HI, "CAPA", _capable("STLS"), "STLS", b"-ERR not now\r\n"),
        category=Category.STARTTLS_REJECTED,
        phase=Phase.STARTTLS,
    ),
    _pop3(
        name="sends plaintext after the go-ahead",
        script=steps(HI, "CAPA", _capable("STLS"), "STLS", b"+OK\r\n+OK injected\r\n"),
        category=Category.STARTTLS_INJECTION,
        phase=Phase.TLS,
    ),
]

LOGINS = [
    _login(
        name="lets in with USER and PASS",
        script=steps(*TO_PASS, b"+OK in\r\n", *SERVE),
    ),
    _login(
        name="lets in with AUTH PLAIN where USER is missing",
        script=steps(
            HI,
            "CAPA",
            _capable("SASL PLAIN LOGIN"),
            "AUTH PLAIN",
            b"+ \r\n",
            "AGFsaWNlQGV4YW1wbGUub3JnAGNhbmFyeS1QYXNzdzByZA==",
            b"+OK in\r\n",
            *SERVE,
        ),
    ),
    _login(
        name="lets in with AUTH PLAIN inside TLS",
        script=steps(
            tls(),
            HI,
            "CAPA",
            _capable("SASL PLAIN"),
            "AUTH PLAIN",
            b"+\r\n",
            "AGFsaW",
            b"+OK in\r\n",
            *SERVE,
        ),
        tls="implicit",
        warnings=(),
    ),
    _login(
        name="refuses AUTH PLAIN at once",
        script=steps(HI, "CAPA", _capable("SASL PLAIN"), "AUTH PLAIN", b"-ERR no\r\n"),
        category=Category.AUTH_UNAVAILABLE,
        phase=Phase.AUTH,
        warnings=(),
    ),
    _login(
        name="lets in with APOP where USER is missing",
        script=steps(
            b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n",
            "CAPA",
            _capable("TOP"),
            "APOP mrose c4c9334bac560ecc979e58001b3e22fb",
            b"+OK in\r\n",
            *SERVE,
        ),
        # The example of RFC 1939 section 7.
        user="mrose",
        password="tanstaaf",
        warnings=(),
    ),
    _login(
        name="allows no login without TLS",
        script=steps(HI, "CAPA", _capable("STLS"), "USER", b"-ERR [AUTH] not in clear\r\n"),
        category=Category.AUTH_DISABLED,
        phase=Phase.AUTH,
        warnings=(),
    ),
    *(
        _login(
            name=f"lets in with APOP {when}",
            script=steps(
                b"+OK <1896.697170952@dbc.mtview.ca.us>\r\n",
                "CAPA",
                _capable(*capabilities),
                *before,
                "APOP mrose c4c9334bac560ecc979e58001b3e22fb",
                b"+OK in\r\n",
                *SERVE,
            ),
            user="mrose",
            password="tanstaaf",
            tls="never",
            warnings=(),
        )
        for when, capabilities, before in (
            ("in clear, where PASS would show the password", ("USER", "SASL PLAIN"), ()),
            ("in clear, after it refused CRAM-MD5 as such", ("SASL CRAM-MD5",), _NO_CRAM),
        )
    ),
    _login(
        name="lets in with APOP inside TLS after it refused USER",
        script=steps(
            tls(),
            b"+OK <1896.697170952@dbc.mtview.ca.us>\r\n",
            "CAPA",
            _capable("USER"),
            "USER mrose",
            b"-ERR APOP only\r\n",
            "APOP mrose c4c9334bac560ecc979e58001b3e22fb",
            b"+OK in\r\n",
            *SERVE,
        ),
        user="mrose",
        password="tanstaaf",
        tls="implicit",
        warnings=(),
    ),
    _login(
        name="shows a timestamp and knows no APOP",
        script=steps(
            b"+OK <1896.697170952@dbc.mtview.ca.us>\r\n",
            "CAPA",
            _capable("USER"),
            "APOP",
            b"-ERR Invalid command.\r\n",
            "USER",
            OK,
            "PASS",
            OK,
            *SERVE,
        ),
    ),
    *(
        _login(
            name=f"wants STLS before a login and answers USER with {words}",
            script=steps(HI, "CAPA", _capable("STLS", "USER"), "USER", f"{words}\r\n".encode()),
            category=Category.AUTH_DISABLED,
            phase=Phase.AUTH,
            warnings=(),
            reply=words,
            saw=("USER alice@example.org", "QUIT"),
        )
        for words in (
            "-ERR must issue a STLS command first",
            "-ERR Plaintext authentication disallowed",
            "-ERR [AUTH] no",
            "-ERR no",
        )
    ),
    *(
        _login(
            name=f"takes the password and says {words}",
            script=steps(*TO_PASS, f"{words}\r\n".encode(), *LEAVE),
            warnings=("password_in_clear", warning),
            says=words,
        )
        for words, warning in (
            ("-ERR [IN-USE] another session", "mailbox_in_use"),
            ("-ERR maildrop already locked", "mailbox_in_use"),
            ("-ERR [LOGIN-DELAY] wait", "login_delay"),
        )
    ),
    *(
        _login(
            name=f"marks wrong passwords by a code, and says {words}",
            script=steps(
                HI,
                "CAPA",
                _capable("USER", "AUTH-RESP-CODE", "LOGIN-DELAY 900"),
                "USER",
                OK,
                "PASS",
                f"{words}\r\n".encode(),
            ),
            category=category,
            phase=Phase.AUTH,
        )
        for words, category in (
            ("-ERR [AUTH] no", Category.AUTH_FAILED),
            ("-ERR no", Category.AUTH_TEMPORARY),
            ("-ERR invalid password", Category.AUTH_TEMPORARY),
            ("-ERR too many logins", Category.RATE_LIMITED),
        )
    ),
    _login(
        name="does not know the user",
        script=steps(HI, "CAPA", _capable("USER"), "USER", b"-ERR who?\r\n"),
        category=Category.AUTH_FAILED,
        phase=Phase.AUTH,
        warnings=(),
    ),
    *(
        _login(
            name=f"answers PASS with {reply}",
            script=steps(*TO_PASS, f"{reply} no\r\n".encode()),
            category=category,
            phase=Phase.AUTH,
        )
        for reply, category in (
            ("-ERR", Category.AUTH_FAILED),
            ("-ERR [AUTH]", Category.AUTH_FAILED),
            ("-ERR [SYS/TEMP]", Category.AUTH_TEMPORARY),
            ("maybe", Category.PROTOCOL_ERROR),
        )
    ),
    _login(
        name="stalls at PASS",
        script=steps(*TO_PASS),
        category=Category.TIMEOUT,
        phase=Phase.AUTH,
    ),
]

MAILBOXES = [
    _login(
        name="opens the mailbox",
        script=steps(*TO_PASS, OK, "STAT", b"+OK 2 320\r\n", *LEAVE),
        mailbox="INBOX",
    ),
    _login(
        name="cannot open the mailbox",
        script=steps(*TO_PASS, OK, "STAT", b"-ERR [SYS/PERM] disk\r\n"),
        mailbox="INBOX",
        category=Category.MAILBOX_UNAVAILABLE,
        phase=Phase.MAILBOX,
    ),
]

FAREWELLS = [
    _pop3(
        name="does not answer QUIT",
        script=steps(HI, "CAPA", _capable("USER"), "QUIT"),
        warnings=("plaintext", "quit_timeout"),
    ),
    _pop3(
        name="refuses QUIT",
        script=steps(HI, "CAPA", _capable("USER"), "QUIT", b"-ERR stay\r\n"),
        warnings=("plaintext", "quit_unclean"),
    ),
]

CASES = [*GREETINGS, *CAPABILITIES, *STLS, *LOGINS, *MAILBOXES, *FAREWELLS]
