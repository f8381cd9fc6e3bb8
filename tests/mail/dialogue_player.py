"""Plays a dialogue against bytes, without a socket or a loop."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from domain.check import Category
from mail.protocols import PROTOCOLS
from mail.protocols.dialogue import (
    BindChannel,
    DeriveKey,
    DrawNonce,
    Enter,
    Learn,
    ProbeFailed,
    Receive,
    Send,
    Upgrade,
    Warn,
)
from mail.protocols.line_reader import LineReader
from mail.protocols.target import ProbeTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.check import LoginFacts
    from domain.kinds import TlsMode
    from mail.protocols.dialogue import Action, Dialogue
    from mail.protocols.target import ProtocolName


@dataclass
class Played:
    """What came of it: the category (None: the server ended first), and what was asked."""

    category: Category | None = None
    sent: list[bytes] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    is_encrypted: bool = False
    upgrades: int = 0
    login: LoginFacts | None = None
    tried: list[str] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)


BINDING: Final = b"tls-exporter\0" + b"\7" * 32
"""The channel binding of every connection with TLS."""

MOST_ROUNDS: Final = 4096
"""Of hashing; more would only take time."""

NONCE: Final = b"fyko+d2lbbFgONRv9qkxdawL"
"""What every login draws: the nonce of the example in RFC 5802."""

SERVER_FIRST: Final = b"r=%b3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096" % NONCE
"""The answer of the server in that example."""


def target(
    protocol: ProtocolName,
    tls: TlsMode,
    password: str = "canary-Passw0rd",
    token: str | None = None,
) -> ProbeTarget:
    """Make a target with a login and a mailbox."""
    return ProbeTarget(
        protocol=protocol,
        hostname="mx.example",
        port=1,
        tls=tls,
        timeout_seconds=1,
        user="alice@example.org",
        password=password,
        access_token=token,
        mailbox="INBOX",
    )


def play(asked: ProbeTarget, chunks: Iterable[bytes]) -> Played:
    """Feed a dialogue the chunks, as they come, until it ends or they do."""
    played = Played(is_encrypted=asked.tls == "implicit")
    try:
        protocol = PROTOCOLS[asked.protocol]
        dialogue = protocol.dialogue(asked, "[192.0.2.1]")
        _play(dialogue, LineReader(protocol.limits), iter(chunks), played)
    except ProbeFailed as failure:
        played.category = failure.category
    except _EndOfStreamError:
        played.category = None
    return played


class _EndOfStreamError(Exception):
    pass


def _play(dialogue: Dialogue, reader: LineReader, chunks: Iterator[bytes], played: Played) -> None:
    answer: bytes | None = None
    while True:
        try:
            action: Action = dialogue.send(answer) if answer is not None else next(dialogue)
        except StopIteration:
            played.category = Category.OK
            return
        if isinstance(action, Receive):
            answer = _receive(reader, action.octets, chunks)
        elif isinstance(action, BindChannel | DrawNonce | DeriveKey):
            answer = _help_login(action, played)
        else:
            answer = b""
            _note(action, reader, played)


def _note(
    action: Send | Warn | Upgrade | Learn | Enter, reader: LineReader, played: Played
) -> None:
    match action:
        case Send():
            reader.start_reply()
            played.sent.append(action.line)
        case Warn():
            played.warnings.append(action.code)
        case Upgrade():
            played.upgrades += 1
        case Learn():
            used = action.login.used
            if used and used != (played.login.used if played.login else None):
                played.tried.append(used)
            played.login = action.login
        case Enter():
            pass


def _help_login(action: BindChannel | DrawNonce | DeriveKey, played: Played) -> bytes:
    match action:
        case BindChannel():
            return BINDING if played.upgrades or played.is_encrypted else b""
        case DrawNonce():
            return NONCE
        case DeriveKey():
            played.iterations.append(action.iterations)
            rounds = min(action.iterations, MOST_ROUNDS)
            return hashlib.pbkdf2_hmac(action.hash_name, action.password, action.salt, rounds)


def _receive(reader: LineReader, octets: int | None, chunks: Iterator[bytes]) -> bytes:
    while (received := _next(reader, octets)) is None:
        chunk = next(chunks, None)
        if chunk is None:
            raise _EndOfStreamError
        reader.feed(chunk)
    return received


def _next(reader: LineReader, octets: int | None) -> bytes | None:
    return reader.next_line() if octets is None else reader.next_octets(octets)
