"""Behaviour of a connection that depends on the timing of the server."""

from __future__ import annotations

import errno
from socket import AddressFamily
from typing import TYPE_CHECKING, cast

import pytest
import trio

from domain.check import Category, Phase
from mail import prober as prober_module
from mail.net.connect import ClientSocket
from mail.net.tls import probing_context, sent_chain
from mail.net.transport import Connection
from mail.protocols.dialogue import ProbeFailed
from mail.protocols.target import ProbeTarget
from tests.mail.fault_cases import TIMEOUT_SECONDS
from tests.mailservers.scripted import scripted, steps

if TYPE_CHECKING:
    from domain.kinds import TlsMode
    from mail.prober import Prober


class _Socket:
    """Fails to send, and has something left to read."""

    def __init__(self, code: int, unread: bytes) -> None:
        self._code = code
        self._unread = unread

    async def send(self, _data: bytes) -> int:
        raise OSError(self._code, "no")

    async def recv(self, _size: int) -> bytes:
        unread, self._unread = self._unread, b""
        return unread


def _connection(code: int, unread: bytes) -> Connection:
    return Connection(cast("ClientSocket", _Socket(code, unread)))


async def test_last_words_are_heard_although_the_command_failed() -> None:
    connection = _connection(errno.EPIPE, b"421 4.3.2 shutting down\r\n")

    await connection.send(b"EHLO mx\r\n")

    assert await connection.receive() == b"421 4.3.2 shutting down"
    with pytest.raises(ProbeFailed) as caught:
        await connection.receive()
    assert caught.value.category is Category.CONNECTION_CLOSED


async def test_an_error_of_our_own_is_raised() -> None:
    with pytest.raises(OSError, match="no"):
        await _connection(errno.ENOMEM, b"").send(b"EHLO mx\r\n")


async def test_plaintext_in_a_packet_after_the_go_ahead_is_an_injection() -> None:
    with scripted(steps(b"220 go\r\n", "MORE", b"250 injected\r\n")) as port:
        socket = ClientSocket(AddressFamily.AF_INET)
        await socket.connect("127.0.0.1", port)
        connection = Connection(socket)
        try:
            assert await connection.receive() == b"220 go"
            await connection.send(b"MORE\r\n")  # so that it is a packet of its own
            await trio.lowlevel.wait_readable(socket._socket)
            with pytest.raises(ProbeFailed) as caught:
                await connection.start_tls(probing_context(), None)
        finally:
            connection.close()

    assert caught.value.category is Category.STARTTLS_INJECTION


async def test_a_greeting_in_plaintext_where_tls_begins_at_once_is_no_injection() -> None:
    with scripted(steps(b"220 mx\r\n")) as port:
        socket = ClientSocket(AddressFamily.AF_INET)
        await socket.connect("127.0.0.1", port)
        connection = Connection(socket)
        try:
            await trio.lowlevel.wait_readable(socket._socket)
            with pytest.raises(ProbeFailed) as caught:
                await connection.start_tls(probing_context(), None)
        finally:
            connection.close()

    assert caught.value.category is Category.TLS_NOT_TLS


@pytest.mark.parametrize(("tls", "phase"), [("auto", Phase.GREETING), ("implicit", Phase.TLS)])
async def test_a_reset_that_beats_the_connect_belongs_to_what_would_have_come(
    prober: Prober, monkeypatch: pytest.MonkeyPatch, tls: TlsMode, phase: Phase
) -> None:
    async def reset(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise ProbeFailed(Category.CONNECTION_RESET, "reset")

    monkeypatch.setattr(prober_module, "dial", reset)
    outcome = await prober.probe(
        ProbeTarget(
            protocol="smtp", hostname="127.0.0.1", port=25, tls=tls, timeout_seconds=TIMEOUT_SECONDS
        )
    )

    assert (outcome.category, outcome.phase) == (Category.CONNECTION_RESET, phase)


def test_the_public_way_to_the_chain_is_preferred() -> None:
    class _Newer:
        def get_unverified_chain(self) -> list[bytes]:
            return [b"leaf", b"inner"]

    assert sent_chain(_Newer()) == (b"leaf", b"inner")
