"""A client that reads its answer slowly is served; one that hardly reads is not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from gunicorn.config import Config

from api.http.client_address import TrustedProxies
from service.http_connections import WaitingConnections
from service.http_protocol import STALL_BYTES, STALL_SECONDS, HttpProtocol, ServerContext

if TYPE_CHECKING:
    from collections.abc import Callable


class Timers:
    """An event loop that notes what it is to call later."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Note a call."""
        assert seconds == STALL_SECONDS
        self.due.append(call)
        loop: Any = SimpleNamespace(get_debug=lambda: False, _timer_handle_cancelled=print)
        return asyncio.TimerHandle(0, call, (), loop)


class Unread:
    """A transport with bytes that the client has not read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.is_aborted = False

    def get_write_buffer_size(self) -> int:
        """Return how many bytes lie unread."""
        return self.size

    def abort(self) -> None:
        """End."""
        self.is_aborted = True


@pytest.fixture
def timers() -> Timers:
    return Timers()


def paused(timers: Timers, transport: Unread) -> HttpProtocol:
    """Return a connection whose client has not read all yet."""
    worker: Any = SimpleNamespace(cfg=Config(), log=None, asgi=None, loop=timers)
    waiting = WaitingConnections(9, 9, lambda: 0.0)
    context = ServerContext(TrustedProxies(), waiting, lambda *_: None, lambda *_: None)
    protocol = HttpProtocol(worker, context)
    protocol.transport = transport
    protocol.pause_writing()
    return protocol


def test_a_client_that_goes_on_reading_is_waited_for(timers: Timers) -> None:
    transport = Unread(STALL_BYTES * 3)
    paused(timers, transport)
    for _ in range(2):
        transport.size -= STALL_BYTES
        timers.due.pop()()
        assert not transport.is_aborted
    transport.size -= STALL_BYTES - 1
    timers.due.pop()()
    assert transport.is_aborted


def test_a_client_that_has_read_all_is_not_watched(timers: Timers) -> None:
    protocol = paused(timers, Unread(STALL_BYTES))
    protocol.resume_writing()
    protocol.pause_writing()
    assert len(timers.due) == 2, "a new watch"
