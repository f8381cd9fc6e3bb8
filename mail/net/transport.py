"""One connection to a server: sends and receives lines, in clear and by TLS.

It knows nothing of protocols and certificates. The caller sets deadlines; after a
cancellation a connection can only be closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.check import Category
from mail.net import errors
from mail.net.tls import TlsChannel
from mail.protocols.dialogue import ProbeFailed
from mail.protocols.line_reader import SHORT_LINES, LineReader, ReplyLimits

if TYPE_CHECKING:
    import ssl

    from mail.net.connect import ClientSocket
    from mail.net.tls import TlsSession


READ_BYTES = 8192


class Connection:
    """One connection to a server. The caller that makes it must `close` it."""

    def __init__(self, socket: ClientSocket, limits: ReplyLimits = SHORT_LINES) -> None:
        self._socket = socket
        self._limits = limits
        self._tls: TlsChannel | None = None
        self._lines = LineReader(limits)
        self._has_talked = False

    @property
    def local_address(self) -> str:
        """The local address of this connection."""
        return self._socket.local_address

    @property
    def unread(self) -> bytes:
        """The beginning of what the server sent and is no whole line yet."""
        return self._lines.unread

    def close(self) -> None:
        """Close at once. TLS takes its farewell, and does not wait for that of the server."""
        if self._tls is not None:
            self._tls.end()
        self._socket.close()

    async def send(self, line: bytes) -> None:
        """Send a line. What the server sends next is counted as a new reply."""
        self._lines.start_reply()
        try:
            await self._send_all(line)
        except OSError as error:
            # The server has closed. Its last words may wait to be read, and say why; without
            # any, reading fails as well.
            if errors.from_network(error) is None:
                raise

    async def receive(self, octets: int | None = None) -> bytes:
        """Return the next line without its line end, or exactly so many octets.

        Raises:
            ProbeFailed: The connection ends or fails, or the reply is over its limits.
        """
        self._has_talked = True
        while (received := self._next(octets)) is None:
            try:
                data = await self._receive_some()
            except OSError as error:
                raise errors.from_network(error) or error from error
            if not data:
                raise errors.closed()
            self._lines.feed(data)
        return received

    def _next(self, octets: int | None) -> bytes | None:
        return self._lines.next_line() if octets is None else self._lines.next_octets(octets)

    async def start_tls(self, context: ssl.SSLContext, server_name: str | None) -> TlsSession:
        """Shake hands.

        Raises:
            ProbeFailed: The handshake fails, or plaintext came where TLS has to begin. The
                reply holds the plaintext that a server sent instead of TLS.
        """
        try:
            # After the go-ahead a server waits for the handshake. Bytes that are already here
            # may come from an attacker in the middle (RFC 3207 6). Bytes that come later make
            # the handshake fail, like those of a server that cannot do TLS.
            if self._has_talked and (self._lines.has_unread or self._socket.has_unread()):
                raise ProbeFailed(
                    Category.STARTTLS_INJECTION,
                    "the server sends plaintext after it agreed to start TLS",
                )
            self._tls = TlsChannel(self._socket, context, server_name)
            session = await self._tls.handshake()
        except OSError as error:
            failure = errors.from_network(error)
            if failure is not None and failure.category is Category.TLS_NOT_TLS and self._tls:
                failure.reply = self._tls.handshake_bytes
            raise failure or error from error
        self._lines = LineReader(self._limits)
        return session

    def channel_binding(self) -> bytes:
        """Return what binds a login to this TLS connection: type, NUL, data; b"" without TLS."""
        return self._tls.channel_binding() if self._tls is not None else b""

    async def _receive_some(self) -> bytes:
        if self._tls is not None:
            return await self._tls.receive_some()
        return await self._socket.recv(READ_BYTES)

    async def _send_all(self, data: bytes) -> None:
        if self._tls is not None:
            await self._tls.send_all(data)
            return
        while data:
            data = data[await self._socket.send(data) :]
