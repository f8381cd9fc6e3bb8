"""Fault cases of SMTP: greeting, EHLO, STARTTLS, AUTH and QUIT, failing or merely odd."""

from __future__ import annotations

from functools import partial

from domain.check import Category, Phase
from tests.mail.fault_cases import FaultCase, await_hello, close, half_close, reset, tls
from tests.mailservers.scripted import steps

HI = b"220 mx.example ESMTP\r\n"
PLAIN_EHLO = b"250-mx.example\r\n250 PIPELINING\r\n"
STARTTLS_EHLO = b"250-mx.example\r\n250 STARTTLS\r\n"
AUTH_EHLO = b"250-mx.example\r\n250 AUTH PLAIN\r\n"
GO = b"220 2.0.0 go ahead\r\n"
LEAVE = ("QUIT", b"221 2.0.0 bye\r\n")
SERVE = ("NOOP", b"250 2.0.0 ok\r\n", *LEAVE)
TO_AUTH = (HI, "EHLO", AUTH_EHLO, "AUTH PLAIN ")

_smtp = partial(FaultCase, protocol="smtp")
_login = partial(
    FaultCase, protocol="smtp", tls="never", login=True, warnings=("password_in_clear",)
)

GREETINGS = [
    _smtp(
        name="greets with 421",
        script=steps(b"421 4.3.2 too busy\r\n"),
        category=Category.GREETING_TEMPORARY,
        phase=Phase.GREETING,
    ),
    _smtp(
        name="greets with 450",
        script=steps(b"450 later\r\n"),
        category=Category.GREETING_TEMPORARY,
        phase=Phase.GREETING,
    ),
    _smtp(
        name="greets with 554",
        script=steps(b"554-no\r\n554 service here\r\n"),
        category=Category.GREETING_REJECTED,
        phase=Phase.GREETING,
    ),
    _smtp(
        name="greets with 250",
        script=steps(b"250 hello\r\n"),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.GREETING,
    ),
    _smtp(
        name="greets with mixed codes",
        script=steps(b"220-mx\r\n221 mx\r\n"),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.GREETING,
        warnings=("code_changed",),
    ),
    *(
        _smtp(
            name=f"greets with 220 and then with {line}",
            script=steps(b"220-mx.example ESMTP\r\n", f"{line}\r\n".encode(), *ending),
            category=category,
            phase=Phase.GREETING,
            warnings=("code_changed",),
            says="the lines of one reply have different codes: 220-mx.example ESMTP / " + line,
            reply=line,
            hangs_up=bool(ending),
        )
        for line, category, ending in (
            ("521 5.7.1 Service unavailable; blocked", Category.GREETING_REJECTED, ()),
            ("421 4.3.2 All server ports are busy", Category.GREETING_TEMPORARY, (close,)),
        )
    ),
    _smtp(
        name="begins a greeting and does not end it",
        script=steps(b"220-mx.example ESMTP, please wait\r\n220"),
        category=Category.TIMEOUT,
        phase=Phase.GREETING,
        says="the answer began and did not end within 3 s",
        reply="220-mx.example ESMTP, please wait / 220",
    ),
    _smtp(
        name="greets in many lines",
        script=steps(b"220-mx\r\n220-of\r\n220 example\r\n", "EHLO", PLAIN_EHLO, *LEAVE),
        warnings=("plaintext",),
    ),
    _smtp(
        name="greets with a code alone",
        script=steps(b"220\r\n", "EHLO", PLAIN_EHLO, *LEAVE),
        warnings=("plaintext",),
    ),
    _smtp(
        name="ends lines with LF",
        script=steps(b"220 mx\n", "EHLO", b"250-mx\n250 HELP\n", "QUIT", b"221 bye\n"),
        warnings=("plaintext",),
    ),
    _smtp(
        name="greets in Latin-1",
        script=steps("220 Grüße\r\n".encode("latin-1"), "EHLO", PLAIN_EHLO, *LEAVE),
        warnings=("plaintext",),
    ),
]

HELLOS = [
    _smtp(
        name="knows no EHLO",
        script=steps(HI, "EHLO", b"502 what?\r\n", "HELO", b"250 mx\r\n", *LEAVE),
        warnings=("plaintext",),
    ),
    _smtp(
        name="knows no EHLO, TLS required",
        script=steps(HI, "EHLO", b"502 what?\r\n"),
        tls="require",
        category=Category.STARTTLS_UNAVAILABLE,
        phase=Phase.EHLO,
    ),
    *(
        _smtp(
            name=f"answers EHLO with {reply} where TLS is required",
            script=steps(HI, "EHLO", f"{reply}\r\n".encode()),
            tls="require",
            category=category,
            phase=Phase.EHLO,
            reply=reply,
        )
        for reply, category in (
            ("550 5.7.1 Helo command rejected: need a FQDN", Category.EHLO_REJECTED),
            ("451 4.7.1 Greylisted, try again later", Category.EHLO_TEMPORARY),
        )
    ),
    _smtp(
        name="refuses EHLO and HELO for now",
        script=steps(HI, "EHLO", b"451 later\r\n", "HELO", b"451 later\r\n"),
        category=Category.EHLO_TEMPORARY,
        phase=Phase.EHLO,
    ),
    _smtp(
        name="knows no EHLO, login wanted",
        script=steps(HI, "EHLO", b"500 what?\r\n", "HELO", b"250 mx\r\n"),
        login=True,
        category=Category.AUTH_UNAVAILABLE,
        phase=Phase.AUTH,
        warnings=("plaintext",),
    ),
    _smtp(
        name="rejects EHLO and HELO",
        script=steps(HI, "EHLO", b"550 go away\r\n", "HELO", b"550 go away\r\n"),
        category=Category.EHLO_REJECTED,
        phase=Phase.EHLO,
    ),
    _smtp(
        name="answers EHLO with 421",
        script=steps(HI, "EHLO", b"421 closing\r\n", close),
        category=Category.SERVICE_UNAVAILABLE,
        phase=Phase.EHLO,
    ),
    _smtp(
        name="changes the code within EHLO",
        script=steps(HI, "EHLO", b"250-mx\r\n550 no\r\n", "HELO", b"550 no\r\n"),
        category=Category.EHLO_REJECTED,
        phase=Phase.EHLO,
        warnings=("code_changed",),
    ),
    _smtp(
        name="answers EHLO with nonsense",
        script=steps(HI, "EHLO", b"certainly\r\n"),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.EHLO,
    ),
    _smtp(
        name="closes after its greeting",
        script=steps(HI, half_close),
        category=Category.CONNECTION_CLOSED,
        phase=Phase.EHLO,
    ),
    _smtp(
        name="resets at EHLO",
        script=steps(HI, "EHLO", reset),
        category=Category.CONNECTION_RESET,
        phase=Phase.EHLO,
    ),
    _smtp(
        name="stalls at EHLO",
        script=steps(HI, "EHLO"),
        category=Category.TIMEOUT,
        phase=Phase.EHLO,
    ),
    _smtp(
        name="stalls within the answer to EHLO",
        script=steps(HI, "EHLO", b"250-mx\r\n250-SI"),
        category=Category.TIMEOUT,
        phase=Phase.EHLO,
    ),
]

STARTTLS = [
    _smtp(
        name="upgrades",
        script=steps(HI, "EHLO", STARTTLS_EHLO, "STARTTLS", GO, tls(), "EHLO", PLAIN_EHLO, *LEAVE),
    ),
    _smtp(
        name="offers STARTTLS that nobody wants",
        script=steps(HI, "EHLO", STARTTLS_EHLO, *LEAVE),
        tls="never",
    ),
    _smtp(
        name="does not offer STARTTLS",
        script=steps(HI, "EHLO", PLAIN_EHLO, *LEAVE),
        warnings=("plaintext",),
    ),
    *(
        _smtp(
            name=f"has its STARTTLS hidden by a firewall that overwrites {what}",
            script=steps(greeting, "EHLO", hello),
            tls="require",
            category=Category.STARTTLS_UNAVAILABLE,
            phase=Phase.STARTTLS,
            says="a firewall that inspects SMTP may hide STARTTLS",
            reply="250 mx.example / ",
        )
        for what, greeting, hello in (
            ("EHLO lines", HI, b"250-mx.example\r\n250-SIZE 1000\r\n250 XXXXXXXA\r\n"),
            ("greetings", b"220 *****2*02**0*****\r\n", b"250-mx.example\r\n250 SIZE 1\r\n"),
        )
    ),
    _smtp(
        name="has its STARTTLS hidden by a firewall, TLS not required",
        script=steps(HI, "EHLO", b"250-mx.example\r\n250 XXXXXXXA\r\n", *LEAVE),
        warnings=("plaintext", "starttls_masked"),
        says="may hide STARTTLS: 250 mx.example / XXXXXXXA",
    ),
    _smtp(
        name="agrees to STARTTLS and then sends no TLS",
        script=steps(
            HI, "EHLO", STARTTLS_EHLO, "STARTTLS", GO, await_hello, b"500 what is that?\r\n"
        ),
        category=Category.TLS_NOT_TLS,
        phase=Phase.TLS,
        says="the server agreed to start TLS and then sent no TLS",
        reply="500 what is that?",
    ),
    _smtp(
        name="does not offer STARTTLS, TLS required",
        script=steps(HI, "EHLO", PLAIN_EHLO),
        reply="250 mx.example / PIPELINING",
        tls="require",
        category=Category.STARTTLS_UNAVAILABLE,
        phase=Phase.STARTTLS,
    ),
    _smtp(
        name="answers STARTTLS with 454",
        script=steps(HI, "EHLO", STARTTLS_EHLO, "STARTTLS", b"454 4.7.0 not now\r\n"),
        category=Category.STARTTLS_REJECTED,
        phase=Phase.STARTTLS,
    ),
    _smtp(
        name="answers STARTTLS with 454, TLS required",
        script=steps(HI, "EHLO", STARTTLS_EHLO, "STARTTLS", b"454 4.7.0 not now\r\n"),
        tls="require",
        category=Category.STARTTLS_REJECTED,
        phase=Phase.STARTTLS,
    ),
    _smtp(
        name="answers STARTTLS with 502",
        script=steps(HI, "EHLO", STARTTLS_EHLO, "STARTTLS", b"502 no\r\n"),
        category=Category.STARTTLS_REJECTED,
        phase=Phase.STARTTLS,
    ),
    _smtp(
        name="sends plaintext after the go-ahead",
        script=steps(HI, "EHLO", STARTTLS_EHLO, "STARTTLS", GO + b"250 injected\r\n"),
        category=Category.STARTTLS_INJECTION,
        phase=Phase.TLS,
    ),
    _smtp(
        name="stalls at STARTTLS",
        script=steps(HI, "EHLO", STARTTLS_EHLO, "STARTTLS"),
        category=Category.TIMEOUT,
        phase=Phase.STARTTLS,
    ),
    _smtp(
        name="rejects EHLO after TLS",
        script=steps(
            HI,
            "EHLO",
            STARTTLS_EHLO,
            "STARTTLS",
            GO,
            tls(),
            "EHLO",
            b"550 no\r\n",
            "HELO",
            b"550 no\r\n",
        ),
        category=Category.EHLO_REJECTED,
        phase=Phase.EHLO,
    ),
    _smtp(
        name="forgets its logins after TLS",
        script=steps(
            HI,
            "EHLO",
            b"250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n",
            "STARTTLS",
            GO,
            tls(),
            "EHLO",
            PLAIN_EHLO,
        ),
        login=True,
        category=Category.AUTH_UNAVAILABLE,
        phase=Phase.AUTH,
    ),
]

LOGINS = [
    _login(
        name="lets in with PLAIN",
        script=steps(*TO_AUTH, b"235 2.7.0 welcome\r\n", *SERVE),
    ),
    _login(
        name="lets in with LOGIN",
        script=steps(
            HI,
            "EHLO",
            b"250-mx\r\n250 AUTH LOGIN\r\n",
            "AUTH LOGIN",
            b"334 VXNlcm5hbWU6\r\n",
            "YWxpY2VAZXhhbXBsZS5vcmc=",
            b"334 UGFzc3dvcmQ6\r\n",
            "Y2FuYXJ5LVBhc3N3MHJk",
            b"235 welcome\r\n",
            *SERVE,
        ),
    ),
    _login(
        name="refuses LOGIN at once",
        script=steps(HI, "EHLO", b"250-mx\r\n250 AUTH LOGIN\r\n", "AUTH LOGIN", b"454 not now\r\n"),
        category=Category.AUTH_TEMPORARY,
        phase=Phase.AUTH,
        warnings=(),
    ),
    _login(
        name="lets in with CRAM-MD5",
        script=steps(
            HI,
            "EHLO",
            b"250-mx\r\n250 AUTH CRAM-MD5\r\n",
            "AUTH CRAM-MD5",
            b"334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n",
            "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw",
            b"235 welcome\r\n",
            *SERVE,
        ),
        # The example of RFC 2195 section 2.
        user="tim",
        password="tanstaaftanstaaf",
        warnings=(),
    ),
    _login(
        name="lets in with XOAUTH2",
        script=steps(
            HI,
            "EHLO",
            b"250-mx\r\n250 AUTH XOAUTH2\r\n",
            "AUTH XOAUTH2 dXNlcj1h",
            b"235 welcome\r\n",
            *SERVE,
        ),
        token="canary-token",
    ),
    _login(
        name="explains the refusal of XOAUTH2 in a challenge",
        script=steps(
            HI,
            "EHLO",
            b"250-mx\r\n250 AUTH XOAUTH2\r\n",
            "AUTH XOAUTH2 ",
            b"334 e30=\r\n",
            "",
            b"535 5.7.8 bad token\r\n",
        ),
        token="canary-token",
        category=Category.AUTH_FAILED,
        phase=Phase.AUTH,
    ),
    _login(
        name="offers AUTH in the old style",
        script=steps(
            HI, "EHLO", b"250-mx\r\n250 AUTH=PLAIN\r\n", "AUTH PLAIN ", b"235 ok\r\n", *SERVE
        ),
    ),
    _login(
        name="offers no AUTH",
        script=steps(HI, "EHLO", PLAIN_EHLO),
        category=Category.AUTH_UNAVAILABLE,
        phase=Phase.AUTH,
        warnings=(),
        says="the server offers no login",
    ),
    _login(
        name="offers no AUTH, and STARTTLS",
        script=steps(HI, "EHLO", STARTTLS_EHLO),
        category=Category.AUTH_UNAVAILABLE,
        phase=Phase.AUTH,
        warnings=(),
        says="the server offers no login; it offers STARTTLS, and may offer a login after it",
    ),
    _login(
        name="offers only a login that nobody knows",
        says="the server offers no login that Postwatch can use; it offers: GSSAPI",
        script=steps(HI, "EHLO", b"250-mx\r\n250 AUTH GSSAPI \x1b[2J\r\n"),
        category=Category.AUTH_UNAVAILABLE,
        phase=Phase.AUTH,
        warnings=(),
    ),
    *(
        _login(
            name=f"answers AUTH with {reply}",
            script=steps(*TO_AUTH, f"{reply} no\r\n".encode()),
            category=category,
            phase=Phase.AUTH,
        )
        for reply, category in (
            (535, Category.AUTH_FAILED),
            (534, Category.AUTH_FAILED),
            (504, Category.AUTH_UNAVAILABLE),
            (454, Category.AUTH_TEMPORARY),
            (432, Category.AUTH_UNAVAILABLE),
            (530, Category.AUTH_REQUIRES_TLS),
            (538, Category.AUTH_REQUIRES_TLS),
            (421, Category.SERVICE_UNAVAILABLE),
            (250, Category.PROTOCOL_ERROR),
        )
    ),
    _login(
        name="challenges without end",
        script=steps(*TO_AUTH, b"334 \r\n", "*", b"334 \r\n"),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.AUTH,
    ),
    _login(
        name="sends a challenge that is no base64",
        script=steps(
            HI,
            "EHLO",
            b"250-mx\r\n250 AUTH CRAM-MD5\r\n",
            "AUTH CRAM-MD5",
            b"334 !!!\r\n",
            "*",
            b"501 cancelled\r\n",
        ),
        category=Category.PROTOCOL_ERROR,
        phase=Phase.AUTH,
        warnings=(),
    ),
    _login(
        name="stalls at AUTH",
        script=steps(*TO_AUTH),
        category=Category.TIMEOUT,
        phase=Phase.AUTH,
    ),
    _login(
        name="closes at AUTH",
        script=steps(*TO_AUTH, close),
        category=Category.CONNECTION_CLOSED,
        phase=Phase.AUTH,
    ),
]

FAREWELLS = [
    _smtp(
        name="does not answer QUIT",
        script=steps(HI, "EHLO", PLAIN_EHLO, "QUIT"),
        warnings=("plaintext", "quit_timeout"),
    ),
    _smtp(
        name="closes at QUIT",
        script=steps(HI, "EHLO", PLAIN_EHLO, "QUIT", close),
        warnings=("plaintext", "quit_unclean"),
    ),
    _smtp(
        name="refuses QUIT",
        script=steps(HI, "EHLO", PLAIN_EHLO, "QUIT", b"500 never\r\n"),
        warnings=("plaintext", "quit_unclean"),
        says="QUIT was not answered with 221: 500 never",
    ),
    _smtp(
        name="answers QUIT with an endless line",
        script=steps(HI, "EHLO", PLAIN_EHLO, "QUIT", b"2" * 5000),
        warnings=("plaintext", "quit_unclean"),
    ),
]

CASES = [*GREETINGS, *HELLOS, *STARTTLS, *LOGINS, *FAREWELLS]
