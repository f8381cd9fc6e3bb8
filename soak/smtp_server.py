"""A mail server on loopback without any limit on connections."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.mailservers.scripted import scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mailservers.scripted import Peer


@contextmanager
def smtp_server() -> Iterator[int]:
    """Answer to every check until the block ends; give the port."""
    with scripted(_talk) as port:
        yield port


def _talk(peer: Peer) -> None:
    peer.send(b"220 mx.example.com ESMTP\r\n")
    while True:
        command = peer.read_line().strip().upper()
        if command.startswith(b"EHLO"):
            peer.send(b"250-mx.example.com\r\n250 AUTH PLAIN LOGIN\r\n")
        elif command.startswith(b"QUIT"):
            peer.send(b"221 2.0.0 bye\r\n")
            return
        else:
            peer.send(b"235 2.7.0 welcome\r\n")
