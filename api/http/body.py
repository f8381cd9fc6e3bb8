"""Strict reading of a JSON body: size, time, media type and syntax, before its fields.

A body is received before its handler runs, with a limit on size and time, and judged when the
handler asks for it: a caller without the right gets 403, whatever the body.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import falcon
import falcon.asgi
import orjson

from api.http.errors import invalid
from domain.errors import Problem

MAX_BYTES: Final = 64 * 1024
_MAX_INTEGER: Final = 2**63
_MAX_DIGITS: Final = len(str(_MAX_INTEGER))

BODY_SECONDS: Final = 10.0
"""How long a whole body may take."""

MIN_BYTES_PER_SECOND: Final = 1024
"""How fast a body must come, measured from its begin and after a grace."""

GRACE_SECONDS: Final = 2.0
RECEIVE: Final = "postwatch.receive"
"""Key of the ASGI scope: the function that receives the body, before Falcon touched it."""


async def receive_body(req: falcon.asgi.Request) -> bytes | None:
    """Return the bytes of a body; None above 64 KiB, of which no more is received.

    Raises 408 for a body that takes too long, 400 for a client that leaves.
    """
    if (req.content_length or 0) > MAX_BYTES:
        return None
    receive, loop = req.scope[RECEIVE], asyncio.get_running_loop()
    begun, parts, size = loop.time(), [], 0
    while True:
        seconds = min(GRACE_SECONDS + size / MIN_BYTES_PER_SECOND, BODY_SECONDS)
        try:
            async with asyncio.timeout_at(begun + seconds):
                event = await receive()
        except TimeoutError:
            raise falcon.HTTPError(
                falcon.HTTP_408,
                description=f"The body came too slowly: it must be whole within {BODY_SECONDS:.0f} "
                f"s, and come with {MIN_BYTES_PER_SECOND} bytes a second",
            ) from None
        if event["type"] != "http.request":
            raise falcon.HTTPBadRequest(description="The body ended before it was whole")
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BYTES:
            return None
        if not event.get("more_body", False):
            return b"".join(parts)


def read_object(req: falcon.Request) -> dict[str, Any]:
    """Return the JSON object of a request's body.

    Raises 413 above 64 KiB, 415 for another type or a compressed body, and
    InvalidInputError for anything that is not one JSON object without doubled keys.
    """
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    body: bytes | None = req.context.body
    if body is None:
        raise falcon.HTTPContentTooLarge(description=f"The body may have {MAX_BYTES} bytes")
    if (req.get_header("Content-Encoding") or "identity").lower() != "identity":
        raise falcon.HTTPUnsupportedMediaType(
            description="Send the body as it is, without a Content-Encoding"
        )
    if media_type != "application/json":
        raise falcon.HTTPUnsupportedMediaType(
            description="Send JSON with the header Content-Type: application/json"
        )
    return _parse(body)


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
