"""Strict reading of a JSON body: size, media type and syntax, before its fields."""

from __future__ import annotations

import json
from typing import Any, Final

import falcon
import orjson

from api.http.errors import invalid
from domain.errors import Problem

MAX_BYTES: Final = 64 * 1024
_MAX_INTEGER: Final = 2**63
_MAX_DIGITS: Final = len(str(_MAX_INTEGER))


def read_object(req: falcon.Request) -> dict[str, Any]:
    """Return the JSON object of a request's body.

    Raises 411 for a body without a length, 413 above 64 KiB, 415 for another type, and
    InvalidInputError for anything that is not one JSON object without doubled keys.
    """
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if req.get_header("Transfer-Encoding"):
        raise falcon.HTTPLengthRequired(
            description="Send a Content-Length; chunked bodies are not read"
        )
    if (req.content_length or 0) > MAX_BYTES:
        raise falcon.HTTPContentTooLarge(description=f"The body may have {MAX_BYTES} bytes")
    if media_type != "application/json":
        raise falcon.HTTPUnsupportedMediaType(
            description="Send JSON with the header Content-Type: application/json"
        )
    req.context.body = req.bounded_stream.read()
    return _parse(req.context.body)


def _parse(data: bytes) -> dict[str, Any]:
    if not data.strip():
        raise _malformed("The body is empty; send a JSON object")
    try:
        body = orjson.loads(data)
        _refuse_ambiguity(data)
    except (ValueError, RecursionError) as error:
        detail = str(error) if isinstance(error, _AmbiguousError) else "The body is not valid JSON"
        raise _malformed(detail) from None
    if not isinstance(body, dict):
        raise _malformed("The body must be a JSON object")
    return body


class _AmbiguousError(ValueError):
    """JSON that two parsers would read differently."""


def _refuse_ambiguity(data: bytes) -> None:
    """Refuse doubled keys and integers beyond 64 bits: orjson drops or rounds them silently."""
    json.loads(data, object_pairs_hook=_unique, parse_int=_exact)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise _AmbiguousError("The body holds an object with the same key twice")


def _exact(digits: str) -> None:
    length = len(digits.removeprefix("-"))
    if length > _MAX_DIGITS or not -_MAX_INTEGER <= int(digits) < _MAX_INTEGER:
        raise _AmbiguousError("The body holds a whole number beyond 64 bits")


def _malformed(message: str) -> Exception:
    return invalid([Problem("", "malformed", message)])
