"""One connection to a server: lines in, lines out, TLS in between.

It knows bytes and errors, and nothing of protocols or certificates. Deadlines are the
caller's: a cancelled connection can only be closed.
"""

from __future__ import annotations

import ssl
from _ssl import ENCODING_DER
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import trio

from checker import faults
from checker.failure import ProbeFailed
from checker.lines import LineReader
from domain.outcome import Category

READ_BYTES = 8192

_TlsStream: TypeAlias = "trio.SSLStream[trio.SocketStream]"


@dataclass(frozen=True, slots=True)
class TlsSession:
    """What a handshake settled. `chain` is what the server sent, leaf first, as DER."""

    version: str
    cipher: str
    chain: tuple[bytes, ...]


def probing_context() -> ssl.SSLContext:
    """Make the TLS context that all probes of a process share.

    It does not verify, because a bad certificate must still be read: `checker.certificates`
    judges it right after the handshake. It offers TLS 1.2 and later (RFC 8996).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Connection:
    """One connection to a server. Whoever made it must `close` it."""

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self._socket = socket
        self._plain = trio.SocketStream(socket)
        self._stream: trio.SocketStream | _TlsStream = self._plain
        self._lines = LineReader()

    @property
    def local_address(self) -> str:
        """Our own address on this connection."""
        address: str = self._socket.getsockname()[0]
        return address

    def close(self) -> None:
        """Close at once: a TLS farewell would wait for a peer that may be silent."""
        self._socket.close()

    async def send(self, line: bytes) -> None:
        """Send a line; what comes next is counted as a new reply."""
        self._lines.start_reply()
        try:
            await self._stream.send_all(line)
        except trio.BrokenResourceError as error:
            # A server that says goodbye and closes lets our command fail; its last words
            # still wait to be read, and tell more. Without any, reading fails as well.
            if faults.from_stream(error) is None:
                raise

    async def receive_line(self) -> bytes:
        """Return the next line without its line end."""
        while (line := self._lines.next_line()) is None:
            self._lines.feed(await self._receive_some())
        return line

    async def start_tls(self, context: ssl.SSLContext, server_name: str | None) -> TlsSession:
        """Shake hands; `server_name` is for SNI (RFC 6066 3: a name, never an address).

        Raises:
            ProbeFailed: The handshake fails, or plaintext came where TLS has to begin.
        """
        if self._lines.has_unread:
            # RFC 3207 6: somebody in the middle could have put commands or answers there.
            raise ProbeFailed(
                Category.STARTTLS_INJECTION,
                "the server sends plaintext after it agreed to start TLS",
            )
        stream = trio.SSLStream(
            self._plain, context, server_hostname=server_name, https_compatible=True
        )
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError as error:
            _raise_finding(error)
        self._stream = stream
        self._lines = LineReader()
        cipher = stream.cipher()
        return TlsSession(stream.version() or "", cipher[0] if cipher else "", _sent_chain(stream))

    async def _receive_some(self) -> bytes:
        try:
            data = await self._stream.receive_some(READ_BYTES)
        except trio.BrokenResourceError as error:
            _raise_finding(error)
        if not data:
            raise faults.closed()
        return bytes(data)


def _raise_finding(error: trio.BrokenResourceError) -> NoReturn:
    raise faults.from_stream(error) or error from error


def _sent_chain(stream: _TlsStream) -> tuple[bytes, ...]:
    """Return the certificates that the server sent, leaf first, as DER.

    Python has a public way to them from 3.13 on; before, only the object inside
    `ssl.SSLObject` knows them.
    """
    session: Any = stream._ssl_object  # noqa: SLF001 (trio forwards only what it lists)
    if hasattr(session, "get_unverified_chain"):
        return tuple(session.get_unverified_chain())
    chain = session._sslobj.get_unverified_chain() or ()  # noqa: SLF001 (see above)
    return tuple(each.public_bytes(ENCODING_DER) for each in chain)
