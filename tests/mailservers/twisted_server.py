"""Twisted's IMAP and POP3 servers, a test requirement, in a process of their own.

Its IMAP offers STARTTLS and announces LOGINDISABLED before it; its POP3 knows no STLS.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mailservers.processes import free_ports, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mailservers.certificates import ServerCertificate


PROGRAM = "tests.mailservers.twisted_program"
USER = "alice"
PASSWORD = 'correct "horse"'


@dataclass(frozen=True)
class Twisted:
    """Where the servers listen."""

    imap_port: int
    imaps_port: int
    pop3_port: int
    pop3s_port: int


@contextlib.contextmanager
def twisted(certificate: ServerCertificate) -> Iterator[Twisted]:
    """Run the servers until the block ends."""
    with tempfile.TemporaryDirectory(prefix="twisted-") as folder:
        base = Path(folder)
        ports = free_ports(4)
        files = [str(path) for path in certificate.write(base)]
        command = [sys.executable, "-m", PROGRAM, *map(str, ports), *files]
        with running(command, ports, base / "output"):
            yield Twisted(*ports)
