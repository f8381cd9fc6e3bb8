"""The POP3 dialogue: greeting, CAPA, STLS, login, STAT, QUIT.

Follows RFC 1939, 2449, 2595, 3206 and 5034. Sans-I/O: it asks for actions (see
`mail.protocols.dialogue`) and judges replies. It reads no message and deletes none.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple

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
    Send,
    greeting_refused,
    other_protocol,
    starttls_not_offered,
    starttls_refused,
)
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
from mail.protocols.refusals import Meaning, Refusal, read_refusal
from mail.protocols.sasl import Shows

if TYPE_CHECKING:
    from collections.abc import Generator

    from mail.protocols.target import Credentials, ProbeTarget


_STATUS = re.compile(rb"(\+OK|-ERR)(?: |$)", re.IGNORECASE)
_RESPONSE_CODE = re.compile(rb"-ERR \[([A-Z/-]+)", re.IGNORECASE)
_TIMESTAMP = re.compile(rb"<[^<>]+@[^<>]+>")
_SYSTEM: Final = frozenset({b"SYS/TEMP", b"SYS/PERM"})

_MOST_DIGITS: Final = 7
"""Of a LOGIN-DELAY in seconds; a longer one is not believed."""


class _Pop3Reply(NamedTuple):
    ok: bool
    line: bytes

    @property
    def code(self) -> bytes:
        """The response code in brackets of a refusal (RFC 2449 8), upper case, or b""."""
        found = _RESPONSE_CODE.match(self.line)
        return found[1].upper() if found else b""


def dialogue(target: ProbeTarget, _client_name: str) -> Dialogue:
    """Talk to a POP3 server as a mail client does, up to the size of the mailbox."""
    return _Pop3(target).run()


class _Pop3:
    def __init__(self, target: ProbeTarget) -> None:
        self._target = target
        self._encrypted = target.tls == "implicit"
        self._timestamp: bytes | None = None
        self._capabilities: dict[bytes, list[bytes]] | None = None

    def run(self) -> Dialogue:
        yield Enter(Phase.GREETING)
        yield from self._greeting()
        yield from self._capa()
        yield from self._stls()
        if self._target.credentials:
            yield Enter(Phase.AUTH)
            if (yield from self._login(self._target.credentials)):
                yield Enter(Phase.MAILBOX if self._target.mailbox else Phase.SERVICE)
                yield from self._stat()
        yield Enter(Phase.QUIT)
        yield from self._quit()

    def _greeting(self) -> Generator[Action, bytes, None]:
        answer = yield from _read_answer(Category.NOT_POP3)
        if not answer.ok:
            meaning = self._refusal(answer).meaning
            is_temporary = meaning in {Meaning.TEMPORARY, Meaning.LIMITED, Meaning.IN_USE}
            raise greeting_refused(answer.line, temporary=is_temporary)
        found = _TIMESTAMP.search(answer.line)
        self._timestamp = found[0] if found else None

    def _capa(self) -> Generator[Action, bytes, None]:
        yield Enter(Phase.CAPABILITY)
        answer = yield from _ask(b"CAPA")
        if not answer.ok:
            # RFC 2449 is younger than POP3: a server without CAPA is a good server.
            self._capabilities = None
            return
        found: dict[bytes, list[bytes]] = {}
        while (line := (yield RECEIVE)) != b".":
            keyword, *arguments = line.upper().split() or [b""]
            found[keyword] = arguments
        self._capabilities = found

    def _stls(self) -> Generator[Action, bytes, None]:
        if not self._target.wants_starttls:
            return
        if not self._offers(b"STLS"):
            if self._target.tls == "require":
                raise starttls_not_offered(b"CAPA " + b" ".join(self._capabilities or ()), "STLS")
            yield PLAINTEXT
            return
        yield Enter(Phase.STARTTLS)
        answer = yield from _ask(b"STLS")
        if not answer.ok:
            raise starttls_refused(answer.line, "STLS")
        yield UPGRADE
        self._encrypted = True
        yield from self._capa()

    def _offers(self, keyword: bytes) -> bool:
        return keyword in (self._capabilities or {})

    def _login(self, credentials: Credentials) -> Generator[Action, bytes, bool]:
        names = mechanism_names((self._capabilities or {}).get(b"SASL", []))
        announces_user = self._capabilities is None or self._offers(b"USER")
        methods = [Method("APOP", lambda: self._apop(credentials), reveals=False)]
        if self._timestamp is None:
            methods.clear()
        if announces_user or not (names or methods):
            methods.append(Method("USER", lambda: self._user_pass(credentials)))
        offer = LoginOffer(
            names=names,
            methods=tuple(methods),
            passwords=("USER", "PLAIN", "LOGIN"),
            encrypted=self._encrypted,
            tls_is_offered=self._offers(b"STLS"),
            min_interval_seconds=self._login_delay(),
        )
        return (yield from log_in(self._target, credentials, _Pop3Channel(self), offer))

    def _login_delay(self) -> int | None:
        """Return the announced seconds between two logins (RFC 2449 6.5)."""
        words = (self._capabilities or {}).get(b"LOGIN-DELAY", [])
        is_number = bool(words) and words[0].isdigit() and len(words[0]) <= _MOST_DIGITS
        return int(words[0]) if is_number else None

    def _user_pass(self, credentials: Credentials) -> AttemptSteps:
        answer = yield from _ask(b"USER " + credentials.user.encode())
        if not answer.ok:
            return Attempt(self._refused_user(answer), Shows.USER)
        if not self._encrypted:
            yield PASSWORD_IN_CLEAR
        answer = yield from _ask(b"PASS ", credentials.password.encode())
        return Attempt(None if answer.ok else self._refusal(answer), Shows.SECRET)

    def _refused_user(self, answer: _Pop3Reply) -> Refusal:
        """Return what a refused USER means: the server has not seen a password."""
        refusal = self._refusal(answer)
        is_code_alone = refusal.meaning is Meaning.CREDENTIALS and answer.code == b"AUTH"
        wants_tls = self._offers(b"STLS") and (is_code_alone or not refusal.is_known)
        if wants_tls and not self._encrypted:
            # It offers STLS and says nothing of the user.
            return Refusal(Meaning.NEEDS_TLS, answer.line)
        return refusal

    def _apop(self, credentials: Credentials) -> AttemptSteps:
        # RFC 1939 7 defines APOP with MD5.
        text = (self._timestamp or b"") + credentials.password.encode()
        digest = hashlib.md5(text, usedforsecurity=False).hexdigest().encode("ascii")
        answer = yield from _ask(b"APOP " + credentials.user.encode() + b" ", digest)
        return Attempt(None if answer.ok else self._refusal(answer), Shows.SECRET)

    def _refusal(self, answer: _Pop3Reply) -> Refusal:
        return read_refusal(
            "pop3",
            answer.code,
            answer.line,
            encrypted=self._encrypted,
            marks_credentials=self._offers(b"AUTH-RESP-CODE"),
        )

    def read_auth_answer(self) -> AuthSteps:
        """Read one answer within a SASL exchange (RFC 5034 4)."""
        line = yield RECEIVE
        if line == b"+" or line.startswith(b"+ "):
            return AuthAnswer(AuthState.CHALLENGE, line[2:])
        answer = _parse(line, Category.PROTOCOL_ERROR)
        if answer.ok:
            return AuthAnswer(AuthState.ACCEPTED)
        return AuthAnswer(AuthState.REFUSED, refusal=self._refusal(answer))

    def _stat(self) -> Generator[Action, bytes, None]:
        """Ask for the size of the mailbox: some servers log in and then cannot open it."""
        answer = yield from _ask(b"STAT")
        if not answer.ok:
            raise ProbeFailed(
                Category.MAILBOX_UNAVAILABLE, "the mailbox cannot be opened", reply=answer.line
            )

    def _quit(self) -> Generator[Action, bytes, None]:
        answer = yield from _ask(b"QUIT")
        if answer.ok:
            return
        if answer.code in _SYSTEM and self._target.credentials:
            message = "the login works and the server then fails"
            raise ProbeFailed(
                Category.SERVICE_UNAVAILABLE, message, reply=answer.line, phase=Phase.SERVICE
            )
        raise ProbeFailed(Category.PROTOCOL_ERROR, "QUIT is refused", reply=answer.line)


class _Pop3Channel(SaslChannel):
    # RFC 5034 4 allows an initial response, and older servers do not know it.
    takes_initial = False

    def __init__(self, pop3: _Pop3) -> None:
        self._pop3 = pop3

    @override
    def start(self, name: bytes, initial: bytes | None) -> AuthSteps:
        return self._send(Send(b"AUTH " + name))

    @override
    def respond(self, response: bytes) -> AuthSteps:
        return self._send(Send(b"", response))

    @override
    def cancel(self) -> AuthSteps:
        return self._send(Send(b"*"))

    def _send(self, command: Send) -> AuthSteps:
        yield command
        return (yield from self._pop3.read_auth_answer())


def _ask(command: bytes, secret: bytes = b"") -> Generator[Action, bytes, _Pop3Reply]:
    yield Send(command, secret)
    return (yield from _read_answer(Category.PROTOCOL_ERROR))


def _read_answer(when_malformed: Category) -> Generator[Action, bytes, _Pop3Reply]:
    return _parse((yield RECEIVE), when_malformed)


def _parse(line: bytes, when_malformed: Category) -> _Pop3Reply:
    found = _STATUS.match(line)
    if found is None:
        raise other_protocol(when_malformed, "POP3", line)
    return _Pop3Reply(found[1].upper() == b"+OK", line)
