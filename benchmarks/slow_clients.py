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
import sys
import time
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
    """The slow clients. `sent` counts the connections that they have opened."""

    def __init__(self, host: str, port: int, token: str | None) -> None:
        self._address = host, port
        self._authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        self.opened = 0

    async def run(self, kind: str) -> None:
        """Open one connection after the other, and be slow on each."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(*self._address)
                self.opened += 1
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


async def measure(host: str, port: int, arguments: argparse.Namespace) -> int:
    """Run load and probes, print what came of them, and return the exit code."""
    load = Load(host, port, arguments.token if arguments.with_token else None)
    kinds = ("header", "body", "silent")
    tasks = [asyncio.create_task(load.run(kind)) for _ in range(EACH) for kind in kinds]
    await asyncio.sleep(WARM_UP_SECONDS)
    times: list[float | None] = [
        await probe(host, port, path, arguments.token)
        for _ in range(PROBES // 2)
        for path in ("/healthz", arguments.path)
    ]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    good = sorted(each for each in times if each is not None)
    failed = len(times) - len(good)
    p50, p99 = (good[int(len(good) * share)] for share in (0.5, 0.99))
    print(
        f"{len(times)} probes, {failed} failed, p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
        f"worst {good[-1]:.1f} ms; {load.opened} slow connections"
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
    return asyncio.run(measure(host, int(port), given))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
