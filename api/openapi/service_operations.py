"""The endpoints about the service itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.openapi.operations import JSON, DocumentedAnswer, Operation, json_answer, path_parameter
from api.openapi.parameters import IF_NONE_MATCH
from api.openapi.vocabulary import closed, ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.http.fields import Schema


TAG: Final = "Service"
_TEXT: Final[Schema] = {"type": "string"}
_ENTITY_TAG: Final = ref("EntityTag", "headers")
_UNCHANGED: Final = DocumentedAnswer("The caller has it already", headers={"ETag": _ENTITY_TAG})


def components() -> Schema:
    """Return the schemas of this family."""
    part = {
        "ok": {"type": "boolean"},
        "lag": {"type": "integer", "minimum": 0, "description": "Events behind the log."},
        "error": {"type": "string", "description": "What went wrong, as a word."},
    }
    return {
        "Health": closed({"status": {"type": "string", "const": "ok"}}),
        "ReadinessPart": closed(part, optional=frozenset({"lag", "error"})),
        "Readiness": closed(
            {
                "status": {"type": "string", "enum": ["ok", "unfit"]},
                "parts": {"type": "object", "additionalProperties": ref("ReadinessPart")},
            }
        ),
    }


def operations(documentation_files: tuple[str, ...]) -> Iterator[Operation]:
    """Return the endpoints; the files are those of the page that shows this document."""
    yield Operation(
        method="get",
        path="/healthz",
        name="getHealth",
        tag=TAG,
        summary="Whether the process is alive",
        answers={200: json_answer("It takes requests", "Health")},
        is_open=True,
    )
    yield Operation(
        method="get",
        path="/readyz",
        name="getReadiness",
        tag=TAG,
        summary="Whether the log is writable and the views are caught up",
        answers={
            200: json_answer("Everything is fit", "Readiness"),
            503: json_answer("Some part is not; the body says which", "Readiness"),
        },
        is_open=True,
    )
    yield Operation(
        method="get",
        path="/metrics",
        name="getMetrics",
        tag=TAG,
        summary="Numbers for Prometheus",
        answers={200: DocumentedAnswer("In the text format of Prometheus", {"text/plain": _TEXT})},
        errors=(403,),
    )
    yield Operation(
        method="get",
        path="/openapi.json",
        name="getOpenApi",
        tag=TAG,
        summary="This document",
        parameters=(IF_NONE_MATCH,),
        answers={200: _file("OpenAPI 3.1", JSON, {"type": "object"}), 304: _UNCHANGED},
        is_open=True,
    )
    yield Operation(
        method="get",
        path="/docs",
        name="getDocumentation",
        tag=TAG,
        summary="This document as a page to read and to try",
        parameters=(IF_NONE_MATCH,),
        answers={200: _file("The page", "text/html", _TEXT), 304: _UNCHANGED},
        is_open=True,
    )
    yield Operation(
        method="get",
        path="/docs/{name}",
        name="getDocumentationFile",
        tag=TAG,
        summary="A file of that page",
        parameters=(
            path_parameter("name", {"type": "string", "enum": list(documentation_files)}, "Which."),
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
