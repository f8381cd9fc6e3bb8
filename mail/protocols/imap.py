"""The IMAP dialogue: greeting, CAPABILITY, STARTTLS, login, EXAMINE, LOGOUT.

Follows RFC 9051 and 3501 (2595 for STARTTLS, 4959 for SASL-IR, 5530 for response codes).
Sans-I/O: it asks for actions (see `mail.protocols.dialogue`) and judges responses. It
changes nothing in a mailbox: a mailbox is opened read-only.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    Warn,
    greeting_refused,
    login_refused,
    no_login_offered,
    service_closing,
    starttls_not_offered,
    starttls_refused,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from mail.protocols.target import ProbeTarget


_GREETING = re.compile(rb"\* (OK|PREAUTH|BYE)(?: |$)(.*)", re.IGNORECASE | re.DOTALL)
_RESPONSE_CODE = re.compile(rb"\[([A-Z-]+)", re.IGNORECASE)
_TEMPORARY = frozenset(
    {b"UNAVAILABLE", b"INUSE", b"IN-USE", b"LOGIN-DELAY", b"SERVERBUG", b"LIMIT"}
)

_ESCAPED = frozenset(b'"\\')

_PREAUTH = Warn("preauth", "the server lets everyone in without a login")


@dataclass(slots=True)
class _ImapReply:
    """A tagged response (or a continuation, status `+`) and what came before it."""

    status: bytes
    text: bytes
    capabilities: set[bytes] = field(default_factory=set)

    @property
    def code(self) -> bytes:
        """The response code in brackets, upper case, or b""."""
        found = _RESPONSE_CODE.match(self.text)
        return found[1].upper() if found else b""

    @property
    def words(self) -> bytes:
        return self.status + b" " + self.text


def dialogue(target: ProbeTarget, _client_name: str) -> Dialogue:
    """Talk to an IMAP server as a mail client does, up to an open mailbox."""
    return _Imap(target).run()


class _Imap:
    def __init__(self, target: ProbeTarget) -> None:
        self._target = target
        self._tag = 0
        self._encrypted = target.tls == "implicit"
        self._capabilities: set[bytes] = set()

    def run(self) -> Dialogue:
        yield Enter(Phase.GREETING)
        greeted = yield from self._greeting()
        if greeted == b"PREAUTH":
            yield from self._preauthenticated()
        else:
            yield from self._capability()
            yield from self._starttls()
            if self._target.credentials:
                yield Enter(Phase.AUTH)
                yield from self._login(*self._target.credentials)
        if self._target.mailbox and (self._target.credentials or greeted == b"PREAUTH"):
            yield Enter(Phase.MAILBOX)
            yield from self._examine(self._target.mailbox)
        yield Enter(Phase.QUIT)
        yield from self._ask(b"LOGOUT", leaving=True)

    def _greeting(self) -> Generator[Action, bytes, bytes]:
        line = yield RECEIVE
        found = _GREETING.match(line)
        if found is None:
            raise ProbeFailed(Category.NOT_IMAP, "the answer is not IMAP", reply=line)
        status = found[1].upper()
        if status == b"BYE":
            raise greeting_refused(line, temporary=_ImapReply(status, found[2]).code in _TEMPORARY)
        return status

    def _preauthenticated(self) -> Generator[Action, bytes, None]:
        # RFC 9051 6.2.1: STARTTLS is not allowed after a login, so an attacker who sends
        # PREAUTH keeps the connection in clear.
        if self._target.tls == "require":
            raise ProbeFailed(
                Category.STARTTLS_UNAVAILABLE,
                "the server greets with PREAUTH, so TLS cannot be started",
                phase=Phase.STARTTLS,
            )
        yield _PREAUTH

    def _capability(self) -> Generator[Action, bytes, None]:
        yield Enter(Phase.CAPABILITY)
        answer = yield from self._ask(b"CAPABILITY")
        if answer.status != b"OK":
            raise ProbeFailed(
                Category.PROTOCOL_ERROR, "the server refuses CAPABILITY", reply=answer.words
            )
        self._capabilities = answer.capabilities

    def _starttls(self) -> Generator[Action, bytes, None]:
        if not self._target.wants_starttls:
            return
        if b"STARTTLS" not in self._capabilities:
            if self._target.tls == "require":
                raise starttls_not_offered()
            yield PLAINTEXT
            return
        yield Enter(Phase.STARTTLS)
        answer = yield from self._ask(b"STARTTLS")
        if answer.status != b"OK":
            raise starttls_refused(answer.words)
        yield UPGRADE
        self._encrypted = True
        yield from self._capability()

    def _login(self, user: str, password: str) -> Generator[Action, bytes, None]:
        login_allowed = b"LOGINDISABLED" not in self._capabilities
        initial_response = b"SASL-IR" in self._capabilities
        plain = b"AUTH=PLAIN" in self._capabilities
        if not login_allowed and not plain:
            raise no_login_offered(needs_tls=not self._encrypted)
        if not self._encrypted:
            yield PASSWORD_IN_CLEAR
        if plain and initial_response:
            response = sasl.plain_response(user, password)
            answer = yield from self._ask(b"AUTHENTICATE PLAIN ", response)
        elif plain and not login_allowed:
            answer = yield from self._authenticate_in_two_steps(user, password)
        else:
            answer = yield from self._login_command(user, password)
        _judge_login(answer)

    def _authenticate_in_two_steps(
        self, user: str, password: str
    ) -> Generator[Action, bytes, _ImapReply]:
        answer = yield from self._ask(b"AUTHENTICATE PLAIN")
        if answer.status != b"+":
            return answer
        yield Send(b"", sasl.plain_response(user, password))
        return (yield from self._read_answer())

    def _login_command(self, user: str, password: str) -> Generator[Action, bytes, _ImapReply]:
        """Send LOGIN, with quoted strings where they can hold the value, else literals."""
        secret = b""
        command = b"LOGIN "
        self._tag += 1
        start = b"a%d " % self._tag
        for value, end in ((user.encode(), b" "), (password.encode(), b"")):
            if value.isascii() and not _ESCAPED.intersection(value):
                secret += _quoted(value) + end
                continue
            # RFC 3501 4.3: quoted strings are ASCII. A value that needs escapes goes as a
            # literal too, because some servers do not remove them. The client announces the
            # length of a literal, and sends it when the server asks for it.
            yield Send(start + command, secret + b"{%d}" % len(value))
            answer = yield from self._read_answer()
            if answer.status != b"+":
                return answer
            start, command, secret = b"", b"", value + end
        yield Send(start + command, secret)
        return (yield from self._read_answer())

    def _examine(self, mailbox: str) -> Generator[Action, bytes, None]:
        answer = yield from self._ask(b"EXAMINE " + _quoted(encode_mailbox(mailbox)))
        if answer.status != b"OK":
            raise ProbeFailed(
                Category.MAILBOX_UNAVAILABLE, "the mailbox cannot be opened", reply=answer.words
            )

    def _ask(
        self, command: bytes, secret: bytes = b"", *, leaving: bool = False
    ) -> Generator[Action, bytes, _ImapReply]:
        self._tag += 1
        yield Send(b"a%d %b" % (self._tag, command), secret)
        return (yield from self._read_answer(leaving=leaving))

    def _read_answer(self, *, leaving: bool = False) -> Generator[Action, bytes, _ImapReply]:
        """Read up to the tagged response or a continuation; collect capabilities."""
        tag = b"a%d" % self._tag
        capabilities: set[bytes] = set()
        while True:
            line = yield RECEIVE
            start, _, rest = line.partition(b" ")
            word, _, text = rest.partition(b" ")
            word = word.upper()
            if start == tag and word in {b"OK", b"NO", b"BAD"}:
                return _ImapReply(word, text, capabilities)
            if start == b"+":
                return _ImapReply(b"+", rest, capabilities)
            if start != b"*":
                raise ProbeFailed(Category.PROTOCOL_ERROR, "the answer is not IMAP", reply=line)
            if word == b"CAPABILITY":
                capabilities.update(text.upper().split())
            if word == b"BYE" and not leaving:
                raise service_closing(line)


def _judge_login(answer: _ImapReply) -> None:
    if answer.status == b"OK":
        return
    if answer.status == b"+":
        raise ProbeFailed(
            Category.PROTOCOL_ERROR,
            "the login is asked for more than it has",
            reply=answer.words,
        )
    raise login_refused(
        answer.words,
        needs_tls=answer.code == b"PRIVACYREQUIRED",
        temporary=answer.code in _TEMPORARY,
    )


def _quoted(value: bytes) -> bytes:
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


_SHIFTED = re.compile(r"&|[^\x20-\x7e]+")


def encode_mailbox(name: str) -> bytes:
    """Return a mailbox name in modified UTF-7 (RFC 3501 5.1.3); printable ASCII stays."""
    return _SHIFTED.sub(_shift, name).encode("ascii")


def _shift(run: re.Match[str]) -> str:
    if run[0] == "&":
        return "&-"
    encoded = b64encode(run[0].encode("utf-16-be", "surrogatepass")).decode("ascii")
    return f"&{encoded.rstrip('=').replace('/', ',')}-"
