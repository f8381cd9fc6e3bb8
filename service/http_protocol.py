"""The HTTP side of a worker: gunicorn's ASGI protocol, with deadlines and documented errors.

gunicorn 27.0 has no deadline for the header of a request and for a silent connection, no limit
of connections for an address, and answers errors of its own as plain text. This protocol adds
them. A connection *waits* while its request is not whole; see `service.http_connections`.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from gunicorn.asgi.parser import (
    InvalidHeader,
    LimitRequestHeaders,
    ParseError,
    UnsupportedTransferCoding,
)
from gunicorn.asgi.protocol import _CACHED_SERVER_HEADER, ASGIProtocol
from typing_extensions import override

from api.http.client_address import UNKNOWN, TrustedProxies, holder_of
from api.http.errors import error_body, phrase
from api.http.log_throttle import LOG_THROTTLE
from api.http.request_log import Emit, new_request_id
from api.http.response import HEADERS
from service.http_connections import UnreadAnswers, WaitingConnections

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gunicorn.workers.base import Worker

    from service.http_handshake import Handshake


log = logging.getLogger("postwatch.api")

HEADER_SECONDS: Final = 10.0
"""How long the header of a request may take, from the connection or its first byte on."""

MAX_HEADER_BYTES: Final = 64 * 1024
"""Of the whole header of a request; gunicorn's limits of its lines and fields allow 800 KB."""

STALL_SECONDS: Final = 30.0
STALL_BYTES: Final = 30 * 1024
"""How much of its answer a client must read in STALL_SECONDS."""

MAX_UNREAD_BYTES: Final = 64 * 1024 * 1024
"""Of answers that lie in a worker because their clients do not read them."""

MAX_IDLE: Final = 1000
"""Connections that a worker keeps between two requests, if it may open so many files."""

LINGER_SECONDS: Final = 2.0
"""How long the rest of a refused request is read and dropped, so that its answer arrives."""

_MESSAGES: Final = {
    400: "The request is not valid HTTP/1.1",
    408: f"The header of the request was not whole within {HEADER_SECONDS:.0f} s",
    414: "The URL is too long",
    431: "The header of the request is too large, or has too many fields",
    500: "Something went wrong here, not with you",
    501: "The transfer coding is not known; send chunked or a Content-Length",
}
_NO_HOST: Final = "The request has no Host header, which HTTP/1.1 demands"
_BAD_REQUEST: Final = 400
_TIMEOUT: Final = 408
_TOO_LARGE: Final = 431
_ROUTE: Final = "(no route)"
_HTTP_1_1: Final = (1, 1)


class ServerContext:
    """What all connections of a worker share. The worker sets `log_request` when it has loaded."""

    def __init__(
        self,
        proxies: TrustedProxies,
        waiting: WaitingConnections,
        log_request: Emit,
        count_request: Callable[[str, str, int, float], None],
        max_idle: int = MAX_IDLE,
    ) -> None:
        self.proxies = proxies
        self.waiting = waiting
        self.unread = UnreadAnswers(MAX_UNREAD_BYTES)
        self._max_idle = max_idle
        self.log_request = log_request
        self.count_request = count_request
        self.idle: dict[HttpProtocol, None] = {}
        """Connections that are kept between two requests, the longest idle one first."""

    def end_unbegun(self) -> None:
        """End the connections that have sent no whole header yet, for a worker that stops."""
        for connection in self.waiting.connections():
            if isinstance(connection, HttpProtocol) and not connection.has_begun:
                connection.give_up()

    def note_idle(self, connection: HttpProtocol) -> None:
        """Note that a connection is idle; close the longest idle one when there are too many."""
        self.idle[connection] = None
        if len(self.idle) > self._max_idle:
            next(iter(self.idle)).end_idle()


class HttpProtocol(ASGIProtocol):  # type: ignore[misc] # gunicorn has no types
    """One connection."""

    # gunicorn's, which has no types.
    _closed: bool
    _current_request: Any
    _response_buffer: Any

    def __init__(self, worker: Worker, context: ServerContext) -> None:
        super().__init__(worker)
        self._context = context
        self.handshake: Handshake | None = None
        """The TLS below this protocol; None without TLS."""
        self._peer = UNKNOWN
        self._holder: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._unread = 0
        """Bytes that the client had not read when `_stalled` began."""
        self._header_bytes = 0
        self._began: float | None = None
        """When the first byte of the request came whose header is not whole yet."""
        self._refused: str | None = None
        self._lingers = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:
        """Wait for the first request."""
        if self.handshake is not None:
            self.handshake.end_waiting()
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else UNKNOWN
        self._holder = None if self._context.proxies.trusts(self._peer) else holder_of(self._peer)
        super().connection_made(transport)
        self._wait_for_request()

    @override
    def data_received(self, data: bytes) -> None:
        """Take bytes of a request; those after a refused one are dropped."""
        if self._closed or self._lingers:
            return
        begins = self._current_request is None and self._began is None
        if begins:
            self._began = time.perf_counter()
        self._header_bytes += len(data)
        super().data_received(data)
        if self._current_request is None and self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(_TOO_LARGE)
            return
        # Most requests come whole in one piece, and cost no timer.
        if begins and self._timer is None and not self._closed:
            if self._current_request is None:
                self._wait_for_request()
            elif not self._callback_parser.is_complete:
                self._context.waiting.add(self, self._holder)

    @override
    def _feed_callback_parser(self, data: bytes) -> bool:
        try:
            fed: bool = super()._feed_callback_parser(data)
        except ValueError:
            # Python reads no number of more than 4300 digits, such as a Content-Length.
            self._refuse(_BAD_REQUEST)
            return False
        return fed

    @override
    def _on_headers_complete(self) -> bool:
        """Begin a request. Raises ParseError for one that gunicorn takes and we do not."""
        skip: bool = super()._on_headers_complete()
        self._cancel_timer()
        self._began = None
        self._header_bytes = 0
        fault = _fault_of(self._current_request)
        if fault is not None:
            self._current_request = None
            self._request_ready.clear()
            if isinstance(fault, InvalidHeader):
                self._refused = _NO_HOST
            raise fault
        return skip

    @override
    def _is_websocket_upgrade(self, request: Any) -> bool:
        """No protocol is offered to change to: a request is answered as if it did not ask."""
        return False

    @override
    def _on_message_complete(self) -> None:
        super()._on_message_complete()
        self._context.waiting.remove(self)

    @override
    def _arm_keepalive_timer(self) -> None:
        super()._arm_keepalive_timer()
        if not self.worker.alive:
            self._keepalive_timeout()
        elif not self._closed and self._began is None:
            self._context.note_idle(self)

    @override
    def _cancel_keepalive_timer(self) -> None:
        super()._cancel_keepalive_timer()
        self._context.idle.pop(self, None)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        self._cancel_stalled()
        self._context.waiting.remove(self)
        self._context.unread.remove(self)
        self._context.idle.pop(self, None)
        # What waits to send more goes on and ends: it holds the answer in memory.
        super().resume_writing()
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self.note_unread()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self.note_read()

    def note_unread(self) -> None:
        """Note that an answer lies unread, and begin to watch whether the client reads."""
        self._watch_reading()
        self._context.unread.add(self, self._holder, self._unread)

    def note_read(self) -> None:
        """Note that the client has read."""
        self._context.unread.remove(self)
        self._cancel_stalled()

    def end_unread(self) -> None:
        """End a connection whose client has not read its answer."""
        self.transport.abort()

    def give_up(self) -> None:
        """End a connection whose client keeps it waiting, with 408 where it has sent a part."""
        self._cancel_timer()
        self._context.waiting.remove(self)
        if self._closed:
            return
        if self._current_request is not None:
            # The body is missing: the operation that waits for it ends with the connection.
            self.transport.abort()
            return
        if self._began is not None:
            self._send_error_response(_TIMEOUT, "")
        self._close_transport()

    @property
    def has_begun(self) -> bool:
        """Whether the header of a request is whole."""
        return self._current_request is not None

    def end_idle(self) -> None:
        """End a connection that is kept between two requests."""
        self._cancel_keepalive_timer()
        unread = self._unread_bytes()
        self._keepalive_timeout()
        # Else TLS would wait half a minute for the goodbye of a client that is silent.
        self.worker.loop.call_later(LINGER_SECONDS if unread else 0, self.transport.abort)

    def _wait_for_request(self) -> None:
        """Count the connection as waiting, with a deadline for the header."""
        self._cancel_keepalive_timer()
        self._timer = self.worker.loop.call_later(HEADER_SECONDS, self.give_up)
        self._context.waiting.add(self, self._holder)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_reading(self) -> None:
        """End the connection unless its client goes on reading."""
        if self._stalled is None:
            self._unread = self._unread_bytes()
            self._stalled = self.worker.loop.call_later(STALL_SECONDS, self._judge_reading)

    def _judge_reading(self) -> None:
        self._stalled = None
        if self._unread - self._unread_bytes() >= STALL_BYTES:
            self._watch_reading()
            return
        LOG_THROTTLE.log(
            logging.WARNING,
            self._context,
            "%s read less than %d bytes of its answer in %d s; its connection is closed",
            self._peer,
            STALL_BYTES,
            round(STALL_SECONDS),
        )
        self.transport.abort()

    def _unread_bytes(self) -> int:
        """Return what the system has not taken yet; TLS passes all on to the transport below."""
        below = self.transport if self.handshake is None else self.handshake.below
        size: int = below.get_write_buffer_size()
        return size

    def _cancel_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _refuse(self, status: int) -> None:
        self._send_error_response(status, "")
        self._close_transport()

    @override
    def _send_response_start(
        self, status: int, headers: Any, request: Any, close: bool = False
    ) -> None:
        """Send status and header, without the name of the server."""
        super()._send_response_start(status, headers, request, close)
        self._response_buffer = self._response_buffer.replace(_CACHED_SERVER_HEADER, b"", 1)

    @override
    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """Answer an error that the server itself found, in the documented form.

        gunicorn's message may quote the request, so it is not shown.
        """
        if self._closed:
            return  # The client has left in the middle of its request: there is nobody to answer.
        request_id = new_request_id()
        text = self._refused or _MESSAGES.get(status) or phrase(status)
        body = error_body(status, text, request_id)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "X-Request-Id": request_id,
            "Connection": "close",
            **HEADERS,
            **dict(extra_headers),
        }
        lines = [f"HTTP/1.1 {status} {phrase(status)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._safe_write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self._lingers = True
        seconds = 0.0 if self._began is None else time.perf_counter() - self._began
        self._log_refusal(status, request_id, seconds)

    def _log_refusal(self, status: int, request_id: str, seconds: float) -> None:
        duration = round(seconds * 1000, 1)
        self._context.count_request("other", "none", status, seconds)
        if log.isEnabledFor(logging.INFO):
            line: dict[str, str | int | float | None] = {
                "message": f"- {_ROUTE} {status} {duration}ms",
                "method": "-",
                "route": _ROUTE,
                "status": status,
                "duration_ms": duration,
                "request_id": request_id,
                "client": self._peer,
            }
            self._context.log_request(logging.INFO, line)

    @override
    def _close_transport(self) -> None:
        """Close the connection; first drop what is left of a refused request.

        To close a socket with unread bytes resets the connection, and the client would lose
        the answer.
        """
        if self._closed or self.transport is None:
            return
        receiver = self._body_receiver
        is_whole = receiver is None or receiver._complete  # noqa: SLF001 - gunicorn asks it so
        self._lingers = self._lingers or not is_whole
        if not self._lingers or self.transport.is_closing():
            super()._close_transport()
            if self._unread_bytes():
                self._watch_reading()
            return
        self._closed = True
        self._resume_reading()
        with suppress(OSError):  # The client has reset the connection already.
            if self.transport.can_write_eof():
                self.transport.write_eof()
        self.worker.loop.call_later(LINGER_SECONDS, self.transport.abort)


def _fault_of(request: Any) -> ParseError | None:  # noqa: ANN401 - gunicorn has no types
    """Return what is wrong with a request that gunicorn takes, None if nothing is."""
    fields = request.headers_bytes
    if request.version >= _HTTP_1_1 and not any(name == b"host" for name, _ in fields):
        return InvalidHeader(_NO_HOST)  # RFC 9112, 3.2
    for name, value in fields:
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            return UnsupportedTransferCoding("a body that is compressed, too")  # RFC 9112, 6.1
    if sum(len(name) + len(value) for name, value in fields) > MAX_HEADER_BYTES:
        return LimitRequestHeaders("the header is too large")
    return None
