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
from api.openapi.operations import JSON, DocumentedAnswer, DocumentedOperation, path_parameter
from api.openapi.parameters import IF_NONE_MATCH
from api.openapi.resource import SERVICE, Resource, Route
from api.openapi.vocabulary import ref

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from api.http.fields import Schema
    from api.resources.parts import Parts


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


class OpenApi:
    """GET /openapi.json."""

    def __init__(self, document: Schema) -> None:
        self._file = StaticFile.of("openapi.json", orjson.dumps(document))

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


_TEXT: Final[Schema] = {"type": "string"}
_ENTITY_TAG: Final = ref("EntityTag", "headers")
_UNCHANGED: Final = DocumentedAnswer("The caller has it already", headers={"ETag": _ENTITY_TAG})


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/openapi.json",
        name="getOpenApi",
        tag=SERVICE.name,
        summary="This document",
        parameters=(IF_NONE_MATCH,),
        answers={200: _file("OpenAPI 3.1", JSON, {"type": "object"}), 304: _UNCHANGED},
        is_open=True,
    )
    yield DocumentedOperation(
        method="get",
        path="/docs",
        name="getDocumentation",
        tag=SERVICE.name,
        summary="This document as a page to read and to try",
        parameters=(IF_NONE_MATCH,),
        answers={200: _file("The page", "text/html", _TEXT), 304: _UNCHANGED},
        is_open=True,
    )
    yield DocumentedOperation(
        method="get",
        path="/docs/{name}",
        name="getDocumentationFile",
        tag=SERVICE.name,
        summary="A file of that page",
        parameters=(
            path_parameter("name", {"type": "string", "enum": list(FILES)}, "Which."),
            IF_NONE_MATCH,
        ),
        answers={
            200: DocumentedAnswer(
                "The file",
                {"text/javascript": _TEXT, "text/css": _TEXT, "image/svg+xml": _TEXT},
                {"ETag": _ENTITY_TAG},
            ),
            304: _UNCHANGED,
        },
        errors=(404,),
        is_open=True,
    )


def _file(description: str, media_type: str, schema: Schema) -> DocumentedAnswer:
    return DocumentedAnswer(description, {media_type: schema}, {"ETag": _ENTITY_TAG})


def _routes(parts: Parts) -> Iterator[Route]:
    yield Route("/openapi.json", OpenApi(parts.document()))
    documentation = Documentation()
    yield Route("/docs", documentation)
    yield Route("/docs/{name}", documentation, "file")


RESOURCE: Final = Resource(routes=_routes, operations=_operations)
