"""Answers: static files, headers and gzip for all of them, and a limit on streams.

`StaticFile` answers a file from memory, plain or compressed. `TransportHeaders` adds headers
for browsers and caches, and compresses large bodies. `Streams` limits how many streams a
worker writes at a time, and how many of them one token may have.
"""

from __future__ import annotations

import asyncio
import gzip
import weakref
import zlib
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

import falcon
import falcon.asgi

from api.http.execution import Cost, Execution

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from api.http.permissions import Principal


_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent, plain and compressed, and the tag that names this content."""

    content: bytes
    compressed: bytes
    media_type: str
    entity_tag: str

    @classmethod
    def of(cls, name: str, content: bytes, compressed: bytes | None = None) -> StaticFile:
        """Return a file; a small one is compressed here."""
        return cls(
            content,
            gzip.compress(content, mtime=0) if compressed is None else compressed,
            _MEDIA_TYPES[Path(name).suffix],
            sha256(content).hexdigest()[:32],
        )

    @classmethod
    def read(cls, path: Path) -> StaticFile:
        """Read a file, and its compressed twin where there is one."""
        twin = path.with_name(path.name + ".gz")
        return cls.of(path.name, path.read_bytes(), twin.read_bytes() if twin.exists() else None)

    def answer(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send the file, or 304 to a caller who has it."""
        resp.etag = self.entity_tag
        resp.set_header("Cache-Control", "no-cache")
        resp.append_header("Vary", "Accept-Encoding")
        if any(tag in ("*", self.entity_tag) for tag in req.if_none_match or ()):
            resp.status = 304
            return
        resp.content_type = self.media_type
        if accepts_gzip(req.get_header("Accept-Encoding", default="")):
            resp.set_header("Content-Encoding", "gzip")
            resp.data = self.compressed
        else:
            resp.data = self.content


def accepts_gzip(header: str) -> bool:
    """Return whether a caller takes gzip (RFC 9110, 12.5.3); a weight of zero refuses it."""
    for choice in header.lower().split(","):
        coding, _, weight = choice.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_HEADERS: Final = list(HEADERS.items())
GZIP_FROM_BYTES: Final = 2048
"""Smaller answers fit one or two packets: compressing them costs more than it saves."""

_THREAD_FROM_BYTES: Final = 256 * 1024
"""Larger answers are compressed in a thread: this much takes about 3 ms."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_FAST: Final = 1


class TransportHeaders:
    """Falcon middleware that adds `HEADERS`; an endpoint that sets one of them wins."""

    async def process_request(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Add the headers, before anything can fail."""
        resp.set_headers(_HEADERS)

    async def process_response(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - the signature is the framework's
    ) -> None:
        """Compress a large body for a client that takes gzip (RFC 9110, 8.4)."""
        accepted = req.get_header("Accept-Encoding")
        if accepted is not None and accepts_gzip(accepted):
            await _compress(resp)


async def _compress(resp: falcon.asgi.Response) -> None:
    if resp.get_header("Content-Encoding") is not None:
        return
    body = await resp.render_body()
    if body is None or len(body) < GZIP_FROM_BYTES:
        return
    resp.media = None
    if len(body) < _THREAD_FROM_BYTES:
        resp.data = _gzip(body)
    else:
        resp.data = await asyncio.to_thread(_gzip, body)
    resp.set_header("Content-Encoding", "gzip")
    resp.append_header("Vary", "Accept-Encoding")


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
    return compressor.compress(body) + compressor.flush()


MAX_STREAMS: Final = 20
"""Streams that a worker process writes at a time."""

MAX_STREAMS_OF_TOKEN: Final = 2
"""Streams that one token may read from a worker process at a time."""

_RETRY_SECONDS: Final = 5


class Streams:
    """Starts streams: up to `most` at a time, and up to `share` for each token.

    A stream holds no thread while its client reads: each piece is made by a thread when the
    one before is sent.
    """

    def __init__(
        self,
        execution: Execution,
        most: int = MAX_STREAMS,
        share: int = MAX_STREAMS_OF_TOKEN,
    ) -> None:
        self._execution = execution
        self._most = most
        self._share = share
        self._lock = Lock()
        self._open: Counter[str] = Counter()

    def stream(self, principal: Principal, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Return a stream of pieces. Raises 503 when too many are being read."""
        token_id = principal.token_id
        with self._lock:
            if self._open.total() >= self._most or self._open[token_id] >= self._share:
                raise falcon.HTTPServiceUnavailable(
                    description="Too many streams are being read; try again later, or ask for "
                    "pages",
                    retry_after=_RETRY_SECONDS,
                )
            self._open[token_id] += 1

        def make_piece() -> bytes | None:
            return next(pieces, None)

        def make() -> Awaitable[bytes | None]:
            tenant = principal.organization_id
            return self._execution.run(Cost.COSTLY_READ, tenant, make_piece)

        return _Stream(make, lambda: self._release(token_id))

    def _release(self, token_id: str) -> None:
        with self._lock:
            self._open[token_id] -= 1
            if not self._open[token_id]:
                del self._open[token_id]


class _Stream:
    """The pieces of one stream. Falcon calls `close` at its end, which frees its place."""

    def __init__(
        self, make: Callable[[], Awaitable[bytes | None]], release: Callable[[], None]
    ) -> None:
        self._make = make
        # A finalizer, because an answer that is never sent is never closed.
        self._release = weakref.finalize(self, release)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._make()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def close(self) -> None:
        """Free the place of the stream."""
        self._release()
