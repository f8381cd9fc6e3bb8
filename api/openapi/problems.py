"""Error answers: one body for all, and one component for each status."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from api.http.errors import VIEW_UNAVAILABLE, phrase
from api.openapi.vocabulary import closed, ref

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.http.fields import Schema


_CHALLENGE: Final[Schema] = {"schema": {"type": "string", "const": "Bearer"}, "required": True}
_RETRY_AFTER: Final[Schema] = {
    "description": "Seconds.",
    "schema": {"type": "integer", "minimum": 0},
    "required": True,
}
RATE_LIMIT: Final = {
    "X-RateLimit-Limit": ref("RateLimit", "headers"),
    "X-RateLimit-Remaining": ref("RateLimitRemaining", "headers"),
    "X-RateLimit-Reset": ref("RateLimitReset", "headers"),
}
_MEANINGS: Final[Mapping[int, tuple[str, str, str]]] = {
    400: (
        "Invalid",
        "A path id, a parameter or the body is wrong; `errors` names every wrong field.",
        "Validation failed: 'hostname' must be a hostname only, without a path",
    ),
    401: (
        "Unauthorized",
        "No token, or one that is unknown, expired or revoked.",
        "Send the header Authorization: Bearer wsm_...",
    ),
    403: (
        "Forbidden",
        "The token's role or scope forbids it.",
        "The role readonly may not create monitors",
    ),
    404: ("NotFound", "There is no such thing in the caller's organization.", "Not found"),
    408: (
        "RequestTimeout",
        "The body came too slowly.",
        "The body came too slowly: it must be whole within 10 s, and come with 1024 bytes a second",
    ),
    409: ("Conflict", "The request contradicts another one.", "Conflict"),
    412: (
        "PreconditionFailed",
        "The monitor has changed since the caller saw the version in `If-Match`.",
        "The monitor has changed since",
    ),
    413: ("ContentTooLarge", "The body is above 64 KiB.", "The body may have 65536 bytes"),
    415: (
        "UnsupportedMediaType",
        "The body is not JSON.",
        "Send JSON with the header Content-Type: application/json",
    ),
    429: (
        "TooManyRequests",
        "More requests in a minute than the operator allows.",
        "More than 100 requests in a minute; try again later",
    ),
    503: (
        "ServiceUnavailable",
        (
            "The store cannot record now, or a view is being rebuilt from the log; nothing was "
            "acknowledged."
        ),
        VIEW_UNAVAILABLE,
    ),
}
BODY_ERRORS: Final = (400, 408, 413, 415)
"""Statuses of errors that any request with a body may get."""


def error_ref(status: int) -> Schema:
    """Return the reference to an error answer."""
    return ref(_MEANINGS[status][0], "responses")


def components() -> Schema:
    """Return the error answers by name."""
    return {
        name: {
            "description": description,
            "headers": _headers(status),
            "content": {
                "application/json": {
                    "schema": ref("Error"),
                    "examples": {"error": {"value": _example(status, message)}},
                }
            },
        }
        for status, (name, description, message) in _MEANINGS.items()
    }


def schemas() -> Schema:
    """Return the schemas of the error body."""
    problem = {
        "path": {
            "type": "string",
            "description": "The field, such as `smtpConfig.auth.user`; empty: the whole body.",
        },
        "code": {"type": "string", "description": "A stable word, such as `required`."},
        "message": {"type": "string", "description": "For people; never holds the value."},
    }
    error = {
        "statusCode": {"type": "integer"},
        "statusMessage": {"type": "string"},
        "message": {"type": "string"},
        "requestId": {"type": "string", "description": "The id of the request in the log."},
        "errors": {"type": "array", "items": ref("Problem"), "minItems": 1},
    }
    return {"Problem": closed(problem), "Error": closed(error, optional=frozenset({"errors"}))}


def _headers(status: int) -> Schema:
    special: Mapping[int, Schema] = {
        HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": _CHALLENGE, **RATE_LIMIT},
        HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": _RETRY_AFTER, **RATE_LIMIT},
        HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": _RETRY_AFTER},
    }
    return {"X-Request-Id": ref("RequestId", "headers"), **special.get(status, {})}


def _example(status: int, message: str) -> Schema:
    example: Schema = {
        "statusCode": status,
        "statusMessage": phrase(status),
        "message": message,
        "requestId": "3b0c1f4e-58f7-4a44-8a0f-5d1e9b3a7c62",
    }
    if status == HTTPStatus.BAD_REQUEST:
        problem = "must be a hostname only, without a path"
        example["errors"] = [{"path": "hostname", "code": "path", "message": problem}]
    return example
