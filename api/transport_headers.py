"""What every answer carries: headers for browsers and caches, and gzip where it pays."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from api.static_files import accepts_gzip

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon

HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_HEADERS: Final = list(HEADERS.items())
GZIP_FROM_BYTES: Final = 2048
"""Below this an answer fits a packet or two, and packing it costs more than it saves."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_FAST: Final = 1


class TransportHeaders:
    """Falcon middleware. An endpoint that sets one of the headers itself replaces ours."""

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
        """Pack a large body for a client that takes gzip (RFC 9110, 8.4)."""
        # From the environment: get_header() raises within when there is none.
        accepted = req.env.get("HTTP_ACCEPT_ENCODING")
        if accepted is not None and accepts_gzip(accepted):
            _pack(resp)


def _pack(resp: falcon.Response) -> None:
    if resp.get_header("Content-Encoding") is not None:
        return
    body = resp.render_body()
    if body is None or len(body) < GZIP_FROM_BYTES:
        return
    packer = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
    resp.media = None
    resp.data = packer.compress(body) + packer.flush()
    resp.set_header("Content-Encoding", "gzip")
    resp.append_header("Vary", "Accept-Encoding")
