"""Parameters that several endpoints share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.as_of import PARAMETER
from api.http.fields import UUID
from api.http.parameters import DEFAULTS, LARGEST, MAX_LIMIT, MAX_PER_PAGE
from api.openapi.operations import header, path_parameter, query

if TYPE_CHECKING:
    from api.http.fields import Schema


def _schema(name: str) -> Schema:
    return {
        "type": "integer",
        "minimum": 1,
        "maximum": LARGEST[name],
        "default": DEFAULTS[name],
    }


PAGE: Final = (
    query("page", _schema("page"), "Which page, from 1."),
    query(
        "perPage",
        _schema("perPage"),
        f"How many a page; more than {MAX_PER_PAGE} is {MAX_PER_PAGE}.",
    ),
)
LIMIT: Final = query(
    "limit",
    _schema("limit"),
    f"How many; more than {MAX_LIMIT} is {MAX_LIMIT}.",
)
IF_MATCH: Final = header(
    "If-Match",
    {
        "type": "string",
        "pattern": '^(\\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$',
        "examples": ['"v3"'],
    },
    "The `ETag` of the monitor that the caller saw: 412 if it has changed since.",
)
IDEMPOTENCY_KEY: Final = header(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
    "A name for this very request: sent again with the same body, nothing is made twice, and "
    "with another body the answer is 409.",
)
IF_NONE_MATCH: Final = header(
    "If-None-Match",
    {"type": "string"},
    "The `ETag` of an answer that the caller has: 304 if it still holds.",
)
AS_OF: Final = query(
    PARAMETER,
    {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
            {"type": "string", "format": "date-time"},
        ],
        "examples": ["2026-01-31T12:00:00Z"],
    },
    "A time, or a position of the audit log: the answer is what it would have been then. "
    "Monitors that were deleted since are there again. A time means the end of its millisecond; "
    "send the `X-As-Of-Position` of an answer to get exactly its configuration again.",
)
POSITION: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
BEFORE: Final = query("before", POSITION, "Only events before this position.")
PUBLIC_ID: Final = path_parameter("public_id", UUID, "The monitor's `publicId`.")
