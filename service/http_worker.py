"""A worker process of the API: gunicorn's ASGI worker with this service's protocol and TLS.

gunicorn 27.0 fixes the class of the protocol in the method that serves, waits up to 30 s for
idle connections at a graceful stop, and reads certificates once. This class replaces that
method and the stop; forking, signals, heartbeat and event loop stay gunicorn's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from gunicorn.workers.gasgi import ASGIWorker
from typing_extensions import override

from api.http.log_throttle import LOG_THROTTLE
from service.http_handshake import Handshake
from service.http_protocol import MAX_IDLE, HttpProtocol, ServerContext
from service.tls import Certificate

if TYPE_CHECKING:
    from service.settings import Settings


BACKLOG: Final = 2048
_HEARTBEAT_SECONDS: Final = 1.0
_DRAIN_POLL_SECONDS: Final = 0.05
_MAX_FILES: Final = 65536


class ApiWorker(ASGIWorker):  # type: ignore[misc] # gunicorn has no types
    """Serves the API until the arbiter or a signal ends it."""

    alive: bool  # gunicorn's, which has no types.

    @override
    def init_process(self) -> None:
        self._ending = asyncio.Event()
        raise_file_limit()
        super().init_process()

    @override
    def handle_exit_signal(self) -> None:
        """End when the requests under way are answered."""
        super().handle_exit_signal()
        self._ending.set()

    @override
    def handle_quit_signal(self) -> None:
        """End at once."""
        super().handle_quit_signal()
        self._ending.set()

    @override
    async def _serve(self) -> None:
        settings: Settings = self.app.settings
        context: ServerContext = self.app.server_context(self.loop.time)
        certificate = Certificate.of(settings)
        self.loop.set_exception_handler(_log_loop_error)

        def connection() -> asyncio.BaseProtocol:
            protocol = HttpProtocol(self, context)
            if certificate is None:
                return protocol
            return Handshake(self.loop, protocol, certificate.context, context)

        for each in self.sockets:
            server = await self.loop.create_server(connection, sock=each.sock, backlog=BACKLOG)
            self.servers.append(server)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            context.waiting.trim()
            if certificate is not None:
                certificate.reload_if_changed()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _HEARTBEAT_SECONDS)
        self.alive = False
        await self._drain(context)

    async def _drain(self, context: ServerContext) -> None:
        """Take no more connections; answer what is asked, within the graceful time."""
        for server in self.servers:
            server.close()
        for connection in list(context.idle):
            connection.end_idle()
        deadline = self.loop.time() + self.cfg.graceful_timeout
        while self.nr_conns and not self._quick_shutdown and self.loop.time() < deadline:
            self.notify()
            context.end_unbegun()
            await asyncio.sleep(_DRAIN_POLL_SECONDS)


def _log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log errors that no connection caught; when files lack, each attempt to accept one fails."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)
        return
    LOG_THROTTLE.log(
        logging.ERROR,
        loop,
        "%s: %s",
        context["message"].partition("\n")[0],
        context["exception"],
    )


def raise_file_limit() -> None:
    """Allow this process as many open files as the system lets it have: connections are files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def waiting_limit() -> int:
    """Return how many connections may wait in a worker: half of the files that it may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


def idle_limit() -> int:
    """Return how many connections a worker keeps between requests: a quarter of its files."""
    return min(MAX_IDLE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
