"""The SMTP dialogue: greeting, EHLO, STARTTLS, AUTH, QUIT (RFC 5321, 3207, 4954).

Sans-I/O: it asks for actions (see `mail.protocols.dialogue`) and judges replies. It sends
no mail.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from domain.check import Category, Phase
from mail.protocols import sasl
from mail.protocols.dialogue import (
    PASSWORD_IN_CLEAR,
    PLAINTEXT,
    RECEIVE,
    UPGRADE,
    Action,
    Dialogue,
    Enter,
    ProbeFailed,
    Send,
    login_refused,
    service_closing,
    starttls_not_offered,
    starttls_refused,
)

if TYPE_CHECKING:
    from mail.protocols.target import ProbeTarget


Extensions: TypeAlias = Mapping[bytes, frozenset[bytes]]

_CHALLENGE = 334


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its code, and the text of each of its lines."""

    code: int
    texts: tuple[bytes, ...]

    @property
    def words(self) -> bytes:
        """The server's own words, code first."""
        return b"%d %b" % (self.code, b" / ".join(self.texts))


def dialogue(target: ProbeTarget, client_name: str) -> Dialogue:
    """Talk to an SMTP server as a mail client that submits mail does, up to the login.

    `client_name` is what EHLO says: a host name or an address literal (RFC 5321 4.1.3).
    """
    yield Enter(Phase.GREETING)
    _judge_greeting((yield from _read_reply(Category.NOT_SMTP)))
    extensions = yield from _hello(target, client_name)
    encrypted = target.tls == "implicit"
    if target.wants_starttls:
        encrypted = yield from _starttls(target, extensions)
        if encrypted:
            extensions = yield from _hello(target, client_name)
        else:
            yield PLAINTEXT
    if target.credentials:
        yield Enter(Phase.AUTH)
        yield from _login(target.credentials, extensions, encrypted=encrypted)
    yield Enter(Phase.QUIT)
    reply = yield from _ask(b"QUIT")
    if reply.code != 221:  # noqa: PLR2004
        _refuse(Category.PROTOCOL_ERROR, "QUIT was not answered with 221", reply)


def _judge_greeting(reply: Reply) -> None:
    if reply.code == 220:  # noqa: PLR2004
        return
    if 400 <= reply.code < 500:  # noqa: PLR2004
        _refuse(Category.GREETING_TEMPORARY, "the server greets with a temporary refusal", reply)
    if reply.code >= 500:  # noqa: PLR2004
        _refuse(Category.GREETING_REJECTED, "the server greets with a refusal", reply)
    _refuse(Category.PROTOCOL_ERROR, "the greeting is not 220", reply)


def _hello(target: ProbeTarget, name: str) -> Generator[Action, bytes, Extensions]:
    yield Enter(Phase.EHLO)
    reply = yield from _ask(b"EHLO " + name.encode("ascii"))
    if reply.code == 250:  # noqa: PLR2004
        return _parse_extensions(reply.texts[1:])
    if target.tls == "require":
        _refuse(Category.STARTTLS_UNAVAILABLE, "EHLO is refused, so STARTTLS is not offered", reply)
    # RFC 5321 3.2: a server without extensions refuses EHLO and takes HELO.
    reply = yield from _ask(b"HELO " + name.encode("ascii"))
    if reply.code != 250:  # noqa: PLR2004
        _refuse(Category.EHLO_REJECTED, "the server refuses EHLO and HELO", reply)
    return {}


def _parse_extensions(lines: tuple[bytes, ...]) -> Extensions:
    found: dict[bytes, frozenset[bytes]] = {}
    for line in lines:
        # `AUTH=PLAIN` is how servers wrote it before the RFC; many still send both.
        keyword, *arguments = line.upper().replace(b"=", b" ", 1).split() or [b""]
        found[keyword] = found.get(keyword, frozenset()).union(arguments)
    return found


def _starttls(target: ProbeTarget, extensions: Extensions) -> Generator[Action, bytes, bool]:
    if b"STARTTLS" not in extensions:
        if target.tls == "require":
            raise starttls_not_offered()
        return False
    yield Enter(Phase.STARTTLS)
    reply = yield from _ask(b"STARTTLS")
    if reply.code != 220:  # noqa: PLR2004
        raise starttls_refused(reply.words)
    yield UPGRADE
    return True


def _login(
    credentials: tuple[str, str], extensions: Extensions, *, encrypted: bool
) -> Generator[Action, bytes, None]:
    mechanism = sasl.choose(extensions.get(b"AUTH", frozenset()))
    if mechanism is None:
        hint = "" if encrypted else "; it may do so only after STARTTLS"
        raise ProbeFailed(
            Category.AUTH_UNAVAILABLE, f"the server offers no login that we know{hint}"
        )
    if mechanism.reveals_password and not encrypted:
        yield PASSWORD_IN_CLEAR
    exchange = sasl.Exchange(mechanism, *credentials)
    command = b"AUTH " + mechanism.name
    if mechanism.initial:
        reply = yield from _ask(command + b" ", exchange.respond())
    else:
        reply = yield from _ask(command)
    while reply.code == _CHALLENGE and exchange.has_response:
        reply = yield from _ask(b"", exchange.respond(reply.texts[0]))
    if reply.code == _CHALLENGE:
        # One more challenge than the mechanism has responses, such as the error details of
        # XOAUTH2: cancel (RFC 4954 4), and let the final reply decide.
        reply = yield from _ask(b"*")
    _judge_login(reply)


def _judge_login(reply: Reply) -> None:
    if reply.code == 235:  # noqa: PLR2004
        return
    if reply.code < 400:  # noqa: PLR2004
        _refuse(Category.PROTOCOL_ERROR, "the login has an answer that makes no sense", reply)
    raise login_refused(
        reply.words,
        needs_tls=reply.code in {530, 538},
        temporary=reply.code < 500,  # noqa: PLR2004
    )


def _ask(command: bytes, secret: bytes = b"") -> Generator[Action, bytes, Reply]:
    yield Send(command, secret)
    reply = yield from _read_reply(Category.PROTOCOL_ERROR)
    if reply.code == 421:  # noqa: PLR2004 (RFC 5321 3.8: may come at any time)
        raise service_closing(reply.words)
    return reply


def _read_reply(when_malformed: Category) -> Generator[Action, bytes, Reply]:
    """Read one reply, of one or many lines (RFC 5321 4.2.1)."""
    texts: list[bytes] = []
    first = b""
    while True:
        line = yield RECEIVE
        code, separator = line[:3], line[3:4]
        if not (code.isdigit() and b"200" <= code < b"600" and separator in {b" ", b"-", b""}):
            raise ProbeFailed(when_malformed, "the answer is not SMTP", reply=line)
        first = first or code
        if code != first:
            raise ProbeFailed(
                Category.CODE_CHANGED, "the lines of one reply have different codes", reply=line
            )
        texts.append(line[4:])
        if separator != b"-":
            return Reply(int(code), tuple(texts))


def _refuse(category: Category, message: str, reply: Reply) -> NoReturn:
    raise ProbeFailed(category, message, reply=reply.words)
