"""What slow clients cost a healthy one: probes beside 900 connections that trickle or say nothing.

300 connections trickle a header, 300 a body, 300 are silent; each that ends is opened again.
Beside them 1,000 probes ask /healthz and one monitor, each on a connection of its own. The
script prints failures and times, and ends with 1 when a probe fails or the 99th percentile is
100 ms or more.

    postwatch up &
    python -m benchmarks.slow_clients 127.0.0.1:8025 --token wsm_... --path /api/smtp-monitors/...

Without `--with-token` the slow clients send no token.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import sys
import time
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


EACH: Final = 300
PROBES: Final = 1000
PAUSE_SECONDS: Final = 0.5
WARM_UP_SECONDS: Final = 3.0
LIMIT_MS: Final = 100.0
_TIMEOUT_SECONDS: Final = 10.0


class Load:
    """The slow clients."""

    def __init__(self, host: str, port: int, token: str | None) -> None:
        self._address = host, port
        self._authorization = f"Authorization: Bearer {token}\r\n" if token else ""

    async def run(self, kind: str) -> None:
        """Open one connection after the other, and be slow on each."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(*self._address)
                try:
                    await getattr(self, f"_{kind}")(reader, writer)
                finally:
                    writer.close()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _silent(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def _header(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"GET /healthz HTTP/1.1\r\n{self._authorization}X-Slow: ".encode())
        await _trickle(reader, writer)

    async def _body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            f"POST /api/smtp-monitors HTTP/1.1\r\nHost: slow\r\n{self._authorization}"
            "Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n".encode()
        )
        await _trickle(reader, writer)


async def _trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then until the other side ends the connection."""
    while not reader.at_eof():
        writer.write(b"a")
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(4096), PAUSE_SECONDS)


async def probe(host: str, port: int, path: str, token: str) -> float | None:
    """Ask once on a new connection; return the milliseconds, None for a failure."""
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: probe\r\nAuthorization: Bearer {token}\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            answer = await reader.read()
            writer.close()
    except (OSError, TimeoutError):
        return None
    is_whole = answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"}")
    return (time.perf_counter() - begun) * 1000 if is_whole else None


async def load(host: str, port: int, token: str | None) -> None:
    """Be all the slow clients, until the process is ended."""
    clients = Load(host, port, token)
    kinds = ("header", "body", "silent")
    await asyncio.gather(*(clients.run(kind) for _ in range(EACH) for kind in kinds))


async def measure(host: str, port: int, path: str, token: str) -> int:
    """Probe, print what came of it, and return the exit code."""
    times: list[float | None] = [
        await probe(host, port, each, token)
        for _ in range(PROBES // 2)
        for each in ("/healthz", path)
    ]
    good = sorted(each for each in times if each is not None)
    failed = len(times) - len(good)
    p50, p99 = (good[int(len(good) * share)] if good else math.inf for share in (0.5, 0.99))
    worst = good[-1] if good else math.inf
    print(
        f"{len(times)} probes, {failed} failed, "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {worst:.1f} ms"
    )
    return int(failed > 0 or p99 >= LIMIT_MS)


def main(arguments: Sequence[str]) -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("address", help="host:port of the API or its proxy")
    parser.add_argument("--token", required=True, help="a token for the probes")
    parser.add_argument("--path", required=True, help="the URL of one monitor")
    parser.add_argument("--with-token", action="store_true", help="slow clients send the token")
    given = parser.parse_args(arguments)
    host, _, port = given.address.rpartition(":")
    slow_token = given.token if given.with_token else None
    # In a process of its own: the work of 900 clients must not show in the times of the probes.
    slow = get_context("spawn").Process(target=_load, args=(host, int(port), slow_token))
    slow.start()
    try:
        time.sleep(WARM_UP_SECONDS)
        return asyncio.run(measure(host, int(port), given.path, given.token))
    finally:
        slow.terminate()
        slow.join()


def _load(host: str, port: int, token: str | None) -> None:
    asyncio.run(load(host, port, token))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
