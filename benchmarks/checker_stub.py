"""A mail server that answers at once, or hangs at a chosen step, in a process of its own.

For benchmarks: it costs little itself, serves thousands of connections on loopback, and
speaks as much SMTP and IMAP as a check needs.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


HOST: Final = "127.0.0.1"
HANG_HOSTS: Final = tuple(f"127.77.{number // 100}.{number % 100 + 1}" for number in range(600))
"""Addresses of loopback that hang: many, because few checks go to one at a time."""

Hang = Literal["no", "connect", "greeting", "ehlo", "starttls", "tls", "auth"]
HANGS: Final[tuple[Hang, ...]] = ("connect", "greeting", "ehlo", "starttls", "tls", "auth")

_SMTP: Final = {
    b"EHLO": b"250-stub.example\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
    b"NOOP": b"250 ok\r\n",
    b"QUIT": b"221 bye\r\n",
    b"AUTH": b"235 welcome\r\n",
    b"STAR": b"220 go\r\n",
}
_SILENT_AFTER: Final = {(b"EHLO", "ehlo"), (b"STAR", "starttls"), (b"AUTH", "auth")}


class Session(asyncio.Protocol):
    """One connection. `hang` is the step after which the server sends nothing."""

    def __init__(self, tls: ssl.SSLContext, *, imap: bool, hang: Hang, greets: bool = True) -> None:
        self._tls = tls
        self._imap = imap
        self._hang = hang
        self._greets = greets
        self._transport: asyncio.Transport | None = None
        self._upgrade: asyncio.Task[None] | None = None
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what asyncio promises
        self._transport = transport
        if self._greets and self._hang not in {"greeting", "tls"}:
            capabilities = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] stub\r\n"
            transport.write(capabilities if self._imap else b"220 stub.example ESMTP\r\n")
        if self._early:
            self.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        """Answer to the commands; each comes in one piece."""
        if self._transport is None:
            # After STARTTLS the first command may be faster than the news of the handshake.
            self._early += data
            return
        if self._hang in {"greeting", "tls"}:
            return
        for line in data.splitlines():
            if self._imap:
                self._answer_imap(self._transport, *line.split(b" ", 1))
            else:
                self._answer_smtp(self._transport, line[:4].upper())

    def _answer_smtp(self, transport: asyncio.Transport, command: bytes) -> None:
        if (command, self._hang) in _SILENT_AFTER:
            return
        transport.write(_SMTP.get(command, b"502 not here\r\n"))
        if command == b"STAR":
            self._upgrade = asyncio.get_running_loop().create_task(self._start_tls(transport))
        elif command == b"QUIT":
            transport.close()

    def _answer_imap(self, transport: asyncio.Transport, tag: bytes, command: bytes) -> None:
        if command == b"LOGOUT":
            transport.write(b"* BYE bye\r\n" + tag + b" OK done\r\n")
            transport.close()
        elif command == b"CAPABILITY":
            transport.write(
                b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n" + tag + b" OK done\r\n"
            )
        else:
            transport.write(tag + b" OK done\r\n")

    async def _start_tls(self, transport: asyncio.Transport) -> None:
        inner = Session(self._tls, imap=False, hang="no", greets=False)
        try:
            upgraded = await asyncio.get_running_loop().start_tls(
                transport, inner, self._tls, server_side=True
            )
        except OSError:
            return
        if upgraded is not None:
            inner.connection_made(upgraded)


def _full_listeners() -> Iterator[socket.socket]:
    """Make listeners on one port that answer no SYN, because their backlog is full."""
    port = 0
    for host in HANG_HOSTS:
        listener = socket.socket()
        listener.bind((host, port))
        port = listener.getsockname()[1]
        listener.listen(0)
        yield listener
        for _ in range(2):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
            yield waiting


async def _serve(certificate: str, key: str) -> None:
    loop = asyncio.get_running_loop()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    ports: dict[str, int] = {}

    async def listen(
        name: str, *, imap: bool = False, hang: Hang = "no", inside: bool = False
    ) -> None:
        hosts = [HOST] if hang == "no" else list(HANG_HOSTS)
        for host in hosts:
            server = await loop.create_server(
                lambda: Session(tls, imap=imap, hang=hang),
                host,
                ports.get(name, 0),
                backlog=4096,
                ssl=tls if inside else None,
            )
            ports[name] = server.sockets[0].getsockname()[1]

    await listen("smtp")
    await listen("smtps", inside=True)
    await listen("imap", imap=True)
    full = list(_full_listeners())
    ports["connect"] = full[0].getsockname()[1]
    for hang in HANGS:
        if hang != "connect":
            await listen(hang, hang=hang)
    print(json.dumps(ports), flush=True)
    # Ends together with its parent process, whose end closes its standard input.
    await loop.run_in_executor(None, sys.stdin.read)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the stub listens."""

    smtp: int
    smtps: int
    imap: int
    hanging: dict[Hang, int]


@contextmanager
def running_stub(certificate: Path, key: Path) -> Iterator[Ports]:
    """Run a stub until the block ends."""
    command = [sys.executable, "-m", "benchmarks.checker_stub", str(certificate), str(key)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101
        ports = json.loads(process.stdout.readline())
        try:
            hanging = {hang: ports[hang] for hang in HANGS}
            yield Ports(ports["smtp"], ports["smtps"], ports["imap"], hanging)
        finally:
            process.stdin.close()
            process.terminate()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.freeze()
    asyncio.run(_serve(sys.argv[1], sys.argv[2]))
