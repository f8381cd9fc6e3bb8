"""Reading query and path parameters."""

from __future__ import annotations

from typing import Final

import falcon

from api.fields import parse_identifier, parse_uuid

_MAX_DIGITS: Final = 18


def whole_number(text: str) -> int | None:
    """Return a whole number; None for more digits than any store can compare with."""
    short_enough = len(text) <= _MAX_DIGITS
    return int(text) if text.isascii() and text.isdecimal() and short_enough else None


def identifier_of(text: str) -> int | str | None:
    """Return the numeric id or the UUID that a text stands for; None for anything else."""
    number = whole_number(text)
    return parse_uuid(text) if number is None else parse_identifier(number)


def query_identifier(req: falcon.Request, name: str) -> int | str | None:
    """Return an identifier from the query, None when it is not there. Raises 400."""
    text = req.get_param(name)
    if text is None:
        return None
    identifier = identifier_of(text)
    if identifier is None:
        raise falcon.HTTPBadRequest(description=f"Invalid {name}: must be a number or a UUID")
    return identifier
