"""Query and path parameters: identifiers, sizes of pages, positions of the audit log.

Lists of monitors take `page` and `perPage` (contract part B, 2.5; Q-28), histories and the
audit log `limit`, and a position where a page begins or ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.errors import InvalidParameterError
from api.http.fields import parse_identifier, parse_uuid

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon


_MAX_DIGITS: Final = 18


def whole_number(text: str) -> int | None:
    """Return a whole number; None for more digits than any store can compare with."""
    short_enough = len(text) <= _MAX_DIGITS
    return int(text) if text.isascii() and text.isdecimal() and short_enough else None


def identifier_of(text: str) -> int | str | None:
    """Return the numeric id or the UUID that a text is; None for anything else."""
    number = whole_number(text)
    return parse_uuid(text) if number is None else parse_identifier(number)


def query_identifier(req: falcon.Request, name: str) -> int | str | None:
    """Return an identifier from the query, None when the query lacks it. Raises 400."""
    text = req.get_param(name)
    if text is None:
        return None
    identifier = identifier_of(text)
    if identifier is None:
        raise InvalidParameterError(name, "must be a number or a UUID")
    return identifier


DEFAULTS: Final[Mapping[str, int]] = {"page": 1, "perPage": 50, "limit": 50}
MAX_PER_PAGE: Final = 200
MAX_LIMIT: Final = 200
LARGEST: Final[Mapping[str, int]] = {"page": 10**9, "perPage": 10**9, "limit": 10**18 - 1}
"""The largest accepted numbers. A `perPage` or `limit` above 200 is accepted, and cut."""


def read_page(req: falcon.Request) -> tuple[int, int]:
    """Return page and page size, which is 200 at most. Raises 400 for numbers below 1."""
    return _number(req, "page"), min(_number(req, "perPage"), MAX_PER_PAGE)


def read_limit(req: falcon.Request) -> int:
    """Return the number of entries that is asked for, 200 at most. Raises 400 below 1."""
    return min(_number(req, "limit"), MAX_LIMIT)


def _number(req: falcon.Request, name: str) -> int:
    text = req.get_param(name)
    if text is None:
        return DEFAULTS[name]
    number = whole_number(text)
    if not number or number > LARGEST[name]:
        raise InvalidParameterError(name, "must be a whole number from 1")
    return number


def query_position(req: falcon.Request, name: str, *, head: int) -> int | None:
    """Return a position from the query, None when the query lacks it.

    Raises 400 for anything but a whole number up to the head of the log.
    """
    text = req.get_param(name)
    if text is None:
        return None
    position = whole_number(text)
    if position is None:
        raise InvalidParameterError(name, "must be a position of the log")
    if position > head:
        raise InvalidParameterError(name, f"lies beyond the head of the log, which is {head}")
    return position
