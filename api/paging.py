"""`page` and `perPage` of a list (contract part B, 2.5; Q-28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import falcon

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULTS: Final[Mapping[str, int]] = {"page": 1, "perPage": 50}
MAX_PER_PAGE: Final = 200
MAX_PAGE: Final = 10**9


def read_page(req: falcon.Request) -> tuple[int, int]:
    """Return page and page size; a size above 200 is 200. Raises 400 on anything below 1."""
    return _number(req, "page"), min(_number(req, "perPage"), MAX_PER_PAGE)


def _number(req: falcon.Request, name: str) -> int:
    text = req.get_param(name, default=str(DEFAULTS[name]))
    short_enough = len(text) <= len(str(MAX_PAGE))
    if not (text.isascii() and text.isdecimal() and short_enough and 0 < int(text) <= MAX_PAGE):
        raise falcon.HTTPBadRequest(description=f"Invalid {name}: must be a whole number from 1")
    return int(text)
