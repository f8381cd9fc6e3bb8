"""A server that plays a script: the fault server of the prober's tests.

It uses blocking sockets in threads, because a server on trio cannot play all faults: it
never sends the alert of a failed TLS handshake.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.mailservers.processes import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator


JOIN_SECONDS = 30.0


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError:
        return False
    return True


NEEDS_IPV6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


class Peer:
    """The server's side of one connection, as a script sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""
        self.lines: list[bytes] = []
        self.ended_tls: bool | None = None
        """Whether the client ended its TLS session with close_notify; None while it goes on."""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._socket.sendall(data)

    def expect(self, command: str) -> bytes:
        """Read a line that begins with a command (after its tag, if any); return it."""
        line = self.read_line()
        if command.upper().encode() not in line.upper():
            raise AssertionError(f"expected {command}, the client sent {line!r}")
        return line

    def read_line(self) -> bytes:
        """Read up to the next line end."""
        while b"\n" not in self._buffer:
            data = self._receive()
            if not data:
                raise ConnectionAbortedError
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        self.lines.append(line.rstrip(b"\r"))
        return line

    def _receive(self) -> bytes:
        try:
            data = self._socket.recv(4096)
        except ssl.SSLEOFError:
            self.ended_tls = False
            raise
        if not data and isinstance(self._socket, ssl.SSLSocket):
            self.ended_tls = True
        return data

    def read_some(self) -> bytes:
        """Read whatever comes, such as the first bytes of a handshake."""
        return self._socket.recv(65536)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands as a server."""
        self._socket = context.wrap_socket(
            self._socket, server_side=True, suppress_ragged_eofs=False
        )

    def channel_binding(self, header: bytes, end_point: bytes) -> bytes:
        """Return the data of the binding that the header of a SCRAM client names."""
        if header == b"p=tls-server-end-point,,":
            return end_point
        if header != b"p=tls-unique,,":
            raise AssertionError(f"the client binds by {header!r}")
        if not isinstance(self._socket, ssl.SSLSocket):
            raise AssertionError("there is no TLS")  # noqa: TRY004 (a mistake of the client)
        return self._socket.get_channel_binding("tls-unique") or b""

    def end_sending(self) -> None:
        """Send the end of the stream and go on listening."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with a RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def pause(self, seconds: float) -> None:
        """Say nothing for a while, or until the client goes away."""
        self._socket.settimeout(seconds)
        try:
            if not self._socket.recv(65536):
                raise ConnectionAbortedError
        except TimeoutError:
            pass
        finally:
            self._socket.settimeout(None)

    def wait_for_end(self) -> None:
        """Say nothing more until the client goes away."""
        with contextlib.suppress(ConnectionAbortedError):
            while True:
                self.read_line()

    def abort(self) -> None:
        """Wake up the thread that waits on this connection; called from another thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


Script: TypeAlias = Callable[[Peer], None]


def steps(*parts: bytes | str | Script) -> Script:
    """Make a script: bytes are sent, texts are commands to wait for, functions are called.

    In the end it waits until the client goes away.
    """

    def play(peer: Peer) -> None:
        for part in parts:
            if isinstance(part, bytes):
                peer.send(part)
            elif isinstance(part, str):
                peer.expect(part)
            else:
                part(peer)
        peer.wait_for_end()

    return play


class ScriptedServer:
    """A server while it plays: `mistakes` of clients that did not follow the script."""

    def __init__(self, script: Script, listener: socket.socket) -> None:
        self.mistakes: list[BaseException] = []
        self._script = script
        self._listener = listener
        self._peers: list[Peer] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            peer = Peer(connection)
            self._peers.append(peer)
            thread = threading.Thread(target=self._play, args=(peer,))
            self._threads.append(thread)
            thread.start()

    def _play(self, peer: Peer) -> None:
        # A client that has seen enough goes away: that is how most scripts end.
        with contextlib.closing(peer), contextlib.suppress(OSError):
            try:
                self._script(peer)
            except AssertionError as mistake:
                self.mistakes.append(mistake)

    @property
    def lines(self) -> list[bytes]:
        """The lines that clients sent and the script read, in their order."""
        return [line for peer in self._peers for line in peer.lines]

    @property
    def ended_tls(self) -> set[bool]:
        """Whether clients ended their TLS sessions with close_notify, as far as it was seen."""
        return {each.ended_tls for each in self._peers if each.ended_tls is not None}

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._peers:
            peer.abort()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)


@contextlib.contextmanager
def recorded(
    script: Script, *, host: str = LOOPBACK, port: int = 0
) -> Iterator[tuple[int, ScriptedServer]]:
    """Play a script to each client that connects; yield the port, and what clients did."""
    listener = socket.create_server(
        (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
    )
    server = ScriptedServer(script, listener)
    try:
        yield listener.getsockname()[1], server
    finally:
        server.stop()


@contextlib.contextmanager
def scripted(script: Script, *, host: str = LOOPBACK, port: int = 0) -> Iterator[int]:
    """Play a script to each client that connects; yield the port.

    Raises:
        AssertionError: At the end, when a client did not follow the script.
    """
    with recorded(script, host=host, port=port) as (port_number, server):
        yield port_number
    for mistake in server.mistakes:
        raise mistake


@contextlib.contextmanager
def deaf(host: str = LOOPBACK, *, port: int = 0) -> Iterator[int]:
    """Listen on a port whose queue is full, so that the kernel drops a SYN; yield the port."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(
            socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        )
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket(listener.family))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname()[:2])
        yield listener.getsockname()[1]
