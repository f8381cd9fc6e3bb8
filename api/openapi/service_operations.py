"""The endpoints about the service itself: open to everyone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.openapi.operations import JSON, Answer, Operation, json_answer, path_parameter
from api.openapi.parameters import IF_NONE_MATCH
from api.openapi.vocabulary import ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.fields import Schema

TAG: Final = "Service"
_TEXT: Final[Schema] = {"type": "string"}
_ENTITY_TAG: Final = ref("EntityTag", "headers")
_UNCHANGED: Final = Answer("The caller has it already", headers={"ETag": _ENTITY_TAG})


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
            200: Answer(
                "The file",
                {"text/javascript": _TEXT, "text/css": _TEXT, "image/svg+xml": _TEXT},
                {"ETag": _ENTITY_TAG},
            ),
            304: _UNCHANGED,
        },
        errors=(404,),
        is_open=True,
    )


def _file(description: str, media_type: str, schema: Schema) -> Answer:
    return Answer(description, {media_type: schema}, {"ETag": _ENTITY_TAG})
