"""Starts a server's process, waits until it listens, and always stops it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from random import SystemRandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


LOOPBACK = "127.0.0.1"
START_SECONDS = 40.0
STOP_SECONDS = 10.0


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = range(15_000 + _WORKER % 16, 32_000, 16)
"""The ports of this worker: no two workers choose the same one at the same time. They are below
the kernel's range for outgoing connections, which could take a port before the server does."""


def free_ports(count: int) -> list[int]:
    """Return different ports on loopback on which no process listens."""
    found: list[int] = []
    for port in SystemRandom().sample(_PORTS, len(_PORTS)):
        with contextlib.suppress(OSError), socket.socket() as trial:
            trial.bind((LOOPBACK, port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"there are not {count} free ports in {_PORTS}")


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], ports: Sequence[int], log: Path, *, host: str = LOOPBACK
) -> Iterator[None]:
    """Run a server in the foreground until the block ends."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(each) for each in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        for port in ports:
            _wait_until_listening(process, (host, port), log)
        yield
    finally:
        _stop(process)


def _wait_until_listening(
    process: subprocess.Popen[bytes], address: tuple[str, int], log: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended: {log.read_text(errors='replace')}")
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    raise TimeoutError(f"nobody listens on {address}: {log.read_text(errors='replace')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
