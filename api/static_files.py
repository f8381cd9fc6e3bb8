"""Files that never change while the process runs: small, whole, and ready compressed."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import falcon

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
