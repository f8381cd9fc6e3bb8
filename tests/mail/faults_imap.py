"""Fault cases of IMAP: greeting, CAPABILITY, STARTTLS, login, mailbox and LOGOUT."""

from __future__ import annotations

from functools import partial

from domain.check import Category, Phase
from tests.mail.fault_cases import FaultCase, close, tls
from tests.mailservers.scripted import steps

HI = b"* OK ready\r\n"
FLAGS = b" ".join(b"$Keyword_%05d" % number for number in range(4000))


def _capable(tag: int, *capabilities: str) -> bytes:
    listed = " ".join(("IMAP4rev1", *capabilities))
    return f"* CAPABILITY {listed}\r\na{tag} OK done\r\n".encode()


def _leave(tag: int) -> tuple[str, bytes]:
    return "LOGOUT", f"* BYE see you\r\na{tag} OK done\r\n".encode()


def _serve(tag: int) -> tuple[str | bytes, ...]:
    return f"a{tag} NOOP", f"a{tag} OK done\r\n".encode(), *_leave(tag + 1)


_imap = partial(FaultCase, protocol="imap")
_login = partial(
    FaultCase, protocol="imap", tls="never", login=True, warnings=("password_in_clear",)
)
TO_LOGIN = (HI, "CAPABILITY", _capable(1), "a2 LOGIN")

GREETINGS = [
    _imap(
        name="greets with BYE",
        script=steps(b"* BYE not you\r\n", close),
        hangs_up=True,
        category=Category.GREETING_REJECTED,
        phase=Phase.GREETING,
    ),
    _imap(
        name="greets with BYE for now",
        script=steps(b"* BYE [UNAVAILABLE] later\r\n", close),
        hangs_up=True,
        category=Category.GREETING_TEMPORARY,
        phase=Phase.GREETING,
    ),
    _imap(
        name="greets without a word",
        script=steps(b"* OK\r\n", "CAPABILITY", _capable(1), *_leave(2)),
        warnings=("plaintext",),
    ),
    _imap(
        name="greets in small letters",
        script=steps(b"* ok hi\r\n", "CAPABILITY", _capable(1), *_leave(2)),
        warnings=("plaintext",),
    ),
    _imap(
        name="ends lines with LF",
        script=steps(
            b"* OK hi\n", "CAPABILITY", _capable(1).replace(b"\r", b""), "LOGOUT", b"a2 OK\n"
        ),
        warnings=("plaintext",),
    ),
    _imap(
        name="greets with PREAUTH",
        script=steps(b"* PREAUTH trusted\r\n", *_serve(1)),
        login=True,
        warnings=("preauth",),
    ),
    _imap(
        name="greets with PREAUTH, TLS required",
        script=steps(b"* PREAUTH trusted\r\n"),
        tls="require",
        category=Category.STARTTLS_UNAVAILABLE,
        phase=Phase.STARTTLS,
    ),
    _imap(
        name="greets with PREAUTH inside TLS",
        script=steps(tls(), b"* PREAUTH trusted\r\n", *_serve(1)),
        tls="implicit",
        warnings=("preauth",),
    ),
]

CAPABILITIES = [
    _imap(
        name="refuses CAPABILITY",
        script=steps(HI, "CAPABILITY", b"a1 BAD no\r\n"),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.CAPABILITY,
    ),
    _imap(
        name="answers with a wrong tag",
        script=steps(HI, "CAPABILITY", b"a9 OK done\r\n"),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.CAPABILITY,
    ),
    _imap(
        name="says BYE at CAPABILITY",
        script=steps(HI, "CAPABILITY", b"* BYE shutting down\r\n", close),
        category=Category.SERVICE_UNAVAILABLE,
        phase=Phase.CAPABILITY,
    ),
    _imap(
        name="chatters without end",
        script=steps(HI, "CAPABILITY", b"* 1 EXISTS\r\n" * 200),
        category=Category.TOO_MANY_LINES,
        phase=Phase.CAPABILITY,
    ),
    _imap(
        name="stalls at CAPABILITY",
        script=steps(HI, "CAPABILITY"),
        category=Category.TIMEOUT,
        phase=Phase.CAPABILITY,
    ),
]

STARTTLS = [
    _imap(
        name="lifts LOGINDISABLED by STARTTLS",
        script=steps(
            HI,
            "CAPABILITY",
            _capable(1, "STARTTLS", "LOGINDISABLED"),
            "STARTTLS",
            b"a2 OK go\r\n",
            tls(),
            "CAPABILITY",
            _capable(3),
            "LOGIN",
            b"a4 OK in\r\n",
            *_serve(5),
        ),
        login=True,
    ),
    _imap(
        name="does not offer STARTTLS, TLS required",
        script=steps(HI, "CAPABILITY", _capable(1)),
        reply="CAPABILITY IMAP4REV1",
        tls="require",
        category=Category.STARTTLS_UNAVAILABLE,
        phase=Phase.STARTTLS,
    ),
    _imap(
        name="answers STARTTLS with NO",
        script=steps(HI, "CAPABILITY", _capable(1, "STARTTLS"), "STARTTLS", b"a2 NO not now\r\n"),
        category=Category.STARTTLS_REJECTED,
        phase=Phase.STARTTLS,
    ),
    _imap(
        name="answers STARTTLS with BAD, TLS required",
        script=steps(HI, "CAPABILITY", _capable(1, "STARTTLS"), "STARTTLS", b"a2 BAD what?\r\n"),
        tls="require",
        category=Category.STARTTLS_REJECTED,
        phase=Phase.STARTTLS,
    ),
    _imap(
        name="sends plaintext after the go-ahead",
        script=steps(
            HI,
            "CAPABILITY",
            _capable(1, "STARTTLS"),
            "STARTTLS",
            b"a2 OK go\r\n* CAPABILITY INJECTED\r\n",
        ),
        category=Category.STARTTLS_INJECTION,
        phase=Phase.TLS,
    ),
    _imap(
        name="sends plaintext within the line of the go-ahead's successor",
        script=steps(HI, "CAPABILITY", _capable(1, "STARTTLS"), "STARTTLS", b"a2 OK go\r\n* "),
        category=Category.STARTTLS_INJECTION,
        phase=Phase.TLS,
    ),
]

LOGINS = [
    _login(
        name="lets in with AUTHENTICATE and an initial response",
        script=steps(
            HI,
            "CAPABILITY",
            _capable(1, "SASL-IR", "AUTH=PLAIN"),
            "AUTHENTICATE PLAIN AGFsaWNlQGV4YW1wbGUub3JnAGNhbmFyeS1QYXNzdzByZA==",
            b"a2 OK in\r\n",
            *_serve(3),
        ),
    ),
    _login(
        name="lets in with AUTHENTICATE in two steps",
        script=steps(
            tls(),
            HI,
            "CAPABILITY",
            _capable(1, "LOGINDISABLED", "AUTH=PLAIN"),
            "AUTHENTICATE PLAIN",
            b"+ \r\n",
            "AGFsaWNl",
            b"a2 OK in\r\n",
            *_serve(3),
        ),
        tls="implicit",
        warnings=(),
    ),
    _login(
        name="refuses AUTHENTICATE at once",
        script=steps(
            tls(),
            HI,
            "CAPABILITY",
            _capable(1, "LOGINDISABLED", "AUTH=PLAIN"),
            "AUTHENTICATE PLAIN",
            b"a2 NO no\r\n",
        ),
        tls="implicit",
        category=Category.AUTH_UNAVAILABLE,
        phase=Phase.AUTH,
        warnings=(),
    ),
    _login(
        name="lets in with LOGIN",
        script=steps(
            HI,
            "CAPABILITY",
            _capable(1),
            'LOGIN "alice@example.org" "canary-Passw0rd"',
            b"* 3 EXISTS\r\na2 OK in\r\n",
            *_serve(3),
        ),
    ),
    _login(
        name="takes quotes in a password as a literal",
        script=steps(
            HI,
            "CAPABILITY",
            _capable(1),
            'LOGIN "alice@example.org" {5}',
            b"+ go on\r\n",
            r'a"b\c',
            b"a2 OK in\r\n",
            *_serve(3),
        ),
        password=r'a"b\c',
    ),
    _login(
        name="takes a password outside ASCII as a literal",
        script=steps(
            HI,
            "CAPABILITY",
            _capable(1),
            'LOGIN "alice@example.org" {5}',
            b"+ go on\r\n",
            "w",
            b"a2 OK in\r\n",
            *_serve(3),
        ),
        password="wörd",
    ),
    _login(
        name="takes user and password as literals",
        script=steps(
            HI,
            "CAPABILITY",
            _capable(1),
            "LOGIN {4}",
            b"+ go on\r\n",
            " {5}",
            b"+ go on\r\n",
            "w",
            b"a2 OK in\r\n",
            *_serve(3),
        ),
        user="zoë",
        password="wörd",
    ),
    _login(
        name="refuses a literal",
        script=steps(HI, "CAPABILITY", _capable(1), "LOGIN {4}", b"a2 BAD no literals\r\n"),
        user="zoë",
        category=Category.PROTOCOL_ERROR,
        phase=Phase.AUTH,
        warnings=(),
    ),
    _login(
        name="announces LOGINDISABLED",
        script=steps(HI, "CAPABILITY", _capable(1, "LOGINDISABLED")),
        category=Category.AUTH_DISABLED,
        phase=Phase.AUTH,
        warnings=(),
    ),
    _login(
        name="announces LOGINDISABLED and offers PLAIN all the same",
        script=steps(
            HI, "CAPABILITY", _capable(1, "LOGINDISABLED", "AUTH=PLAIN", "AUTH=LOGIN", "SASL-IR")
        ),
        category=Category.AUTH_DISABLED,
        phase=Phase.AUTH,
        warnings=(),
        saw=("LOGOUT",),
    ),
    _login(
        name="announces LOGINDISABLED, offers PLAIN, and gets an OAuth token",
        script=steps(HI, "CAPABILITY", _capable(1, "LOGINDISABLED", "AUTH=XOAUTH2", "SASL-IR")),
        token="canary-token",
        category=Category.AUTH_DISABLED,
        phase=Phase.AUTH,
        warnings=(),
        saw=("LOGOUT",),
    ),
    _login(
        name="wants TLS before a login, and says so when it has the password",
        script=steps(*TO_LOGIN, b"a2 NO must issue STARTTLS first\r\n"),
        category=Category.AUTH_REQUIRES_TLS,
        phase=Phase.AUTH,
    ),
    _login(
        name="announces LOGINDISABLED inside TLS",
        script=steps(tls(), HI, "CAPABILITY", _capable(1, "LOGINDISABLED")),
        tls="implicit",
        category=Category.AUTH_UNAVAILABLE,
        phase=Phase.AUTH,
        warnings=(),
    ),
    *(
        _login(
            name=f"answers LOGIN with {reply}",
            script=steps(*TO_LOGIN, f"a2 {reply} no\r\n".encode()),
            category=category,
            phase=Phase.AUTH,
        )
        for reply, category in (
            ("NO", Category.AUTH_FAILED),
            ("BAD", Category.PROTOCOL_ERROR),
            ("NO [AUTHENTICATIONFAILED]", Category.AUTH_FAILED),
            ("NO [UNAVAILABLE]", Category.AUTH_TEMPORARY),
            ("NO [INUSE]", Category.AUTH_TEMPORARY),
            ("NO [PRIVACYREQUIRED]", Category.AUTH_REQUIRES_TLS),
        )
    ),
    _login(
        name="asks for more than there is",
        script=steps(*TO_LOGIN, b"+ more\r\n"),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.AUTH,
    ),
    _login(
        name="says BYE at LOGIN",
        script=steps(*TO_LOGIN, b"* BYE too many\r\n", close),
        category=Category.SERVICE_UNAVAILABLE,
        phase=Phase.AUTH,
    ),
    _login(
        name="stalls at LOGIN",
        script=steps(*TO_LOGIN),
        category=Category.TIMEOUT,
        phase=Phase.AUTH,
    ),
]

MAILBOXES = [
    _login(
        name="opens the mailbox",
        script=steps(
            *TO_LOGIN,
            b"a2 OK in\r\n",
            'EXAMINE "Entw&APw-rfe"',
            b"* 7 EXISTS\r\na3 OK [READ-ONLY] done\r\n",
            *_leave(4),
        ),
        mailbox="Entwürfe",
    ),
    _login(
        name="cannot open the mailbox",
        script=steps(*TO_LOGIN, b"a2 OK in\r\n", "EXAMINE", b"a3 NO [SERVERBUG] disk\r\n"),
        mailbox="INBOX",
        category=Category.MAILBOX_UNAVAILABLE,
        phase=Phase.MAILBOX,
    ),
    _login(
        name="has flags that fill kilobytes",
        script=steps(
            *TO_LOGIN,
            b"a2 OK in\r\n",
            "EXAMINE",
            b"* FLAGS (" + FLAGS + b")\r\n* OK [PERMANENTFLAGS (" + FLAGS + b")] ok\r\n",
            b"a3 OK [READ-ONLY] done\r\n",
            *_leave(4),
        ),
        mailbox="INBOX",
    ),
    _login(
        name="sends a line over the limit of IMAP",
        script=steps(*TO_LOGIN, b"a2 OK in\r\n", "EXAMINE", b"* FLAGS (" + b"x" * 70_000),
        mailbox="INBOX",
        category=Category.LINE_TOO_LONG,
        phase=Phase.MAILBOX,
        reply="* FLAGS (xxx",
    ),
    _login(
        name="sends literals within its responses",
        script=steps(
            *TO_LOGIN,
            b'* LIST () "/" {12}\r\na2 NO inside\r\n',
            b'* LIST () "/" ~{3+}\r\n\r\n) () {2}\r\nab\r\n',
            b"* OK braces in text are no literal {5}\r\n",
            b"a2 OK in {7}\r\n",
            *_serve(3),
        ),
    ),
    *(
        _login(
            name=f"announces a literal of {what}",
            script=steps(*TO_LOGIN, b"a2 OK in\r\n", "EXAMINE", b"* LIST {" + digits + b"}\r\nx"),
            mailbox="INBOX",
            category=Category.RESPONSE_TOO_LARGE,
            phase=Phase.MAILBOX,
        )
        for what, digits in (
            ("2^63 bytes", b"9223372036854775808"),
            ("thirty digits", b"9" * 30),
            ("a megabyte", b"1048576"),
        )
    ),
    _login(
        name="announces a literal with more digits than a line should have",
        script=steps(*TO_LOGIN, b"* LIST {" + b"9" * 1000 + b"}\r\n", b"a2 OK in\r\n", *_serve(3)),
    ),
    _login(
        name="closes within a literal",
        script=steps(*TO_LOGIN, b"* LIST {100}\r\nhalf", close),
        category=Category.CONNECTION_CLOSED,
        phase=Phase.AUTH,
    ),
    *(
        _login(
            name=f"wants ID before a mailbox, and {what}",
            script=steps(
                HI,
                "CAPABILITY",
                capability,
                "LOGIN",
                welcome,
                'a3 ID ("name" "Postwatch")',
                answer,
                "a4 EXAMINE",
                b"a4 OK done\r\n",
                *_leave(5),
            ),
            mailbox="INBOX",
        )
        for what, capability, welcome, answer in (
            ("takes it", _capable(1, "ID"), b"a2 OK in\r\n", b"* ID NIL\r\na3 OK\r\n"),
            ("refuses it", _capable(1, "ID"), b"a2 OK in\r\n", b"a3 BAD what?\r\n"),
            (
                "offers it after the login",
                _capable(1),
                b"a2 OK [CAPABILITY IMAP4rev1 ID] in\r\n",
                b"a3 OK\r\n",
            ),
            (
                "offers it in a response",
                _capable(1),
                b"* CAPABILITY IMAP4rev1 ID\r\na2 OK in\r\n",
                b"a3 OK\r\n",
            ),
        )
    ),
    _login(
        name="stalls at the mailbox",
        script=steps(*TO_LOGIN, b"a2 OK in\r\n", "EXAMINE"),
        mailbox="INBOX",
        category=Category.TIMEOUT,
        phase=Phase.MAILBOX,
    ),
]

FAREWELLS = [
    _imap(
        name="does not answer LOGOUT",
        script=steps(HI, "CAPABILITY", _capable(1), "LOGOUT"),
        warnings=("plaintext", "quit_timeout"),
    ),
    _imap(
        name="refuses LOGOUT",
        script=steps(HI, "CAPABILITY", _capable(1), "LOGOUT", b"a2 BAD stay\r\n"),
        warnings=("plaintext", "quit_unclean"),
        says="LOGOUT is refused: BAD stay",
    ),
    _imap(
        name="says BYE and closes at LOGOUT",
        script=steps(HI, "CAPABILITY", _capable(1), "LOGOUT", b"* BYE\r\n", close),
        warnings=("plaintext", "quit_unclean"),
    ),
]

CASES = [*GREETINGS, *CAPABILITIES, *STARTTLS, *LOGINS, *MAILBOXES, *FAREWELLS]
