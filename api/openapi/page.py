"""The contract, served: `/openapi.json`, and `/docs`, a page that shows it.

The page is Swagger UI, served by the API itself. It makes no outside request, and its content
security policy forbids any.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import falcon
import orjson

from api.http.execution import Cost
from api.http.operation import costs
from api.http.response import StaticFile
from api.openapi.document import build_document

if TYPE_CHECKING:
    from collections.abc import Mapping


_STATIC: Final = Path(__file__).parents[1] / "static"
PAGE: Final = _STATIC / "docs.html"
FILES: Final[Mapping[str, Path]] = {
    "swagger-ui-bundle.js": _STATIC / "swagger-ui" / "swagger-ui-bundle.js",
    "swagger-ui.css": _STATIC / "swagger-ui" / "swagger-ui.css",
    "docs.js": _STATIC / "docs.js",
    "favicon.svg": _STATIC / "favicon.svg",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def document_text() -> bytes:
    """Return the document as it is kept in `docs/openapi.json`, for people to read."""
    return orjson.dumps(build_document(FILES), option=orjson.OPT_INDENT_2) + b"\n"


class OpenApi:
    """GET /openapi.json."""

    def __init__(self) -> None:
        self._file = StaticFile.of("openapi.json", orjson.dumps(build_document(FILES)))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send the document."""
        self._file.answer(req, resp)


class Documentation:
    """GET /docs and the files of the page."""

    def __init__(self) -> None:
        self._page = StaticFile.read(PAGE)
        self._files: dict[str, StaticFile] = {}

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send the page."""
        resp.set_header("Content-Security-Policy", _POLICY)
        resp.set_header("Referrer-Policy", "no-referrer")
        self._page.answer(req, resp)

    @costs(Cost.COSTLY_READ)
    def on_get_file(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Send a file; each is read when it is first asked for, for most workers never."""
        if name not in FILES:
            raise falcon.HTTPNotFound(description="Not found")
        if name not in self._files:
            self._files[name] = StaticFile.read(FILES[name])
        self._files[name].answer(req, resp)
