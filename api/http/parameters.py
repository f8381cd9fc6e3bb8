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

_SWITCH: Final[Mapping[str, bool]] = {"1": True, "true": True, "0": False, "false": False}


def read_page(req: falcon.Request) -> tuple[int, int]:
    """Return page and page size, which is 200 at most. Raises 400 for numbers below 1."""
    return _number(req, "page"), min(_number(req, "perPage"), MAX_PER_PAGE)


def read_limit(
    req: falcon.Request, *, default: int = DEFAULTS["limit"], most: int = MAX_LIMIT
) -> int:
    """Return the number of entries that is asked for, `most` at most. Raises 400 below 1."""
    return min(_number(req, "limit", default), most)


def read_offset(req: falcon.Request) -> int:
    """Return how many entries are left out at the beginning. Raises 400 for what is no number."""
    offset = whole_number(req.get_param("offset") or "0")
    if offset is None:
        raise InvalidParameterError("offset", "must be a whole number from 0")
    return offset


def read_switch(req: falcon.Request, name: str) -> bool:
    """Return whether a switch of the query is on; without it, it is off. Raises 400."""
    text = req.get_param(name) or "false"
    if text not in _SWITCH:
        raise InvalidParameterError(name, f"must be one of {', '.join(_SWITCH)}")
    return _SWITCH[text]


def _number(req: falcon.Request, name: str, default: int | None = None) -> int:
    text = req.get_param(name)
    if text is None:
        return DEFAULTS[name] if default is None else default
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
