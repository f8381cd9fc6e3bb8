"""The load: many kept-alive connections from one process of its own, until a count is reached.

A client that costs little leaves the machine to the server: requests are bytes made
beforehand, and of an answer only status and length are read.
"""

from __future__ import annotations

import selectors
import socket
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


TIMEOUT_SECONDS: Final = 60
_CHUNK: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Load:
    """`count` requests, taken in turn from `requests`, over some connections."""

    port: int
    requests: Sequence[bytes]
    count: int
    connections: int
    status: int = 200


def generator() -> ProcessPoolExecutor:
    """Return the process that makes the load; `submit(drive, load)` gives the seconds it took."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def request(method: str, path: str, token: str, body: bytes | None = None) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def drive(load: Load) -> float:
    """Send the requests and return how many seconds all answers took.

    Raises RuntimeError when an answer has another status than the load expects.
    """
    connections = [_Connection(load) for _ in range(min(load.connections, load.count))]
    unsent = iter(range(load.count))
    with selectors.DefaultSelector() as selector:
        started = time.perf_counter()
        for each, number in zip(connections, unsent, strict=False):
            selector.register(each.socket, selectors.EVENT_READ, each)
            each.send(number)
        answered = 0
        while answered < load.count:
            for each in _readable(selector):
                if each.receive():
                    answered += 1
                    number = next(unsent, -1)
                    if number >= 0:
                        each.send(number)
        seconds = time.perf_counter() - started
    for each in connections:
        each.socket.close()
    return seconds


class _Connection:
    """A kept-alive connection with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self.socket = socket.create_connection(("127.0.0.1", load.port), TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = load.requests
        self._expected = f"HTTP/1.1 {load.status} ".encode()
        self._received = b""

    def send(self, number: int) -> None:
        """Send the request whose turn it is."""
        self.socket.sendall(self._requests[number % len(self._requests)])

    def receive(self) -> bool:
        """Read what is there; return whether the answer is complete."""
        chunk = self.socket.recv(_CHUNK)
        if not chunk:
            raise RuntimeError("the server closed the connection")
        self._received += chunk
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(self._expected):
            raise RuntimeError(f"unexpected answer: {head[:80]!r} {body[:200]!r}")
        if len(body) < _length(head):
            return False
        self._received = b""
        return True


def _readable(selector: selectors.BaseSelector) -> list[_Connection]:
    ready = selector.select(TIMEOUT_SECONDS)
    if not ready:
        raise RuntimeError(f"no answer within {TIMEOUT_SECONDS} s")
    return [key.data for key, _ in ready]


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise RuntimeError("an answer without a Content-Length")
