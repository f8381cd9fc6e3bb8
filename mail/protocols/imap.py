"""The IMAP dialogue: greeting, CAPABILITY, STARTTLS, login, ID, EXAMINE or NOOP, LOGOUT.

Follows RFC 9051 and 3501 (2595 for STARTTLS, 4959 for SASL-IR, 2971 for ID, 5530 for response
codes). Sans-I/O: it asks for actions (see `mail.protocols.dialogue`) and judges responses. It
changes nothing in a mailbox: a mailbox is opened read-only.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from domain.check import Category, Phase
from mail.protocols.dialogue import (
    PASSWORD_IN_CLEAR,
    PLAINTEXT,
    RECEIVE,
    UPGRADE,
    Action,
    Dialogue,
    Enter,
    ProbeFailed,
    Receive,
    Send,
    Warn,
    greeting_refused,
    other_protocol,
    proof_refused,
    service_closing,
    starttls_not_offered,
    starttls_refused,
)
from mail.protocols.line_reader import ReplyLimits, literal_octets
from mail.protocols.login import (
    Attempt,
    AttemptSteps,
    AuthAnswer,
    AuthState,
    AuthSteps,
    LoginOffer,
    Method,
    SaslChannel,
    log_in,
    mechanism_names,
)
from mail.protocols.refusals import Meaning, read_refusal
from mail.protocols.sasl import Shows, malformed

if TYPE_CHECKING:
    from collections.abc import Generator

    from mail.protocols.refusals import Refusal
    from mail.protocols.target import Credentials, ProbeTarget


LIMITS: Final = ReplyLimits(line_bytes=64 * 1024, reply_bytes=256 * 1024)
"""IMAP sets no limit to a response: the flags of one mailbox may fill many kilobytes."""

_GREETING = re.compile(rb"\* (OK|PREAUTH|BYE)(?: |$)(.*)", re.IGNORECASE | re.DOTALL)
_RESPONSE_CODE = re.compile(rb"\[([A-Z/-]+)", re.IGNORECASE)
_CAPABILITY_CODE = re.compile(rb"\[CAPABILITY ([^\]]*)\]", re.IGNORECASE)
_LITERAL = re.compile(rb"\{([0-9]+)\+?\}\Z")
_LITERAL_CHARACTERS: Final = 40
"""How long an announcement of a literal can be; what is longer is none."""

# Responses that end in text for people, where braces are braces (RFC 9051 9, resp-text).
_HAS_TEXT = frozenset({b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"})

_ESCAPED = frozenset(b'"\\')

_PREAUTH = Warn("preauth", "the server lets everyone in without a login")
_LOGIN_COMMAND: Final = "LOGIN command"
_IDENTITY: Final = b'ID ("name" "Postwatch")'


@dataclass(slots=True)
class _ImapReply:
    """A tagged response (or a continuation, status `+`) and what came before it."""

    status: bytes
    text: bytes
    capabilities: dict[bytes, None] = field(default_factory=dict)

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
        self._capabilities: dict[bytes, None] = {}

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
                yield from self._login(self._target.credentials)
        if self._target.credentials or greeted == b"PREAUTH":
            yield from self._prove_service()
        yield Enter(Phase.QUIT)
        yield from self._logout()

    def _greeting(self) -> Generator[Action, bytes, bytes]:
        line = yield RECEIVE
        found = _GREETING.match(line)
        if found is None:
            raise other_protocol(Category.NOT_IMAP, "IMAP", line)
        status = found[1].upper()
        if status == b"BYE":
            raise greeting_refused(line, temporary=self._is_temporary(line, found[2]))
        return status

    def _is_temporary(self, line: bytes, text: bytes) -> bool:
        code = _ImapReply(b"", text).code
        refusal = read_refusal("imap", code, line, encrypted=self._encrypted)
        return refusal.meaning in {Meaning.TEMPORARY, Meaning.LIMITED}

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
                raise starttls_not_offered(b"CAPABILITY " + b" ".join(self._capabilities))
            yield PLAINTEXT
            return
        yield Enter(Phase.STARTTLS)
        answer = yield from self._ask(b"STARTTLS")
        if answer.status != b"OK":
            raise starttls_refused(answer.words)
        yield UPGRADE
        self._encrypted = True
        yield from self._capability()

    def _login(self, credentials: Credentials) -> Generator[Action, bytes, None]:
        prefix = b"AUTH="
        words = (each[len(prefix) :] for each in self._capabilities if each.startswith(prefix))
        is_disabled = b"LOGINDISABLED" in self._capabilities
        has_initial = b"SASL-IR" in self._capabilities
        methods: tuple[Method, ...] = ()
        if not is_disabled:
            methods = (Method(_LOGIN_COMMAND, lambda: self._login_command(credentials)),)
        first, second = ("PLAIN", _LOGIN_COMMAND) if has_initial else (_LOGIN_COMMAND, "PLAIN")
        offer = LoginOffer(
            names=mechanism_names(words),
            methods=methods,
            passwords=(first, second, "LOGIN"),
            encrypted=self._encrypted,
            reveal_is_forbidden=is_disabled and not self._encrypted,
            tls_is_offered=b"STARTTLS" in self._capabilities,
        )
        channel = _ImapChannel(self, takes_initial=has_initial)
        yield from log_in(self._target, credentials, channel, offer)

    def _login_command(self, credentials: Credentials) -> AttemptSteps:
        """Send LOGIN, with quoted strings where they can hold the value, else literals."""
        secret = b""
        command = b"LOGIN "
        self._tag += 1
        start = b"a%d " % self._tag
        shown = Shows.NOTHING
        values = (credentials.user.encode(), b" "), (credentials.password.encode(), b"")
        for value, end in values:
            if value.isascii() and not _ESCAPED.intersection(value):
                secret += _quoted(value) + end
                continue
            # RFC 3501 4.3: quoted strings are ASCII. A value that needs escapes goes as a
            # literal too, because some servers do not remove them. The client announces the
            # length of a literal, and sends it when the server asks for it.
            yield Send(start + command, secret + b"{%d}" % len(value))
            answer = yield from self.read_answer()
            if answer.status != b"+":
                return self._attempt(answer, shown)
            start, command, secret, shown = b"", b"", value + end, Shows.USER
        if not self._encrypted:
            yield PASSWORD_IN_CLEAR
        yield Send(start + command, secret)
        return self._attempt((yield from self.read_answer()), Shows.SECRET)

    def _attempt(self, answer: _ImapReply, shown: Shows) -> Attempt:
        if answer.status == b"+":
            raise malformed("the login is asked for more than it has", answer.words)
        return Attempt(None if self.accepts(answer) else self.refusal(answer), shown)

    def accepts(self, answer: _ImapReply) -> bool:
        """Return whether a login is accepted; note what the server can do from now on."""
        if answer.status != b"OK":
            return False
        self._capabilities |= answer.capabilities
        found = _CAPABILITY_CODE.match(answer.text)
        if found:
            self._capabilities |= dict.fromkeys(found[1].upper().split())
        return True

    def refusal(self, answer: _ImapReply) -> Refusal:
        """Return what a refused login means."""
        code = answer.code or answer.status
        return read_refusal("imap", code, answer.words, encrypted=self._encrypted)

    def _prove_service(self) -> Generator[Action, bytes, None]:
        """Ask for something after the login: some servers log in and then cannot serve."""
        mailbox = self._target.mailbox
        yield Enter(Phase.MAILBOX if mailbox else Phase.SERVICE)
        if b"ID" in self._capabilities:
            # RFC 2971. A large provider opens mailboxes only to clients that name themselves.
            # Whatever the server answers means nothing.
            yield from self._ask(_IDENTITY)
        if mailbox:
            yield from self._examine(mailbox)
            return
        answer = yield from self._ask(b"NOOP")
        if answer.status != b"OK":
            yield proof_refused("NOOP", answer.words)

    def _examine(self, mailbox: str) -> Generator[Action, bytes, None]:
        answer = yield from self._ask(b"EXAMINE " + _quoted(encode_mailbox(mailbox)))
        if answer.status != b"OK":
            raise ProbeFailed(
                Category.MAILBOX_UNAVAILABLE, "the mailbox cannot be opened", reply=answer.words
            )

    def _logout(self) -> Generator[Action, bytes, None]:
        answer = yield from self._ask(b"LOGOUT", leaving=True)
        if answer.status != b"OK":
            raise ProbeFailed(Category.PROTOCOL_ERROR, "LOGOUT is refused", reply=answer.words)

    def _ask(
        self, command: bytes, secret: bytes = b"", *, leaving: bool = False
    ) -> Generator[Action, bytes, _ImapReply]:
        yield self.tagged(command, secret)
        return (yield from self.read_answer(leaving=leaving))

    def tagged(self, command: bytes, secret: bytes = b"") -> Send:
        """Return a command with the next tag."""
        self._tag += 1
        return Send(b"a%d %b" % (self._tag, command), secret)

    def read_answer(self, *, leaving: bool = False) -> Generator[Action, bytes, _ImapReply]:
        """Read up to the tagged response or a continuation; collect capabilities."""
        tag = b"a%d" % self._tag
        capabilities: dict[bytes, None] = {}
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
                raise other_protocol(Category.PROTOCOL_ERROR, "IMAP", line)
            if word == b"CAPABILITY":
                capabilities |= dict.fromkeys(text.upper().split())
            if word == b"BYE" and not leaving:
                raise service_closing(line)
            if word not in _HAS_TEXT:
                yield from _skip_literals(line)


class _ImapChannel(SaslChannel):
    def __init__(self, imap: _Imap, *, takes_initial: bool) -> None:
        self._imap = imap
        self.takes_initial = takes_initial

    @override
    def start(self, name: bytes, initial: bytes | None) -> AuthSteps:
        command = b"AUTHENTICATE " + name
        if initial is None:
            return self._send(self._imap.tagged(command))
        return self._send(self._imap.tagged(command + b" ", initial))

    @override
    def respond(self, response: bytes) -> AuthSteps:
        return self._send(Send(b"", response))

    @override
    def cancel(self) -> AuthSteps:
        return self._send(Send(b"*"))

    def _send(self, command: Send) -> AuthSteps:
        yield command
        answer = yield from self._imap.read_answer()
        if answer.status == b"+":
            return AuthAnswer(AuthState.CHALLENGE, answer.text)
        if self._imap.accepts(answer):
            return AuthAnswer(AuthState.ACCEPTED)
        return AuthAnswer(AuthState.REFUSED, refusal=self._imap.refusal(answer))


def _skip_literals(line: bytes) -> Generator[Action, bytes, None]:
    """Skip the literals of a response, and what follows each of them (RFC 9051 4.3)."""
    while found := _LITERAL.search(line[-_LITERAL_CHARACTERS:]):
        yield Receive(octets=literal_octets(found[1]))
        line = yield RECEIVE


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
