"""TLS handshakes of the API: a connection waits for its client from its first byte on.

asyncio tells a protocol of a TLS connection when the handshake is done. Until then nobody would
count the connection, and clients that begin no handshake could use up the files of a worker.
"""

from __future__ import annotations

from asyncio import sslproto
from typing import TYPE_CHECKING

from typing_extensions import override

from api.http.client_address import UNKNOWN, holder_of
from service.http_protocol import HEADER_SECONDS, HttpProtocol, ServerContext

if TYPE_CHECKING:
    import asyncio
    from ssl import SSLContext


class Handshake(sslproto.SSLProtocol):
    """The TLS of one connection, counted as waiting until the handshake is done."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: HttpProtocol,
        tls: SSLContext,
        context: ServerContext,
    ) -> None:
        super().__init__(
            loop,
            protocol,
            tls,
            None,  # type: ignore[arg-type] # nobody waits; asyncio takes None
            server_side=True,
            ssl_handshake_timeout=round(HEADER_SECONDS),
        )
        self._waiting = context.waiting
        self._proxies = context.proxies
        self._protocol = protocol
        protocol.handshake = self

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the handshake."""
        self.below = transport
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else UNKNOWN
        trusted = self._proxies.trusts(address)
        self._waiting.add(self, None if trusted else holder_of(address))
        super().connection_made(transport)

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self.end_waiting()
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        """Note that the client does not read what is encrypted for it."""
        super().pause_writing()
        self._protocol.note_unread()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._protocol.note_read()

    def give_up(self) -> None:
        """End a connection whose client does not go on with the handshake."""
        self.end_waiting()
        self.below.abort()

    def end_waiting(self) -> None:
        """Note that the handshake is done, or that the connection has ended."""
        self._waiting.remove(self)
