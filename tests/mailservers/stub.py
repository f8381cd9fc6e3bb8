"""A small SMTP server whose behaviour a test changes while it runs.

It runs on a loop of its own in a thread and serves thousands of connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from tests.mailservers.processes import LOOPBACK

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from tests.mailservers.certificates import ServerCertificate


GREETING = "220 stub.example ESMTP"


class SmtpStub:
    """A running stub.

    `port` speaks SMTP with STARTTLS, `tls_port` SMTP inside TLS; both are there when it has
    a certificate, else only the first, without STARTTLS. Set `greeting` to make it fail,
    such as to `421 busy`; set `silent` to make it say nothing at all.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.port = 0
        self.tls_port = 0
        self.greeting = GREETING
        self.silent = False
        self.connections = 0
        self._tls = tls
        self._running: set[asyncio.Task[None]] = set()

    async def listen(self) -> list[asyncio.Server]:
        """Begin to serve."""
        servers = [await asyncio.start_server(self._accept, LOOPBACK, 0, backlog=1000)]
        self.port = servers[0].sockets[0].getsockname()[1]
        if self._tls is not None:
            servers.append(
                await asyncio.start_server(self._accept, LOOPBACK, 0, backlog=1000, ssl=self._tls)
            )
            self.tls_port = servers[1].sockets[0].getsockname()[1]
        return servers

    async def hang_up(self) -> None:
        """End all connections."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client goes away when it has seen enough.
        with contextlib.suppress(OSError):
            try:
                if self.silent:
                    await reader.read()
                else:
                    await self._talk(reader, writer)
            finally:
                writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{self.greeting}\r\n".encode())
        offers_tls = self._tls is not None and writer.get_extra_info("ssl_object") is None
        while line := await reader.readline():
            command = line[:4].upper()
            if command == b"EHLO":
                extensions = ["STARTTLS"] if offers_tls else ["AUTH PLAIN"]
                writer.write("250-stub.example\r\n250 {}\r\n".format(*extensions).encode())
            elif command == b"STAR" and offers_tls and self._tls is not None:
                writer.write(b"220 go\r\n")
                await writer.start_tls(self._tls)
                offers_tls = False
            elif command == b"AUTH":
                writer.write(b"235 welcome\r\n")
            elif command == b"NOOP":
                writer.write(b"250 ok\r\n")
            elif command == b"QUIT":
                writer.write(b"221 bye\r\n")
                await writer.drain()
                return
            else:
                writer.write(b"502 not here\r\n")


@contextlib.contextmanager
def smtp_stub(certificate: ServerCertificate | None = None) -> Iterator[SmtpStub]:
    """Run a stub until the block ends."""
    stub = SmtpStub(certificate.context() if certificate else None)
    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()
    ready = threading.Event()

    async def serve() -> None:
        servers = await stub.listen()
        ready.set()
        await stopped.wait()
        for server in servers:
            server.close()
        await stub.hang_up()
        for server in servers:
            await server.wait_closed()

    def run() -> None:
        with contextlib.closing(loop):
            loop.run_until_complete(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        if not ready.wait(30):
            raise TimeoutError("the stub did not start")
        yield stub
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
