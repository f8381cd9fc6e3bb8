"""An endpoint as data, and how the document shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from api.openapi.examples import shown
from api.openapi.problems import RATE_LIMIT, error_ref
from api.openapi.vocabulary import ref

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.http.fields import Schema


JSON: Final = "application/json"
REQUEST_ID: Final = {"X-Request-Id": ref("RequestId", "headers")}


_OF_TOKENS: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""What any request that wants a token may be answered with."""


@dataclass(frozen=True, slots=True)
class DocumentedAnswer:
    """A successful answer. `content` is a schema by media type; `headers` are additional ones."""

    description: str
    content: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    links: Mapping[str, Schema] = field(default_factory=dict)
    example: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentedOperation:
    """A method of a path. `body` is the schema of its JSON body.

    `errors` are statuses beside those of every request. `is_open`: no token is asked for.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    answers: Mapping[int, DocumentedAnswer]
    description: str = ""
    parameters: tuple[Schema, ...] = ()
    body: Schema | None = None
    example: str | None = None
    errors: tuple[int, ...] = ()
    is_open: bool = False

    def query_names(self) -> frozenset[str] | None:
        """Return the names of its query parameters; None where any are accepted.

        Probes and browsers may add what they like to a URL that asks for no token.
        """
        if self.is_open:
            return None
        return frozenset(each["name"] for each in self.parameters if each["in"] == "query")

    def rendered(self) -> Schema:
        """Return the operation object."""
        parts: Schema = {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            "description": self.description,
            "parameters": list(self.parameters),
            "requestBody": self._request_body(),
            "responses": self._responses(),
            "security": [] if self.is_open else None,
        }
        return {
            key: part for key, part in parts.items() if part or (key == "security" and self.is_open)
        }

    def _request_body(self) -> Schema | None:
        if self.body is None:
            return None
        return {"required": True, "content": {JSON: _media(self.body, self.example, "request")}}

    def _responses(self) -> Schema:
        known = () if self.is_open else _OF_TOKENS
        more = {} if self.is_open else RATE_LIMIT
        found: dict[int, Schema] = {
            status: _rendered(answer, more) for status, answer in self.answers.items()
        }
        for status in (*known, *self.errors):
            found[int(status)] = error_ref(int(status))
        return {str(status): found[status] for status in sorted(found)}


def json_answer(description: str, schema: str, **more: Any) -> DocumentedAnswer:  # noqa: ANN401 - its fields
    """Return an answer whose JSON body is a component."""
    return DocumentedAnswer(description, {JSON: ref(schema)}, **more)


def path_parameter(name: str, schema: Schema, description: str) -> Schema:
    """Return a parameter in the path."""
    return _parameter(name, "path", schema, description, required=True)


def query(name: str, schema: Schema, description: str) -> Schema:
    """Return an optional parameter in the query."""
    return _parameter(name, "query", schema, description, required=False)


def header(name: str, schema: Schema, description: str) -> Schema:
    """Return an optional header of a request."""
    return _parameter(name, "header", schema, description, required=False)


def _parameter(
    name: str, place: str, schema: Schema, description: str, *, required: bool
) -> Schema:
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": description,
        "schema": schema,
    }


def _rendered(answer: DocumentedAnswer, headers: Mapping[str, Schema]) -> Schema:
    parts: Schema = {
        "description": answer.description,
        "headers": {**answer.headers, **REQUEST_ID, **headers},
        "content": {
            media_type: _media(schema, answer.example if media_type == JSON else None, "response")
            for media_type, schema in answer.content.items()
        },
        "links": dict(answer.links),
    }
    return {key: part for key, part in parts.items() if part}


def _media(schema: Schema, example: str | None, side: str) -> Schema:
    examples = {"examples": shown(example, side)} if example else {}
    return {"schema": schema, **examples}
