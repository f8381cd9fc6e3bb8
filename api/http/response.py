"""Answers: static files, headers and gzip for all of them, and a limit on streams.

`StaticFile` answers a file from memory, plain or compressed. `TransportHeaders` adds headers
for browsers and caches, and compresses large bodies. `Streams` limits how many streams a
worker writes at a time, because each occupies a thread for as long as its reader takes.
"""

from __future__ import annotations

import gzip
import weakref
import zlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Final, Self

import falcon

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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

_GZIP: Final = 16 + zlib.MAX_WBITS
_FAST: Final = 1


class TransportHeaders:
    """Falcon middleware that adds `HEADERS`; an endpoint that sets one of them wins."""

    def process_request(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Add the headers, before anything can fail."""
        resp.set_headers(_HEADERS)

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - the signature is the framework's
    ) -> None:
        """Compress a large body for a client that takes gzip (RFC 9110, 8.4)."""
        # From the environment: get_header() raises within when there is none.
        accepted = req.env.get("HTTP_ACCEPT_ENCODING")
        if accepted is not None and accepts_gzip(accepted):
            _compress(resp)


def _compress(resp: falcon.Response) -> None:
    if resp.get_header("Content-Encoding") is not None:
        return
    body = resp.render_body()
    if body is None or len(body) < GZIP_FROM_BYTES:
        return
    compressor = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
    resp.media = None
    resp.data = compressor.compress(body) + compressor.flush()
    resp.set_header("Content-Encoding", "gzip")
    resp.append_header("Vary", "Accept-Encoding")


MOST: Final = 2
"""Streams that a worker process writes at a time; it has twice as many threads or more."""

_RETRY_SECONDS: Final = 5


class Streams:
    """Starts streams, `most` at a time. Each occupies a thread until its client has read all."""

    def __init__(self, most: int = MOST) -> None:
        self._free = BoundedSemaphore(most)

    def stream(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Return a stream of pieces. Raises 503 when too many are being read."""
        if not self._free.acquire(blocking=False):
            raise falcon.HTTPServiceUnavailable(
                description="Too many streams are being read; try again later, or ask for pages",
                retry_after=_RETRY_SECONDS,
            )
        return _Stream(pieces, self._free)


class _Stream:
    """The pieces of one stream. The server always calls `close`, which frees the place."""

    def __init__(self, pieces: Iterator[bytes], room: BoundedSemaphore) -> None:
        self._pieces = pieces
        # A finalizer, because an answer that is never sent is never closed.
        self.close = weakref.finalize(self, room.release)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)
