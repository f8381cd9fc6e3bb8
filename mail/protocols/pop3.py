"""The POP3 dialogue: greeting, CAPA, STLS, login, STAT, QUIT (RFC 1939, 2449, 2595, 3206).

Sans-I/O: it asks for actions (see `mail.protocols.dialogue`) and judges replies. It reads
no message and deletes none.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

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
    greeting_refused,
    login_refused,
    no_login_offered,
    starttls_not_offered,
    starttls_refused,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from mail.protocols.target import ProbeTarget


_STATUS = re.compile(rb"(\+OK|-ERR)(?: |$)", re.IGNORECASE)
_RESPONSE_CODE = re.compile(rb"-ERR \[([A-Z/-]+)", re.IGNORECASE)
_TIMESTAMP = re.compile(rb"<[^<>]+@[^<>]+>")
_TEMPORARY = frozenset({b"SYS/TEMP", b"IN-USE", b"LOGIN-DELAY"})


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
            yield from self._login(*self._target.credentials)
            if self._target.mailbox:
                yield Enter(Phase.MAILBOX)
                yield from self._stat()
        yield Enter(Phase.QUIT)
        answer = yield from _ask(b"QUIT")
        if not answer.ok:
            raise ProbeFailed(Category.PROTOCOL_ERROR, "QUIT is refused", reply=answer.line)

    def _greeting(self) -> Generator[Action, bytes, None]:
        answer = yield from _read_answer(Category.NOT_POP3)
        if not answer.ok:
            raise greeting_refused(answer.line, temporary=answer.code in _TEMPORARY)
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
        if b"STLS" not in (self._capabilities or {}):
            if self._target.tls == "require":
                raise starttls_not_offered("STLS")
            yield PLAINTEXT
            return
        yield Enter(Phase.STARTTLS)
        answer = yield from _ask(b"STLS")
        if not answer.ok:
            raise starttls_refused(answer.line, "STLS")
        yield UPGRADE
        self._encrypted = True
        yield from self._capa()

    def _login(self, user: str, password: str) -> Generator[Action, bytes, None]:
        user_missing = self._capabilities is not None and b"USER" not in self._capabilities
        mechanisms = (self._capabilities or {}).get(b"SASL", [])
        if user_missing and b"PLAIN" in mechanisms:
            answer = yield from self._auth_plain(user, password)
        elif user_missing and self._timestamp:
            answer = yield from self._apop(user, password, self._timestamp)
        else:
            answer = yield from self._user_pass(user, password, announced=not user_missing)
        if not answer.ok:
            raise login_refused(answer.line, temporary=answer.code in _TEMPORARY)

    def _user_pass(
        self, user: str, password: str, *, announced: bool
    ) -> Generator[Action, bytes, _Pop3Reply]:
        answer = yield from _ask(b"USER " + user.encode())
        if not answer.ok:
            if not announced and not self._encrypted:
                raise no_login_offered(answer.line, needs_tls=True)
            return answer
        if not self._encrypted:
            yield PASSWORD_IN_CLEAR
        return (yield from _ask(b"PASS ", password.encode()))

    def _auth_plain(self, user: str, password: str) -> Generator[Action, bytes, _Pop3Reply]:
        """Log in with SASL (RFC 5034 4), without the initial response that is optional."""
        if not self._encrypted:
            yield PASSWORD_IN_CLEAR
        yield Send(b"AUTH PLAIN")
        line = yield RECEIVE
        if line.startswith(b"+ ") or line == b"+":
            return (yield from _ask(b"", sasl.plain_response(user, password)))
        return _parse(line, Category.PROTOCOL_ERROR)

    def _apop(
        self, user: str, password: str, timestamp: bytes
    ) -> Generator[Action, bytes, _Pop3Reply]:
        # RFC 1939 7 defines APOP with MD5; it is used only where nothing better is left.
        digest = hashlib.md5(timestamp + password.encode(), usedforsecurity=False).hexdigest()
        return (yield from _ask(b"APOP " + user.encode() + b" ", digest.encode("ascii")))

    def _stat(self) -> Generator[Action, bytes, None]:
        answer = yield from _ask(b"STAT")
        if not answer.ok:
            raise ProbeFailed(
                Category.MAILBOX_UNAVAILABLE, "the mailbox cannot be opened", reply=answer.line
            )


def _ask(command: bytes, secret: bytes = b"") -> Generator[Action, bytes, _Pop3Reply]:
    yield Send(command, secret)
    return (yield from _read_answer(Category.PROTOCOL_ERROR))


def _read_answer(when_malformed: Category) -> Generator[Action, bytes, _Pop3Reply]:
    return _parse((yield RECEIVE), when_malformed)


def _parse(line: bytes, when_malformed: Category) -> _Pop3Reply:
    found = _STATUS.match(line)
    if found is None:
        raise ProbeFailed(when_malformed, "the answer is not POP3", reply=line)
    return _Pop3Reply(found[1].upper() == b"+OK", line)
