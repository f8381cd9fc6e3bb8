"""Plays a dialogue against bytes, without a socket or a loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.check import Category
from mail.protocols import PROTOCOLS
from mail.protocols.dialogue import Enter, ProbeFailed, Receive, Send, Upgrade, Warn
from mail.protocols.line_reader import LineReader
from mail.protocols.target import ProbeTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.kinds import TlsMode
    from mail.protocols.dialogue import Action, Dialogue
    from mail.protocols.target import ProtocolName


@dataclass
class Played:
    """What came of it: the category (None: the server ended first), and what was asked."""

    category: Category | None = None
    sent: list[bytes] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    upgrades: int = 0


def target(protocol: ProtocolName, tls: TlsMode, password: str = "canary-Passw0rd") -> ProbeTarget:
    """Make a target with a login and a mailbox."""
    return ProbeTarget(
        protocol=protocol,
        hostname="mx.example",
        port=1,
        tls=tls,
        timeout_seconds=1,
        user="alice@example.org",
        password=password,
        mailbox="INBOX",
    )


def play(asked: ProbeTarget, chunks: Iterable[bytes]) -> Played:
    """Feed a dialogue the chunks, as they come, until it ends or they do."""
    played = Played()
    try:
        _play(PROTOCOLS[asked.protocol].dialogue(asked, "[192.0.2.1]"), iter(chunks), played)
    except ProbeFailed as failure:
        played.category = failure.category
    except _EndOfStreamError:
        played.category = None
    return played


class _EndOfStreamError(Exception):
    pass


def _play(dialogue: Dialogue, chunks: Iterator[bytes], played: Played) -> None:
    reader = LineReader()
    answer: bytes | None = None
    while True:
        try:
            action: Action = dialogue.send(answer) if answer is not None else next(dialogue)
        except StopIteration:
            played.category = Category.OK
            return
        answer = b""
        match action:
            case Receive():
                answer = _receive(reader, action.octets, chunks)
            case Send():
                reader.start_reply()
                played.sent.append(action.line)
            case Warn():
                played.warnings.append(action.code)
            case Upgrade():
                played.upgrades += 1
            case Enter():
                pass


def _receive(reader: LineReader, octets: int | None, chunks: Iterator[bytes]) -> bytes:
    while (received := _next(reader, octets)) is None:
        chunk = next(chunks, None)
        if chunk is None:
            raise _EndOfStreamError
        reader.feed(chunk)
    return received


def _next(reader: LineReader, octets: int | None) -> bytes | None:
    return reader.next_line() if octets is None else reader.next_octets(octets)
