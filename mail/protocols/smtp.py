"""The SMTP dialogue: greeting, EHLO, STARTTLS, AUTH, NOOP, QUIT (RFC 5321, 3207, 4954).

Sans-I/O: it asks for actions (see `mail.protocols.dialogue`) and judges replies. It sends
no mail.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from typing_extensions import override

from domain.check import Category, Phase
from mail.protocols.dialogue import (
    PLAINTEXT,
    RECEIVE,
    UPGRADE,
    Action,
    Dialogue,
    Enter,
    ProbeFailed,
    Send,
    Warn,
    other_protocol,
    proof_refused,
    service_closing,
    starttls_not_offered,
    starttls_refused,
)
from mail.protocols.login import (
    AuthAnswer,
    AuthState,
    AuthSteps,
    LoginOffer,
    SaslChannel,
    log_in,
    mechanism_names,
)
from mail.protocols.refusals import read_refusal

if TYPE_CHECKING:
    from mail.protocols.target import Credentials, ProbeTarget


Extensions: TypeAlias = Mapping[bytes, tuple[bytes, ...]]

_CHALLENGE = 334

# Some firewalls overwrite what they do not like: `250 XXXXXXXA` was STARTTLS.
_MASKED_KEYWORD: Final = re.compile(rb"X{3,}[A-Z]?")
_MASKED_GREETING: Final = re.compile(rb"\*{4,}")
_MASK_HINT: Final = (
    ", and its answers are overwritten with X or *: a firewall that inspects SMTP may hide STARTTLS"
)

# RFC 5321 4.2.4: the command is not known.
_UNKNOWN_COMMAND: Final = frozenset({500, 502})


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: the code of its last line, and the text of each of its lines.

    `mixed` holds the whole lines where their codes differ, else nothing.
    """

    code: int
    texts: tuple[bytes, ...]
    mixed: bytes = b""

    @property
    def words(self) -> bytes:
        """The server's own words, code first."""
        return self.mixed or b"%d %b" % (self.code, b" / ".join(self.texts))


def dialogue(target: ProbeTarget, client_name: str) -> Dialogue:
    """Talk to an SMTP server as a mail client that submits mail does, up to the login.

    `client_name` is what EHLO says: a host name or an address literal (RFC 5321 4.1.3).
    """
    return _Smtp(target, client_name).run()


class _Smtp:
    def __init__(self, target: ProbeTarget, client_name: str) -> None:
        self._target = target
        self._client_name = client_name.encode("ascii")
        self._encrypted = target.tls == "implicit"
        self._extensions: Extensions = {}
        self._hello_reply = Reply(250, ())
        self._is_masked = False

    def run(self) -> Dialogue:
        yield Enter(Phase.GREETING)
        greeting = yield from _read_reply(Category.NOT_SMTP)
        _judge_greeting(greeting)
        self._is_masked = any(map(_MASKED_GREETING.search, greeting.texts))
        yield from self._hello()
        yield from self._starttls()
        if self._target.credentials:
            yield Enter(Phase.AUTH)
            yield from self._login(self._target.credentials)
            yield Enter(Phase.SERVICE)
            reply = yield from _ask(b"NOOP")
            if reply.code >= 300:  # noqa: PLR2004
                yield proof_refused("NOOP", reply.words)
        yield Enter(Phase.QUIT)
        yield from self._quit()

    def _hello(self) -> Generator[Action, bytes, None]:
        yield Enter(Phase.EHLO)
        reply = yield from _ask(b"EHLO " + self._client_name)
        if reply.code == 250:  # noqa: PLR2004
            self._hello_reply = reply
            self._extensions = _parse_extensions(reply.texts[1:])
            self._is_masked |= any(map(_MASKED_KEYWORD.fullmatch, self._extensions))
            return
        if self._target.tls == "require":
            if reply.code in _UNKNOWN_COMMAND:
                message = "the server knows no EHLO, so it cannot offer STARTTLS"
                _refuse(Category.STARTTLS_UNAVAILABLE, message, reply)
            _refuse_hello("EHLO", reply)
        # RFC 5321 3.2: a server without extensions refuses EHLO and takes HELO.
        self._hello_reply, self._extensions = reply, {}
        reply = yield from _ask(b"HELO " + self._client_name)
        if reply.code != 250:  # noqa: PLR2004
            _refuse_hello("EHLO and HELO", reply)

    def _starttls(self) -> Generator[Action, bytes, None]:
        if not self._target.wants_starttls:
            return
        if b"STARTTLS" not in self._extensions:
            hint = _MASK_HINT if self._is_masked else ""
            if self._target.tls == "require":
                raise starttls_not_offered(self._hello_reply.words, hint=hint)
            yield PLAINTEXT
            if hint:
                message = f"the server does not offer STARTTLS{hint}"
                yield Warn("starttls_masked", message, self._hello_reply.words)
            return
        yield Enter(Phase.STARTTLS)
        reply = yield from _ask(b"STARTTLS")
        if reply.code != 220:  # noqa: PLR2004
            raise starttls_refused(reply.words)
        yield UPGRADE
        self._encrypted = True
        yield from self._hello()

    def _login(self, credentials: Credentials) -> Generator[Action, bytes, None]:
        offer = LoginOffer(
            names=mechanism_names(self._extensions.get(b"AUTH", ())),
            encrypted=self._encrypted,
            tls_is_offered=b"STARTTLS" in self._extensions,
        )
        yield from log_in(self._target, credentials, _SmtpChannel(self._encrypted), offer)

    def _quit(self) -> Generator[Action, bytes, None]:
        yield Send(b"QUIT")
        reply = yield from _read_reply(Category.PROTOCOL_ERROR)
        if reply.code == 421 and self._target.credentials:  # noqa: PLR2004
            # A relay that logs a client in and then cannot reach what is behind it.
            message = "the login works and the server then closes the service"
            raise ProbeFailed(
                Category.SERVICE_UNAVAILABLE, message, reply=reply.words, phase=Phase.SERVICE
            )
        if reply.code != 221:  # noqa: PLR2004
            _refuse(Category.PROTOCOL_ERROR, "QUIT was not answered with 221", reply)


class _SmtpChannel(SaslChannel):
    takes_initial = True

    def __init__(self, encrypted: bool) -> None:  # noqa: FBT001 (its only argument)
        self._encrypted = encrypted

    @override
    def start(self, name: bytes, initial: bytes | None) -> AuthSteps:
        if initial is None:
            return self._ask(b"AUTH " + name)
        return self._ask(b"AUTH " + name + b" ", initial)

    @override
    def respond(self, response: bytes) -> AuthSteps:
        return self._ask(b"", response)

    @override
    def cancel(self) -> AuthSteps:
        return self._ask(b"*")

    def _ask(self, command: bytes, secret: bytes = b"") -> AuthSteps:
        reply = yield from _ask(command, secret)
        if reply.code == 235:  # noqa: PLR2004
            return AuthAnswer(AuthState.ACCEPTED)
        if reply.code == _CHALLENGE:
            return AuthAnswer(AuthState.CHALLENGE, reply.texts[-1])
        if reply.code < 400:  # noqa: PLR2004
            _refuse(Category.PROTOCOL_ERROR, "the login has an answer that makes no sense", reply)
        code, words = b"%d" % reply.code, reply.words
        refusal = read_refusal("smtp", code, words, encrypted=self._encrypted)
        return AuthAnswer(AuthState.REFUSED, refusal=refusal)


def _judge_greeting(reply: Reply) -> None:
    if reply.code == 220:  # noqa: PLR2004
        return
    if 400 <= reply.code < 500:  # noqa: PLR2004
        _refuse(Category.GREETING_TEMPORARY, "the server greets with a temporary refusal", reply)
    if reply.code >= 500:  # noqa: PLR2004
        _refuse(Category.GREETING_REJECTED, "the server greets with a refusal", reply)
    _refuse(Category.PROTOCOL_ERROR, "the greeting is not 220", reply)


def _refuse_hello(commands: str, reply: Reply) -> NoReturn:
    if reply.code < 500:  # noqa: PLR2004
        _refuse(Category.EHLO_TEMPORARY, f"the server refuses {commands} for now", reply)
    _refuse(Category.EHLO_REJECTED, f"the server refuses {commands}", reply)


def _parse_extensions(lines: tuple[bytes, ...]) -> Extensions:
    found: dict[bytes, tuple[bytes, ...]] = {}
    for line in lines:
        # `AUTH=PLAIN` is how servers wrote it before the RFC; many still send both.
        keyword, *arguments = line.upper().replace(b"=", b" ", 1).split() or [b""]
        found[keyword] = (*found.get(keyword, ()), *arguments)
    return found


def _ask(command: bytes, secret: bytes = b"") -> Generator[Action, bytes, Reply]:
    yield Send(command, secret)
    reply = yield from _read_reply(Category.PROTOCOL_ERROR)
    if reply.code == 421:  # noqa: PLR2004 (RFC 5321 3.8: may come at any time)
        raise service_closing(reply.words)
    return reply


def _read_reply(when_malformed: Category) -> Generator[Action, bytes, Reply]:
    """Read one reply, of one or many lines (RFC 5321 4.2.1). Its last line decides.

    Some servers begin their greeting with 220 to keep a client waiting, and then refuse it.
    """
    lines: list[bytes] = []
    while True:
        line = yield RECEIVE
        code, separator = line[:3], line[3:4]
        if not (code.isdigit() and b"200" <= code < b"600" and separator in {b" ", b"-", b""}):
            raise other_protocol(when_malformed, "SMTP", line)
        lines.append(line)
        if separator != b"-":
            break
    mixed = b""
    if any(not each.startswith(code) for each in lines):
        mixed = b" / ".join(lines)
        yield Warn("code_changed", "the lines of one reply have different codes", mixed)
    return Reply(int(code), tuple(each[4:] for each in lines), mixed)


def _refuse(category: Category, message: str, reply: Reply) -> NoReturn:
    raise ProbeFailed(category, message, reply=reply.words)
