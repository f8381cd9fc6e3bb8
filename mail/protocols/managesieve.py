"""The ManageSieve dialogue: greeting, STARTTLS, login, NOOP, LOGOUT (RFC 5804).

Sans-I/O: it asks for actions (see `mail.protocols.dialogue`) and judges responses. It reads
no script and changes none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

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
    Receive,
    Send,
    greeting_refused,
    other_protocol,
    proof_refused,
    service_closing,
    starttls_not_offered,
    starttls_refused,
)
from mail.protocols.line_reader import ReplyLimits, literal_octets
from mail.protocols.login import (
    AuthAnswer,
    AuthState,
    AuthSteps,
    LoginOffer,
    SaslChannel,
    log_in,
    mechanism_names,
)
from mail.protocols.refusals import Meaning, read_refusal

if TYPE_CHECKING:
    from collections.abc import Generator

    from mail.protocols.target import Credentials, ProbeTarget


LIMITS: Final = ReplyLimits(line_bytes=8 * 1024)
"""A capability is two strings of 1,024 octets (RFC 5804 4), and servers list more than that."""

Capabilities: TypeAlias = dict[bytes, bytes]
"""What a server can do: name in upper case to value, b"" where there is none (RFC 5804 1.7)."""

# RFC 5804 section 4: a quoted string holds at most so many octets; a literal has no limit.
_MAX_QUOTED_OCTETS = 1024

_TOKEN = re.compile(
    rb'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"'
    rb"|\{(?P<literal>[0-9]+)\+?\}\Z"
    rb"|(?P<mark>[()])"
    rb'|(?P<atom>[^\s"()]+))',
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


class _Token(NamedTuple):
    """One word of a response. The value of a literal is its length until it is received."""

    kind: str
    value: bytes


@dataclass(frozen=True, slots=True)
class _Response:
    """One response: its tokens, and the words as they came, for people."""

    tokens: tuple[_Token, ...]
    words: bytes

    @property
    def status(self) -> bytes:
        """`OK`, `NO` or `BYE`; b"" for a capability or a challenge."""
        return self.tokens[0].value.upper() if self.tokens[0].kind == "atom" else b""

    @property
    def code(self) -> bytes:
        """The response code in parentheses (RFC 5804 1.3), upper case, or b""."""
        has_code = self.tokens[1:2] == (_Token("mark", b"("),)
        return self.value(2).upper() if has_code else b""

    def value(self, index: int) -> bytes:
        """Return the value of one token, b"" after the last."""
        return self.tokens[index].value if index < len(self.tokens) else b""


def dialogue(target: ProbeTarget, _client_name: str) -> Dialogue:
    """Talk to a ManageSieve server as a client that edits scripts does, up to the login."""
    yield Enter(Phase.GREETING)
    capabilities = yield from _greeting()
    encrypted = target.tls == "implicit"
    if target.wants_starttls:
        encrypted = b"STARTTLS" in capabilities
        if encrypted:
            capabilities = yield from _starttls()
        elif target.tls == "require":
            raise starttls_not_offered(b" ".join(capabilities))
        else:
            yield PLAINTEXT
    if target.credentials:
        yield Enter(Phase.AUTH)
        yield from _login(target, target.credentials, capabilities, encrypted=encrypted)
        yield Enter(Phase.SERVICE)
        response = yield from _ask(b"NOOP")
        if response.status == b"NO":
            yield proof_refused("NOOP", response.words)
    yield Enter(Phase.QUIT)
    response = yield from _ask(b"LOGOUT", leaving=True)
    if response.status == b"NO":
        raise ProbeFailed(Category.PROTOCOL_ERROR, "LOGOUT is refused", reply=response.words)


def _greeting() -> Generator[Action, bytes, Capabilities]:
    capabilities, response = yield from _read_capabilities(Category.NOT_MANAGESIEVE)
    if response.status != b"OK":
        refusal = read_refusal("managesieve", response.code, response.words, encrypted=False)
        is_temporary = refusal.meaning in {Meaning.TEMPORARY, Meaning.LIMITED}
        raise greeting_refused(response.words, temporary=is_temporary)
    if not capabilities:
        # RFC 5804 1.7: a server must name itself. Servers of other protocols greet with OK too.
        raise ProbeFailed(
            Category.NOT_MANAGESIEVE, "the greeting lists no capability", reply=response.words
        )
    return capabilities


def _starttls() -> Generator[Action, bytes, Capabilities]:
    """Start TLS and read the capabilities anew: the first ones were not protected."""
    yield Enter(Phase.STARTTLS)
    response = yield from _ask(b"STARTTLS")
    if response.status != b"OK":
        raise starttls_refused(response.words)
    yield UPGRADE
    # RFC 5804 2.2: the server lists its capabilities again, without being asked.
    yield Enter(Phase.CAPABILITY)
    capabilities, response = yield from _read_capabilities(Category.PROTOCOL_ERROR)
    if response.status == b"BYE":
        raise service_closing(response.words)
    if response.status != b"OK":
        raise ProbeFailed(
            Category.PROTOCOL_ERROR,
            "the server lists no capabilities after STARTTLS",
            reply=response.words,
        )
    return capabilities


def _login(
    target: ProbeTarget,
    credentials: Credentials,
    capabilities: Capabilities,
    *,
    encrypted: bool,
) -> Generator[Action, bytes, None]:
    names = mechanism_names(capabilities.get(b"SASL", b"").upper().split())
    offers_tls = b"STARTTLS" in capabilities
    offer = LoginOffer(
        names=names,
        encrypted=encrypted,
        # RFC 5804 1.7: an empty list means that a login is possible after STARTTLS only.
        reveal_is_forbidden=offers_tls and not names and not encrypted,
        tls_is_offered=offers_tls,
    )
    yield from log_in(target, credentials, _SieveChannel(encrypted), offer)


class _SieveChannel(SaslChannel):
    takes_initial = True

    def __init__(self, encrypted: bool) -> None:  # noqa: FBT001 (its only argument)
        self._encrypted = encrypted

    @override
    def start(self, name: bytes, initial: bytes | None) -> AuthSteps:
        command = b'AUTHENTICATE "%b"' % name
        if initial is None:
            return self._send(Send(command))
        return self._send(_send_string(command + b" ", initial))

    @override
    def respond(self, response: bytes) -> AuthSteps:
        return self._send(_send_string(b"", response))

    @override
    def cancel(self) -> AuthSteps:
        return self._send(Send(b'"*"'))

    def _send(self, command: Send) -> AuthSteps:
        yield command
        response = yield from _read_response(Category.PROTOCOL_ERROR)
        match response.status:
            case b"":
                return AuthAnswer(AuthState.CHALLENGE, response.value(0))
            case b"OK":
                # RFC 5804 2.1: `OK (SASL "...")` brings the last message of the server.
                data = response.value(3) if response.code == b"SASL" else b""
                return AuthAnswer(AuthState.ACCEPTED, data)
            case b"BYE":
                raise service_closing(response.words)
        refusal = read_refusal(
            "managesieve", response.code, response.words, encrypted=self._encrypted
        )
        return AuthAnswer(AuthState.REFUSED, refusal=refusal)


def _send_string(command: bytes, secret: bytes) -> Send:
    """Send a base64 string, quoted if it is short enough, else as a literal (RFC 5804 4)."""
    if len(secret) <= _MAX_QUOTED_OCTETS:
        return Send(command + b'"', secret, b'"')
    return Send(command + b"{%d+}\r\n" % len(secret), secret)


def _ask(command: bytes, *, leaving: bool = False) -> Generator[Action, bytes, _Response]:
    """Send a command and return the response that ends its answer."""
    yield Send(command)
    _, response = yield from _read_capabilities(Category.PROTOCOL_ERROR)
    if response.status == b"BYE" and not leaving:
        raise service_closing(response.words)
    return response


def _read_capabilities(
    when_malformed: Category,
) -> Generator[Action, bytes, tuple[Capabilities, _Response]]:
    """Read capabilities, if any, up to the response that ends them."""
    capabilities: Capabilities = {}
    while True:
        response = yield from _read_response(when_malformed)
        if response.status:
            return capabilities, response
        capabilities[response.value(0).upper()] = response.value(1)


def _read_response(when_malformed: Category) -> Generator[Action, bytes, _Response]:
    """Read one response: a line, and on after each literal in it."""
    tokens: list[_Token] = []
    words: list[bytes] = []
    while True:
        line = yield RECEIVE
        words.append(line)
        found = _parse(line)
        if found is None:
            raise other_protocol(when_malformed, "ManageSieve", line)
        tokens += found
        if not tokens or tokens[-1].kind != "literal":
            break
        literal = yield Receive(octets=literal_octets(tokens[-1].value))
        words += literal.splitlines()
        tokens[-1] = _Token("string", literal)
    response = _Response(tuple(tokens), b" / ".join(filter(None, words)))
    if not tokens or not (tokens[0].kind == "string" or response.status in {b"OK", b"NO", b"BYE"}):
        raise other_protocol(when_malformed, "ManageSieve", response.words)
    return response


def _parse(line: bytes) -> list[_Token] | None:
    """Return the tokens of a line, or None when it has a string without an end."""
    line = line.rstrip()
    tokens: list[_Token] = []
    position = 0
    while position < len(line):
        found = _TOKEN.match(line, position)
        if found is None or found.lastgroup is None:
            return None
        value = found[found.lastgroup]
        if found.lastgroup == "quoted":
            tokens.append(_Token("string", _ESCAPE.sub(rb"\1", value)))
        else:
            tokens.append(_Token(found.lastgroup, value))
        position = found.end()
    return tokens
