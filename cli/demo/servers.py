"""Mail servers on loopback, healthy and broken, for the demo and for tests.

They run in a process of their own with their own event loop (server_process.py). This side
starts that process, reads its ports, and makes sure that it ends.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def stop(process: subprocess.Popen[bytes], patience_seconds: float) -> None:
    """Terminate a process and wait for its end; kill it after `patience_seconds`."""
    process.terminate()
    try:
        process.wait(patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


HOST: Final = "127.0.0.1"
USER: Final = "alice@demo.example"
PASSWORD: Final = "correct-horse"  # noqa: S105 - of a mailbox that exists in the demo only
PACKAGES: Final = ("aiosmtpd", "trustme", "twisted")
"""What the servers need beside Postwatch itself: the extra `demo`."""

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0


class DemoUnavailableError(Exception):
    """The servers cannot be started; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class DemoServer:
    """One server: where it listens."""

    port: int
    host: str = HOST


@dataclass(frozen=True, slots=True)
class DemoServers:
    """All servers. `ca_file` holds the CA, as PEM, that signed every certificate.

    A login is USER with PASSWORD. Certificates are for 127.0.0.1 and `localhost`, unless
    the name says otherwise. `silent` accepts and sends nothing; nothing listens on `refused`.
    """

    ca_file: Path
    smtp_starttls: DemoServer
    smtps: DemoServer
    smtp_plain: DemoServer
    smtp_expired: DemoServer
    smtps_expires_soon: DemoServer
    imap_starttls: DemoServer
    imaps: DemoServer
    imaps_wrong_host: DemoServer
    pop3: DemoServer
    pop3s: DemoServer
    silent: DemoServer
    refused: DemoServer


def missing_packages() -> list[str]:
    """Return what must be installed before the servers can run."""
    return [name for name in PACKAGES if find_spec(name) is None]


@contextlib.contextmanager
def demo_servers(folder: Path) -> Iterator[DemoServers]:
    """Run the servers until the block ends; their CA and their log go into a folder.

    Raises:
        DemoUnavailableError: A package is missing, or the servers do not start.
    """
    missing = missing_packages()
    if missing:
        raise DemoUnavailableError(
            f"the demo needs {', '.join(missing)}; install with: pip install 'postwatch[demo]'"
        )
    ca_file = folder / "ca.pem"
    with _running(folder, ca_file) as ports:
        yield DemoServers(ca_file, **{name: DemoServer(port) for name, port in ports.items()})


@contextlib.contextmanager
def _running(folder: Path, ca_file: Path) -> Iterator[dict[str, int]]:
    log_path = folder / "servers.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
            [sys.executable, "-m", "cli.demo.server_process", str(ca_file)],
            # The servers end when this pipe closes, also when this process is killed.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # Ctrl-C reaches this process only, which stops the servers last.
            start_new_session=True,
        )
    try:
        yield _ports(process.stdout, log_path)
    finally:
        stop(process, _STOP_SECONDS)
        for pipe in filter(None, (process.stdin, process.stdout)):
            pipe.close()


def _ports(stdout: IO[bytes] | None, log: Path) -> dict[str, int]:
    """Wait for the line that is written once all servers listen, or for the process's end."""
    ready = stdout is not None and select.select([stdout], [], [], _START_SECONDS)[0]
    line = stdout.readline() if stdout and ready else b""
    if not line:
        words = log.read_text("utf-8", "replace").strip().splitlines()
        raise DemoUnavailableError(
            f"the demo's mail servers do not start: {words[-1] if words else 'its log is empty'}"
        )
    ports: dict[str, int] = orjson.loads(line)
    return ports
